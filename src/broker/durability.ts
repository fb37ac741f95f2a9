import type { StateStore } from '../metadata/state-store.ts';
import type { DurabilityWaiter, Ring } from '../ring/types.ts';

/**
 * What may be promised now: up to where flash holds what was taken, and whether it takes more. While
 * it cannot be written, `storage.on_failure` decides: nothing is promised, or memory is good enough.
 */
export class Durability {
  readonly #ring: Ring;
  readonly #state: StateStore;
  readonly #mayUseMemory: boolean;

  constructor(options: {
    readonly ring: Ring;
    readonly state: StateStore;
    readonly mayUseMemory: boolean;
  }) {
    this.#ring = options.ring;
    this.#state = options.state;
    this.#mayUseMemory = options.mayUseMemory;
  }

  /** Flash cannot be written, and what would wait for it is done and answered from memory. */
  get isMemoryOnly(): boolean {
    return this.#mayUseMemory && this.#ring.failed;
  }

  /** Flash cannot be written, and nothing that needs it is taken. */
  get isRefusing(): boolean {
    return !this.#mayUseMemory && this.#ring.failed;
  }

  /** What can wait has to: the ring is full, or cannot be written. */
  get isHeldUp(): boolean {
    return this.#state.isOwing || this.isRefusing;
  }

  /** The sequence up to which the ring can be read. Of what waits for flash it can say nothing. */
  get readableSequence(): number {
    return this.isMemoryOnly ? this.#ring.durableSequence : this.#ring.lastSequence;
  }

  /** The sequence up to which answers may leave. */
  get sequence(): number {
    return this.isMemoryOnly ? Number.POSITIVE_INFINITY : this.#ring.durableSequence;
  }

  /** The last sequence given out or promised: what an answer waits for that stands for all so far. */
  get lastSequence(): number {
    return this.#state.lastSequence;
  }

  /** Tells `waiter` when everything up to `sequence` may be durable; it asks again where it is not. */
  whenReached(sequence: number, waiter: DurabilityWaiter): void {
    // Told now, it would ask again at once: what it waits for is not in the ring yet.
    if (sequence > this.#ring.lastSequence) {
      this.#state.whenPaid(() => this.#ring.whenDurable(waiter));
    } else {
      this.#ring.whenDurable(waiter);
    }
  }
}
