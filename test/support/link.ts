import { connect, createServer, type Server, type Socket } from 'node:net';

/** How a link fails: `refused` is told to both ends at once, `silent` swallows what is sent. */
export type Cut = 'refused' | 'silent';

/**
 * The wire between a gateway and its upstream: a TCP relay that can be cut without touching either
 * end. What was under way at a cut is lost, as with a cable that is pulled.
 */
export class Link {
  readonly port: number;
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #cut: Cut | undefined;

  private constructor(server: Server, port: number, targetPort: number) {
    this.#server = server;
    this.port = port;
    this.#targetPort = targetPort;
    server.on('connection', (near) => this.#relay(near));
  }

  /** Listens on a free loopback port and passes everything to `targetPort`. */
  static async open(targetPort: number): Promise<Link> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was bound');
    return new Link(server, address.port, targetPort);
  }

  cut(how: Cut = 'refused'): void {
    this.#cut = how;
    if (how === 'refused') this.#dropAll();
  }

  /** The connections of before the cut are gone; new ones pass. */
  restore(): void {
    this.#cut = undefined;
    this.#dropAll();
  }

  async close(): Promise<void> {
    this.#dropAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #relay(near: Socket): void {
    if (this.#cut === 'refused') {
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.#targetPort, '127.0.0.1');
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [far, near] as const]) {
      from.setNoDelay(true);
      from.on('data', (chunk) => {
        if (this.#cut !== undefined) return;
        // A slow reader slows the writer through the relay, as it would without.
        if (!to.write(chunk)) from.pause();
      });
      to.on('drain', () => from.resume());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#pairs.delete(pair);
        to.destroy();
      });
    }
  }

  #dropAll(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#pairs.clear();
  }
}
