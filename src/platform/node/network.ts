import { createServer, type Socket as NetSocket } from 'node:net';
import { type Address, splitAddress } from '../../base/address.ts';
import { CisternError } from '../../base/errors.ts';
import type { Listener, Network, Socket } from '../network.ts';
import { findPortOwner } from './port-owner.ts';
import { SharedReadBuffer } from './shared-read-buffer.ts';

/** How long a peer may take to read what was queued before its goodbye, before the socket is cut. */
const GOODBYE_TIMEOUT_MS = 2_000;

export function createNodeNetwork(): Network {
  const reads = new SharedReadBuffer();
  return {
    async listen(address, onSocket) {
      const { host, port } = addressToListenOn(address);
      const options = { noDelay: true, keepAlive: true, pauseOnConnect: true };
      const server = createServer(options, (socket) => onSocket(wrapSocket(socket, reads)));
      await new Promise<void>((resolve, reject) => {
        server.once('error', (error: NodeJS.ErrnoException) => {
          listenError(error, address, port).then(reject, reject);
        });
        server.listen({ host, port, backlog: 1024 }, resolve);
      });
      const bound = server.address();
      const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port;
      return {
        address: `${host.includes(':') ? `[${host}]` : host}:${boundPort}`,
        async close() {
          server.close();
        },
      } satisfies Listener;
    },
  };
}

/** The parts of an address to listen on. Fails with LISTEN_FAILED where it is none. */
export function addressToListenOn(address: string): Address {
  const parts = splitAddress(address);
  if (parts === undefined) {
    throw new CisternError('LISTEN_FAILED', `"${address}" is not an address`, {
      remedy: 'Write it as host:port, for example 127.0.0.1:1883.',
    });
  }
  return parts;
}

async function listenError(
  error: NodeJS.ErrnoException,
  address: string,
  port: number,
): Promise<CisternError> {
  if (error.code === 'EADDRINUSE') {
    const owner = await findPortOwner(port);
    return new CisternError('PORT_IN_USE', `${address} is taken${owner ? ` by ${owner}` : ''}`, {
      cause: error,
      remedy: `Stop ${owner ?? 'the other program'}, or listen on another port.`,
    });
  }
  return new CisternError('LISTEN_FAILED', `cannot listen on ${address}: ${error.message}`, {
    cause: error,
  });
}

function wrapSocket(accepted: NetSocket, reads: SharedReadBuffer): Socket {
  let failure: Error | undefined;
  const socket = reads.adopt(accepted, (chunk) => wrapped.onData(chunk));
  const wrapped: Socket = {
    remoteAddress: socket.remoteAddress ?? '',
    remotePort: socket.remotePort ?? 0,
    onData: () => undefined,
    onClose: () => undefined,
    onDrain: () => undefined,
    write(data, released) {
      if (socket.destroyed || socket.writableEnded) released?.();
      else socket.write(data, released && (() => released()));
      return socket.writableLength;
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end() {
      socket.end();
      setTimeout(() => socket.destroy(), GOODBYE_TIMEOUT_MS).unref();
    },
    destroy: () => void socket.destroy(),
  };
  socket.on('drain', () => wrapped.onDrain());
  socket.on('error', (error) => {
    failure = error;
  });
  socket.on('close', () => wrapped.onClose(failure));
  return wrapped;
}
