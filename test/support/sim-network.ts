import type { Clock } from '../../src/platform/clock.ts';
import type { Listener, Network, Socket } from '../../src/platform/network.ts';

/** One end of a simulated link. What is written arrives at the end of the turn, in order. */
class SimSocket implements Socket {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 1;
  onData: (chunk: Uint8Array) => void = () => undefined;
  onClose: (error: Error | undefined) => void = () => undefined;
  onDrain: () => void = () => undefined;
  peer: SimSocket | undefined;
  readonly #clock: Clock;
  #inbox: { readonly data: Uint8Array; readonly released: (() => void) | undefined }[] = [];
  #paused = false;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** What a paused peer has not read waits, as if no kernel had room for it. */
  write(data: Uint8Array, released?: () => void): number {
    const { peer } = this;
    if (this.#closed || peer === undefined) {
      released?.();
      return 0;
    }
    peer.#receive(new Uint8Array(data), peer.#paused ? released : undefined);
    if (!peer.#paused) released?.();
    return peer.#inbox.reduce((sum, waiting) => sum + waiting.data.length, 0);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#clock.atTurnEnd(() => this.#deliver());
  }

  end(): void {
    this.#clock.atTurnEnd(() => this.#clock.atTurnEnd(() => this.destroy()));
  }

  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { peer } = this;
    this.#clock.atTurnEnd(() => this.onClose(undefined));
    peer?.destroy();
  }

  #receive(data: Uint8Array, released: (() => void) | undefined): void {
    this.#inbox.push({ data, released });
    this.#clock.atTurnEnd(() => this.#deliver());
  }

  #deliver(): void {
    while (!this.#paused && !this.#closed) {
      const next = this.#inbox.shift();
      if (next === undefined) return;
      const { data, released } = next;
      released?.();
      this.onData(data);
      // A real socket reads the next chunk into the same memory.
      data.fill(0xee);
    }
  }
}

/** A network within the process: `connect` reaches whoever listens. */
export class SimNetwork implements Network {
  readonly #clock: Clock;
  readonly #listeners = new Map<string, (socket: Socket) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** No other program is there. */
  async tryAddress(): Promise<void> {}

  async listen(address: string, onSocket: (socket: Socket) => void): Promise<Listener> {
    this.#listeners.set(address, onSocket);
    return {
      address,
      close: async () => {
        this.#listeners.delete(address);
      },
    };
  }

  connect(address: string): Socket {
    const onSocket = this.#listeners.get(address);
    if (onSocket === undefined) throw new Error(`nobody listens on ${address}`);
    const near = new SimSocket(this.#clock);
    const far = new SimSocket(this.#clock);
    near.peer = far;
    far.peer = near;
    onSocket(far);
    return near;
  }
}
