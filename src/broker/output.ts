import type { Socket } from '../platform/network.ts';
import type { BrokerCounters } from './counters.ts';

/**
 * Sizes of write buffers, and how many of each are kept for reuse: enough that a busy turn allocates
 * none, few enough for a 512 MB machine. The middle one is for a turn in which a thousand connections
 * get some messages each.
 */
const SMALL_BYTES = 1024;
const MEDIUM_BYTES = 8 * 1024;
const LARGE_BYTES = 64 * 1024;
const SPARE_SMALL_CHUNKS = 512;
const SPARE_MEDIUM_CHUNKS = 256;
const SPARE_LARGE_CHUNKS = 32;

/** Bytes queued for all connections together; beyond it each has no more than its share below. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
const SHARE_WHEN_CROWDED_BYTES = 4 * 1024;

/** Write buffers shared by all connections, so that an idle one holds none. */
export class ChunkPool {
  /** Handed to sockets and not taken by their peers, over all connections. */
  queuedBytes = 0;
  readonly #small: Buffer[] = [];
  readonly #medium: Buffer[] = [];
  readonly #large: Buffer[] = [];

  take(bytes: number): Buffer {
    if (bytes <= SMALL_BYTES) return this.#small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BYTES);
    if (bytes <= MEDIUM_BYTES) return this.#medium.pop() ?? Buffer.allocUnsafeSlow(MEDIUM_BYTES);
    if (bytes <= LARGE_BYTES) return this.#large.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES);
    return Buffer.allocUnsafeSlow(bytes);
  }

  give(chunk: Buffer): void {
    if (chunk.length === SMALL_BYTES) {
      if (this.#small.length < SPARE_SMALL_CHUNKS) this.#small.push(chunk);
    } else if (chunk.length === MEDIUM_BYTES) {
      if (this.#medium.length < SPARE_MEDIUM_CHUNKS) this.#medium.push(chunk);
    } else if (chunk.length === LARGE_BYTES && this.#large.length < SPARE_LARGE_CHUNKS) {
      this.#large.push(chunk);
    }
  }
}

/** Whom an {@link Output} belongs to. */
export interface OutputOwner {
  /** The peer took something, and an output that was not writable is again. */
  onWritable(): void;
}

/**
 * What one connection has to say, gathered over an event-loop turn and handed to the socket in one
 * write: a system call a turn, not a packet, is most of what makes this broker fast.
 */
export class Output {
  readonly #socket: Socket;
  readonly #pool: ChunkPool;
  readonly #counters: BrokerCounters;
  readonly #limitBytes: number;
  readonly #onDirty: (output: Output) => void;
  readonly #owner: OutputOwner;
  #chunk: Buffer | undefined;
  #used = 0;
  #queued = 0;
  #isClosed = false;
  /** Somebody was told that it is not writable, and waits. */
  #isAwaited = false;
  #waiters: (() => void)[] | undefined;

  constructor(options: {
    readonly socket: Socket;
    readonly pool: ChunkPool;
    readonly counters: BrokerCounters;
    readonly limitBytes: number;
    /** Called once a turn, when the first byte is written; it must see to `flush`. */
    readonly onDirty: (output: Output) => void;
    readonly owner: OutputOwner;
  }) {
    this.#socket = options.socket;
    this.#pool = options.pool;
    this.#counters = options.counters;
    this.#limitBytes = options.limitBytes;
    this.#onDirty = options.onDirty;
    this.#owner = options.owner;
  }

  /**
   * False while the peer does not take what it was sent. Where many peers do not, each has less:
   * their queues together must fit the machine. The owner, told false, hears when it is true again.
   */
  get writable(): boolean {
    const queued = this.#queued + this.#used;
    const isCrowded = this.#pool.queuedBytes >= MAX_QUEUED_BYTES;
    const isWritable = queued < (isCrowded ? SHARE_WHEN_CROWDED_BYTES : this.#limitBytes);
    if (!isWritable) this.#isAwaited = true;
    return isWritable;
  }

  /** Resolves when it is writable, or closed. */
  async untilWritable(): Promise<void> {
    while (!this.#isClosed && !this.writable) {
      await new Promise<void>((resolve) => {
        (this.#waiters ??= []).push(resolve);
      });
    }
  }

  /**
   * Room for `bytes` in a row. The caller writes them to `buffer` at `position` in this very call,
   * before anything else is reserved.
   */
  reserve(bytes: number): number {
    let chunk = this.#chunk;
    if (chunk === undefined) {
      chunk = this.#chunk = this.#pool.take(bytes);
      this.#onDirty(this);
    } else if (this.#used + bytes > chunk.length) {
      chunk = this.#makeRoom(chunk, bytes);
    }
    const position = this.#used;
    this.#used += bytes;
    return position;
  }

  /** Where {@link reserve} made room. */
  get buffer(): Buffer {
    return this.#chunk as Buffer;
  }

  write(bytes: Uint8Array): void {
    const position = this.reserve(bytes.length);
    this.buffer.set(bytes, position);
  }

  /** Hands what was gathered to the socket. */
  flush(): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    const used = this.#used;
    this.#chunk = undefined;
    this.#used = 0;
    if (this.#isClosed) {
      this.#pool.give(chunk);
      return;
    }
    this.#counters.bytesSent += used;
    const isBehind = this.#queued > 0;
    this.#queued += used;
    this.#pool.queuedBytes += used;
    if (isBehind && used * 4 < chunk.length) {
      // It may stay for long: a stalled peer must not hold a whole chunk for a few bytes.
      const copy = Buffer.allocUnsafeSlow(used);
      chunk.copy(copy, 0, 0, used);
      this.#pool.give(chunk);
      this.#socket.write(copy, () => this.#left(used));
      return;
    }
    this.#socket.write(chunk.subarray(0, used), () => {
      this.#pool.give(chunk);
      this.#left(used);
    });
  }

  /** Nothing is sent any more. What the socket was given is its own. */
  close(): void {
    this.#isClosed = true;
    this.#pool.queuedBytes -= this.#queued;
    this.#queued = 0;
    this.#wakeWaiters();
  }

  /**
   * The system has taken what was written. A socket that says so for itself does it only when much
   * was waiting, so the sum is kept here.
   */
  #left(bytes: number): void {
    if (this.#isClosed) return;
    this.#queued -= bytes;
    this.#pool.queuedBytes -= bytes;
    if (!this.#isAwaited || !this.writable) return;
    this.#isAwaited = false;
    this.#owner.onWritable();
    this.#wakeWaiters();
  }

  #wakeWaiters(): void {
    const waiters = this.#waiters;
    this.#waiters = undefined;
    for (const wake of waiters ?? []) wake();
  }

  #makeRoom(chunk: Buffer, bytes: number): Buffer {
    const needed = this.#used + bytes;
    if (needed > LARGE_BYTES) {
      this.flush();
      this.#chunk = this.#pool.take(Math.max(bytes, MEDIUM_BYTES + 1));
      this.#onDirty(this);
      return this.#chunk;
    }
    const larger = this.#pool.take(needed);
    chunk.copy(larger, 0, 0, this.#used);
    this.#pool.give(chunk);
    this.#chunk = larger;
    return larger;
  }
}
