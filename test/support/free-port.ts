import { createServer } from 'node:net';

/**
 * Below the ports that the kernel gives to sockets that connect: tests of one process run at the same
 * time and make thousands of those.
 */
const FIRST_PORT = 15_000;
const PORTS = 17_000;

const ports = portsFromSomewhere();

/**
 * A loopback port that was free a moment ago, for programs that cannot be told to pick one and say
 * which. The same one is not given twice by one process; another process begins somewhere else.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = ports.next().value;
    if (await isFree(port)) return port;
  }
}

function* portsFromSomewhere(): Generator<number, never> {
  let offset = Math.floor(Math.random() * PORTS);
  for (;;) {
    yield FIRST_PORT + offset;
    offset = (offset + 1) % PORTS;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const isBound = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (isBound) await new Promise((resolve) => server.close(resolve));
  return isBound;
}
