import { createServer } from 'node:net';
import { type Address, splitAddress } from '../../base/address.ts';
import { CisternError } from '../../base/errors.ts';
import type { Listener, Network } from '../network.ts';
import { bindOnce } from './bind-once.ts';
import { listenError } from './listen-error.ts';
import { ListenerLayers } from './listener-layers.ts';
import { sharedReads, wrapStream } from './stream-socket.ts';

export function createNodeNetwork(): Network {
  const reads = sharedReads();
  return {
    async tryAddress(address) {
      const { host, port } = addressToListenOn(address);
      try {
        await bindOnce(host, port);
      } catch (error) {
        throw await listenError(error, address, port);
      }
    },
    async listen(address, onSocket, options = {}) {
      const { host, port } = addressToListenOn(address);
      const layers = await ListenerLayers.create(options);
      // Only sockets that change hands before they are read are paused.
      const common = { noDelay: true, keepAlive: true, pauseOnConnect: layers === undefined };
      const server = createServer(common, (socket) => {
        if (layers === undefined) onSocket(wrapStream(socket, reads));
        else layers.accept(socket, onSocket);
      });
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
        tls: layers?.tls,
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
