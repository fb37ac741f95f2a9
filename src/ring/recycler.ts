import type { Appender } from './appender.ts';
import { CisternError } from '../base/errors.ts';
import type { Committer } from './commit.ts';
import type { Reader } from './reader.ts';
import type { RingState } from './ring-state.ts';
import type { Segment } from './segment.ts';
import type { Timer } from '../platform/clock.ts';
import type { Evacuator } from './types.ts';

/** A checkpoint that cannot be written (a full disk) is tried again after this, not at each commit. */
const RETRY_MS = 5_000;

export interface RecyclerOptions {
  readonly state: RingState;
  readonly appender: Appender;
  readonly committer: Committer;
  readonly reader: Reader;
  readonly evacuator: Evacuator;
  readonly freeTarget: number;
  /** Carrying pauses while more than this waits for the device. */
  readonly maxPendingBytes: number;
  /** Called when a slot has become free. */
  readonly onFree: () => void;
}

/**
 * Keeps free slots in hand by letting the oldest segment go, one at a time.
 *
 * Invariant: a slot is free only when the sync of its last survivor and the checkpoint that covers
 * its control records have both returned.
 */
export class Recycler {
  readonly #options: RecyclerOptions;
  #running: Promise<void> | undefined;
  #stopped = false;
  /** Its survivors are durable elsewhere already: another try must not carry them twice. */
  #carriedFrom: Segment | undefined;
  #retryTimer: Timer | undefined;
  #failure: Error | undefined;

  constructor(options: RecyclerOptions) {
    this.#options = options;
  }

  /** Why the last try to let a segment go failed; undefined once one has been let go. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Starts recycling where too few slots are free; cheap to call often. */
  wake(): void {
    if (this.#running !== undefined || this.#retryTimer !== undefined) return;
    if (this.#stopped || !this.#isNeeded()) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retryTimer?.cancel();
    await this.#running;
  }

  #isNeeded(): boolean {
    const { state, freeTarget } = this.#options;
    return state.slots.inHand < freeTarget && this.#oldest() !== undefined;
  }

  #oldest(): Segment | undefined {
    const [oldest] = this.#options.state.segments;
    return oldest !== undefined && oldest.state !== 'active' ? oldest : undefined;
  }

  async #run(): Promise<void> {
    const { state } = this.#options;
    while (!this.#stopped && this.#isNeeded()) {
      const segment = this.#oldest();
      if (segment === undefined) return;
      try {
        await this.#evacuate(segment);
      } catch (error) {
        if (!(error instanceof CisternError)) throw error;
        state.logger.error('ring.recycle_failed', { slot: segment.slot, error: error.message });
        this.#failure = error;
        this.#retryLater();
        return;
      }
    }
  }

  #retryLater(): void {
    this.#retryTimer = this.#options.state.clock.after(RETRY_MS, () => {
      this.#retryTimer = undefined;
      this.wake();
    });
  }

  async #evacuate(segment: Segment): Promise<void> {
    const { committer, evacuator, state } = this.#options;
    segment.state = 'evacuating';
    // Plain records are always dropped, so a segment without flags need not even be read.
    if (segment.flags !== 0 && this.#carriedFrom !== segment) {
      await this.#carrySurvivors(segment);
      await committer.flush();
      this.#carriedFrom = segment;
    }
    await evacuator.checkpoint(segment.lastSequence);
    state.checkpointSequence = Math.max(state.checkpointSequence, segment.lastSequence);
    this.#failure = undefined;
    this.#free(segment);
  }

  async #carrySurvivors(segment: Segment): Promise<void> {
    const { appender, committer, evacuator, reader, maxPendingBytes } = this.#options;
    const detail = await reader.detailOf(segment);
    if (detail === undefined) return;
    for (const place of detail.batches) {
      if (place.position >= segment.copiedFrom || (place.flags & 0x0f) === 0) continue;
      const records = (await reader.recordsOf(segment, detail, place)) ?? [];
      for (const record of records) {
        if (record.flags === 0 || evacuator.decide(record) === 'drop') continue;
        appender.carry(record);
        committer.appended(true);
      }
      // Carried bytes wait for the device like new ones do, but must not crowd them out.
      if (appender.pendingBytes > maxPendingBytes) await committer.flush();
    }
  }

  #free(segment: Segment): void {
    const { state, onFree } = this.#options;
    state.letGo(segment);
    state.slots.free(segment.slot);
    onFree();
  }
}
