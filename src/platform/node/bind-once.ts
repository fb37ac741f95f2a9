import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { isEveryHost } from '../../base/address.ts';

/** A firewall may swallow what is sent to port 0; by then the address has long been bound. */
const ANSWER_TIMEOUT_MS = 100;

/**
 * Binds a TCP address and lets it go again without ever listening, so that nobody can connect
 * meanwhile. Rejects with the system's error where it cannot be bound.
 *
 * Node binds only what listens or connects. So this is the near end of a connection to port 0 of
 * this machine, where nobody can listen: it is bound first, and then refused.
 */
export async function bindOnce(host: string, port: number): Promise<void> {
  const { address } = await lookup(host);
  const loopback = address.includes(':') ? '::1' : '127.0.0.1';
  const far = isEveryHost(address) ? loopback : address;
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host: far, port: 0, localAddress: address, localPort: port });
    const timer = setTimeout(() => finish(undefined), ANSWER_TIMEOUT_MS);
    const finish = (error: NodeJS.ErrnoException | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      if (error?.syscall === 'bind') reject(error);
      else resolve();
    };
    socket.on('connect', () => finish(undefined));
    socket.on('error', finish);
  });
}
