import type { Ring } from '../ring/types.ts';
import { RECORD_OVERHEAD_BYTES } from '../ring/types.ts';
import type { StreamCursors } from './stream-cursors.ts';

/** Messages noted until it is looked which of them are durable. */
const PENDING_BETWEEN_LOOKS = 4_096;

export interface StreamGateOptions {
  readonly stream: string;
  readonly ring: Pick<Ring, 'weightFrom' | 'partition'>;
  readonly cursors: StreamCursors;
  readonly partitionIds: readonly number[];
  readonly quotaBytes: number;
  readonly whenFull: 'reject' | 'block';
}

/**
 * Whether a stream that must not lose what its readers have not passed has room for a message. It is
 * asked before a message is routed, so that one that is refused reaches nobody.
 *
 * Invariant: what some reader has not passed takes at most the quota, or is one message alone. What is
 * not durable yet is counted as it came; the rest in proportion, as quotas are.
 */
export class StreamGate {
  readonly stream: string;
  readonly whenFull: 'reject' | 'block';
  readonly quotaBytes: number;
  readonly #options: StreamGateOptions;
  /** Of what some reader had not passed when it was last counted, and all that came since: at most too much. */
  #weight = Infinity;
  /** A reader has moved since it was counted. */
  #isStale = true;
  /** Came in, and was not seen durable when it was last counted. */
  #pending: { readonly partitionId: number; readonly offset: number; readonly weight: number }[] =
    [];
  #waiting: (() => void)[] = [];

  constructor(options: StreamGateOptions) {
    this.#options = options;
    this.stream = options.stream;
    this.whenFull = options.whenFull;
    this.quotaBytes = options.quotaBytes;
    for (const id of options.partitionIds) options.cursors.watch(id, () => this.#moved());
  }

  /** Bytes of payload and properties. A message that is larger than the quota needs an empty stream. */
  admits(bytes: number): boolean {
    if (this.#hasRoomFor(bytes)) return true;
    if (!this.#isStale) return false;
    this.#weight = this.#count();
    this.#isStale = false;
    return this.#hasRoomFor(bytes);
  }

  /** A message was appended to the partition as its newest. */
  took(partitionId: number, bytes: number): void {
    const { ring } = this.#options;
    const offset = (ring.partition(partitionId)?.tailOffset ?? 1) - 1;
    const weight = weightOf(bytes);
    this.#pending.push({ partitionId, offset, weight });
    this.#weight += weight;
    if (this.#pending.length % PENDING_BETWEEN_LOOKS === 0) this.#forgetDurable();
  }

  /** Calls `fn` once, as soon as some reader has moved: there may be room then. */
  whenMoved(fn: () => void): void {
    this.#waiting.push(fn);
  }

  #hasRoomFor(bytes: number): boolean {
    return this.#weight === 0 || this.#weight + weightOf(bytes) <= this.#options.quotaBytes;
  }

  #moved(): void {
    this.#isStale = true;
    for (const fn of this.#waiting.splice(0)) fn();
  }

  #count(): number {
    const { ring, cursors, partitionIds } = this.#options;
    this.#forgetDurable();
    let weight = 0;
    for (const id of partitionIds) {
      const from = cursors.lowest(id) ?? ring.partition(id)?.headOffset ?? 0;
      weight += ring.weightFrom(id, from);
    }
    return this.#pending.reduce((sum, each) => sum + each.weight, weight);
  }

  #forgetDurable(): void {
    const { ring } = this.#options;
    this.#pending = this.#pending.filter(
      ({ partitionId, offset }) => offset >= (ring.partition(partitionId)?.durableOffset ?? 0),
    );
  }
}

function weightOf(bytes: number): number {
  return bytes + RECORD_OVERHEAD_BYTES;
}
