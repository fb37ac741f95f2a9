import { once } from 'node:events';
import { connect as connectTcp, type Socket as NetSocket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { WebSocket } from 'ws';
import type { Peer } from '../contract/socket-contract.ts';

export interface PeerOptions {
  /** Sent before anything else, below TLS. */
  readonly proxyHeader?: Uint8Array;
  readonly tls?: ConnectionOptions;
  readonly webSocket?: { readonly path: string; readonly protocols: readonly string[] };
}

/** Connects to a listener on loopback, as deep as `options` say. Fails where it is refused. */
export async function connectPeer(port: number, options: PeerOptions = {}): Promise<Peer> {
  const { proxyHeader, tls, webSocket } = options;
  const raw = connectTcp({ host: '127.0.0.1', port });
  raw.on('error', () => undefined);
  await once(raw, 'connect');
  if (proxyHeader !== undefined) raw.write(proxyHeader);
  let stream: NetSocket = raw;
  if (tls !== undefined) {
    stream = connectTls({ socket: raw, servername: 'localhost', ...tls });
    await opened(stream, 'secureConnect', raw);
  }
  if (webSocket === undefined) return streamPeer(stream);
  const client = new WebSocket(
    `ws://localhost:${port}${webSocket.path}`,
    [...webSocket.protocols],
    {
      createConnection: () => stream,
      perMessageDeflate: false,
    },
  );
  await opened(client, 'open', raw);
  return webSocketPeer(client, stream);
}

async function opened(
  emitter: NetSocket | WebSocket,
  event: 'secureConnect' | 'open',
  raw: NetSocket,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    emitter.once(event, () => resolve());
    // Later errors end in a close, which is what a peer shows.
    emitter.on('error', reject);
    raw.once('close', () => reject(new Error('the connection was closed')));
  });
}

function streamPeer(stream: NetSocket): Peer {
  const chunks: Buffer[] = [];
  let isClosed = false;
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('close', () => {
    isClosed = true;
  });
  stream.on('error', () => undefined);
  return {
    get received() {
      return Buffer.concat(chunks);
    },
    get isClosed() {
      return isClosed;
    },
    send: (data) => void stream.write(data),
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    close: () => void stream.end(),
  };
}

function webSocketPeer(client: WebSocket, stream: NetSocket): Peer {
  const chunks: Buffer[] = [];
  let isClosed = false;
  client.on('message', (data: Buffer) => chunks.push(data));
  client.on('close', () => {
    isClosed = true;
  });
  return {
    get received() {
      return Buffer.concat(chunks);
    },
    get isClosed() {
      return isClosed;
    },
    send: (data) => client.send(data),
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    close: () => client.close(),
  };
}
