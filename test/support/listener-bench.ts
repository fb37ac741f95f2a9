import type {
  Layer,
  Listener,
  ListenOptions,
  Socket,
  TlsOptions,
} from '../../src/platform/network.ts';
import { createNodeNetwork } from '../../src/platform/node/network.ts';
import { waitFor } from './wait-for.ts';

/** What a listener handed over, and whom it turned away. */
export class ListenerBench {
  readonly port: number;
  readonly listener: Listener;
  readonly sockets: readonly Socket[];
  readonly failures: readonly { readonly layer: Layer; readonly reason: string }[];
  readonly #chunks: ReadonlyMap<Socket, Buffer[]>;

  private constructor(parts: {
    readonly listener: Listener;
    readonly chunks: ReadonlyMap<Socket, Buffer[]>;
    readonly sockets: readonly Socket[];
    readonly failures: ListenerBench['failures'];
  }) {
    this.listener = parts.listener;
    this.port = Number(/:(\d+)$/.exec(parts.listener.address)?.[1]);
    this.sockets = parts.sockets;
    this.failures = parts.failures;
    this.#chunks = parts.chunks;
  }

  static async open(options: ListenOptions): Promise<ListenerBench> {
    const sockets: Socket[] = [];
    const chunks = new Map<Socket, Buffer[]>();
    const failures: { layer: Layer; reason: string }[] = [];
    const listener = await createNodeNetwork().listen(
      '127.0.0.1:0',
      (socket) => {
        const own: Buffer[] = [];
        sockets.push(socket);
        chunks.set(socket, own);
        socket.onData = (chunk) => own.push(Buffer.from(chunk));
      },
      { ...options, onFailedHandshake: (_, layer, reason) => failures.push({ layer, reason }) },
    );
    return new ListenerBench({ listener, chunks, sockets, failures });
  }

  /** What the nth socket has read so far. */
  received(index: number): Buffer {
    const socket = this.sockets[index];
    return Buffer.concat((socket && this.#chunks.get(socket)) ?? []);
  }

  /** The nth socket, once it has read something. */
  async heard(index: number): Promise<Socket> {
    await waitFor(`socket ${index} to read`, () => this.received(index).length > 0);
    const socket = this.sockets[index];
    if (socket === undefined) throw new Error('no such socket');
    return socket;
  }

  /** The first failure, once there is one. */
  async failure(): Promise<{ readonly layer: Layer; readonly reason: string }> {
    await waitFor('a failed handshake', () => this.failures.length > 0);
    const [first] = this.failures;
    if (first === undefined) throw new Error('no failure');
    return first;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await this.listener.close();
  }
}

/** TLS with nothing asked of clients, apart from what `more` says. */
export function tlsOptions(
  files: { readonly cert: string; readonly key: string },
  more: Partial<TlsOptions> = {},
): TlsOptions {
  return {
    ...files,
    ca: undefined,
    requireClientCert: false,
    userNameFrom: undefined,
    minVersion: '1.2',
    ...more,
  };
}
