import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Http, HttpRequest } from '../http.ts';
import { addressToListenOn } from './network.ts';
import { listenError } from './listen-error.ts';

/** Bounds on what one who talks HTTP to us can hold, by count, bytes and time. */
const MAX_CONNECTIONS = 64;
const MAX_HEADER_BYTES = 8 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 5_000;

export function createNodeHttp(): Http {
  return {
    async serve(address, handle) {
      const server = createServer(
        {
          maxHeaderSize: MAX_HEADER_BYTES,
          requestTimeout: REQUEST_TIMEOUT_MS,
          headersTimeout: REQUEST_TIMEOUT_MS,
          keepAliveTimeout: KEEP_ALIVE_MS,
        },
        (request, response) => {
          const hasBody = request.headers['content-length'] ?? request.headers['transfer-encoding'];
          void handle(readRequest(request)).then(({ status, contentType, body, headers }) => {
            response.writeHead(status, {
              'content-type': contentType,
              'content-length': Buffer.byteLength(body),
              'cache-control': 'no-store',
              'x-content-type-options': 'nosniff',
              // A body that nobody reads must not be taken for the next request.
              ...(hasBody === undefined ? {} : { connection: 'close' }),
              ...headers,
            });
            response.end(body);
          });
        },
      );
      server.maxConnections = MAX_CONNECTIONS;
      const { host, port } = addressToListenOn(address);
      await listen(server, address, host, port);
      const bound = server.address();
      const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port;
      return {
        address: `${host.includes(':') ? `[${host}]` : host}:${boundPort}`,
        close: () =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      };
    },
  };
}

function readRequest(request: IncomingMessage): HttpRequest {
  const target = request.url ?? '/';
  const query = target.indexOf('?');
  return {
    method: request.method ?? 'GET',
    path: query < 0 ? target : target.slice(0, query),
    authorization: request.headers.authorization,
  };
}

async function listen(server: Server, address: string, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (cause) {
    throw await listenError(cause, address, port, 'admin.listen');
  }
}
