import { assert } from '../base/assert.ts';
import type { Timer } from '../platform/clock.ts';
import type { PendingBatch } from './active-segment.ts';
import type { Appender } from './appender.ts';
import { batchLength } from './batch-header.ts';
import type { BatchWriter } from './batch-writer.ts';
import { type CommitGovernor, RecentWaiters } from './governor.ts';
import type { RingState } from './ring-state.ts';
import { placeOf } from './segment.ts';
import { encodeSummary } from './summary.ts';
import type { DurabilityWaiter } from './types.ts';

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;

export interface CommitterOptions {
  readonly state: RingState;
  readonly appender: Appender;
  readonly governor: CommitGovernor;
  readonly maxCommitWindowMs: number;
  /** Called after each batch, and when writing fails or works again. */
  readonly onChange: () => void;
}

/**
 * Writes batches one at a time and releases who waits for them.
 *
 * Invariants: at most one write is in flight, summaries included; a waiter is told only after the
 * synced write of every record appended before it asked; a failed write is repeated in place only
 * where there is no slot to move to.
 */
export class Committer {
  /** Set from the second failed write in a row until one succeeds. */
  failure: Error | undefined;

  readonly #state: RingState;
  readonly #appender: Appender;
  readonly #governor: CommitGovernor;
  readonly #maxCommitWindowMs: number;
  readonly #onChange: () => void;
  #inFlight: PendingBatch | undefined;
  #busy = false;
  #stopped = false;
  /** Something in the open batch does not ride, or must not wait any longer. */
  #due = false;
  /** The open batch is not to be held back at all. */
  #forced = false;
  #turnScheduled = false;
  #windowTimer: Timer | undefined;
  #governorTimer: Timer | undefined;
  #retryTimer: Timer | undefined;
  #lastCommitMs = Number.NEGATIVE_INFINITY;
  readonly #recent = new RecentWaiters();
  #failures = 0;
  #suspectSlot: number | undefined;
  /** A failed batch that had no slot to move to. */
  #stuck: PendingBatch | undefined;
  #idleWaiters: (() => void)[] = [];
  #failureWaiters: (() => void)[] = [];

  constructor(options: CommitterOptions) {
    this.#state = options.state;
    this.#appender = options.appender;
    this.#governor = options.governor;
    this.#maxCommitWindowMs = options.maxCommitWindowMs;
    this.#onChange = options.onChange;
  }

  /** Everything appended so far is on flash. */
  get isClean(): boolean {
    return (
      this.#inFlight === undefined && this.#appender.closed.length === 0 && !this.#appender.hasOpen
    );
  }

  /** To be called after each append. */
  appended(rides: boolean): void {
    if (!rides) {
      this.#due = true;
      this.#scheduleTurn();
    } else if (!this.#due && this.#windowTimer === undefined) {
      this.#windowTimer = this.#state.clock.after(this.#maxCommitWindowMs, this.#windowEnded);
    }
    if (this.#appender.closed.length > 0) this.#scheduleTurn();
  }

  whenDurable(waiter: DurabilityWaiter): void {
    if (this.isClean) {
      waiter.onDurable(this.#state.durableSequence);
      return;
    }
    const writer = this.#lastPending();
    writer.waiters.push(waiter);
    if (waiter.isClient === true) this.#recent.note(waiter, this.#appender.nowMs());
    else writer.isUrgent = true;
  }

  /** Commits all that is open. Resolves when it is durable. */
  flush(): Promise<void> {
    if (this.isClean) return Promise.resolve();
    return new Promise((resolve) => {
      this.whenDurable({ onDurable: () => resolve() });
      this.#due = true;
      this.#forced = this.#appender.hasOpen;
      this.#pump();
    });
  }

  /** As `flush`, but false as soon as writing has failed twice in a row. */
  flushOrGiveUp(): Promise<boolean> {
    if (this.isClean) return Promise.resolve(true);
    if (this.failure !== undefined) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#failureWaiters.push(() => resolve(false));
      void this.flush().then(() => resolve(true));
    });
  }

  /**
   * Writes what is closed, for a ring that is being opened: false where that failed twice, after
   * which nothing more is tried. `mayMove` allows the second try, in another slot.
   */
  async commitNow({ mayMove }: { readonly mayMove: boolean }): Promise<boolean> {
    if (!mayMove) this.#failures = 1;
    this.#pump();
    while (!this.isClean && this.failure === undefined) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
    if (this.failure === undefined) return true;
    await this.stop();
    return false;
  }

  /** Writes the empty batch that ends a ring closed in order, where there is room for it. */
  async commitClosed(): Promise<void> {
    if (!this.#appender.closeRing()) return;
    this.#pump();
    while (!this.isClean && this.failure === undefined) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
  }

  /** Writes nothing more once what is in flight has returned. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#windowTimer?.cancel();
    this.#governorTimer?.cancel();
    this.#retryTimer?.cancel();
    if (this.#busy) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  #lastPending(): BatchWriter {
    const appender = this.#appender;
    const pending = appender.openBatch ?? appender.closed.at(-1)?.writer ?? this.#inFlight?.writer;
    assert(pending !== undefined, 'nothing is pending after all');
    return pending;
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled || this.#busy) return;
    this.#turnScheduled = true;
    this.#state.clock.atTurnEnd(this.#turnEnded);
  }

  readonly #turnEnded = (): void => {
    this.#turnScheduled = false;
    this.#pump();
  };

  readonly #windowEnded = (): void => {
    this.#windowTimer = undefined;
    this.#due = true;
    this.#pump();
  };

  readonly #governorEnded = (): void => {
    this.#governorTimer = undefined;
    this.#pump();
  };

  #pump(): void {
    if (this.#busy || this.#stopped || this.#retryTimer !== undefined) return;
    const stuck = this.#takeStuck();
    if (stuck !== undefined) {
      this.#busy = true;
      void this.#commit(stuck);
      return;
    }
    if (this.#summaryIsDue()) {
      this.#busy = true;
      void this.#writeSummary();
      return;
    }
    const batch = this.#nextBatch();
    if (batch === undefined) return;
    this.#busy = true;
    this.#inFlight = batch;
    void this.#commit(batch);
  }

  #nextBatch(): PendingBatch | undefined {
    const appender = this.#appender;
    const open = appender.openBatch;
    if (appender.closed.length === 0 && open !== undefined && this.#mayCommit(open)) {
      appender.close();
      this.#forced = false;
    }
    if (!appender.hasOpen) this.#nothingIsDue();
    return appender.closed.shift();
  }

  #nothingIsDue(): void {
    this.#due = false;
    this.#forced = false;
    this.#windowTimer?.cancel();
    this.#windowTimer = undefined;
  }

  #mayCommit(writer: BatchWriter): boolean {
    if (!this.#due) return false;
    // Not `appender.nowMs()`, which would have the clock call at the end of one more turn.
    const nowMs = Math.floor(this.#state.clock.monotonicMs());
    const proposal = {
      bodyBytes: writer.bodyBytes,
      packedShare: this.#appender.packedShare,
      sinceLastMs: nowMs - this.#lastCommitMs,
      waiting: writer.isUrgent ? Infinity : writer.waiters.length,
      active: this.#recent.size,
    };
    const delayMs = this.#forced ? 0 : this.#governor.delayMs(proposal);
    if (delayMs <= 0) {
      this.#governorTimer?.cancel();
      this.#governorTimer = undefined;
      this.#lastCommitMs = nowMs;
      return true;
    }
    this.#governorTimer ??= this.#state.clock.after(delayMs, this.#governorEnded);
    return false;
  }

  async #commit(batch: PendingBatch): Promise<void> {
    const { writer, active } = batch;
    const { header } = writer;
    assert(header !== undefined, 'a batch was not sealed');
    const offset = header.position + batchLength(header) - writer.sealed.length;
    try {
      await this.#state.files.writeDurable(active.segment.slot, offset, writer.sealed);
    } catch (error) {
      this.#failed(batch, toError(error));
      return;
    }
    this.#succeeded();
    this.#release(batch);
    this.#idle();
  }

  #release({ writer, active }: PendingBatch): void {
    const state = this.#state;
    const { header } = writer;
    assert(header !== undefined, 'a batch was not sealed');
    this.#inFlight = undefined;
    this.#meter(writer.sealed.length);
    const freshShare = writer.count === 0 ? 0 : writer.freshCount / writer.count;
    state.counters.freshFlashBytes += writer.sealed.length * freshShare;
    state.counters.commits++;
    active.segment.addBatch(placeOf(header, batchLength(header)), header.headerCrc);
    const key = active.segment.epoch;
    state.cache.putWritten(key, header.position, header, writer.body);
    const lastSequence = header.firstSequence + header.freshCount - 1;
    state.durableSequence = Math.max(state.durableSequence, lastSequence);
    const { firstSequence } = header;
    for (const { partition, firstOffset, count, bytes, nameBytes } of writer.runs) {
      const range = { firstOffset, lastOffset: firstOffset + count - 1 };
      partition.kept.add({ ...range, firstSequence, lastSequence, count, bytes, nameBytes });
    }
    this.#appender.noLongerPending(writer);
    for (const run of writer.runs) run.partition.becomeDurable(run.firstOffset + run.count);
    for (const waiter of writer.waiters) waiter.onDurable(state.durableSequence);
    this.#appender.recycle(writer);
  }

  // A summary follows the first batch of the next segment: its header names where this one ended.
  #summaryIsDue(): boolean {
    const [sealed] = this.#appender.sealedSegments;
    if (sealed === undefined || this.#failures > 0) return false;
    return this.#state.segments.some(
      ({ epoch, endOffset, startOffset }) =>
        epoch > sealed.segment.epoch && endOffset > startOffset,
    );
  }

  async #writeSummary(): Promise<void> {
    const state = this.#state;
    const active = this.#appender.sealedSegments.shift();
    assert(active !== undefined, 'no segment waits for its summary');
    const { segment, detail } = active;
    const summary = encodeSummary(segment, detail, state.crc32, active.seed);
    const fits =
      !active.abandoned && segment.endOffset + summary.length <= state.identity.segmentSizeBytes;
    if (segment.state === 'active') segment.state = 'sealed';
    segment.detail = undefined;
    state.cache.putDetail(segment.epoch, detail);
    if (fits && segment.state !== 'free') {
      try {
        await state.files.writeDurable(segment.slot, segment.endOffset, summary);
        this.#meter(summary.length);
      } catch (error) {
        // It is advisory: without it the next start walks the segment.
        state.logger.warn('ring.summary_failed', { error: toError(error).message });
      }
    }
    this.#idle();
  }

  #meter(byteCount: number): void {
    this.#state.counters.flashBytes += byteCount;
    this.#state.counters.flushes++;
    this.#governor.spent(byteCount);
  }

  #idle(): void {
    this.#busy = false;
    this.#onChange();
    this.#pump();
    if (this.#busy) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #succeeded(): void {
    if (this.#suspectSlot !== undefined) this.#retireSuspect(this.#suspectSlot);
    this.#suspectSlot = undefined;
    this.#failures = 0;
    if (this.failure === undefined) return;
    this.failure = undefined;
    this.#state.logger.info('ring.device_recovered');
  }

  // That another slot took the same data is the proof that the slot, not the device, is bad.
  #retireSuspect(slot: number): void {
    if (this.failure !== undefined) return;
    const retired = this.#state.slots.retire(slot);
    this.#state.logger.warn('ring.slot_retired', { slot, retired });
  }

  #failed(batch: PendingBatch, error: Error): void {
    const state = this.#state;
    this.#failures++;
    const { slot } = batch.active.segment;
    state.logger.error('ring.write_failed', {
      slot,
      failures: this.#failures,
      error: error.message,
    });
    if (this.#failures === 1) this.#suspectSlot = slot;
    else this.failure = error;
    if (this.#mayEncodeAgain(batch)) {
      this.#encodeAgain(batch);
    } else {
      this.#stuck = batch;
      this.failure = error;
    }
    if (this.failure !== undefined) {
      for (const tell of this.#failureWaiters.splice(0)) tell();
      this.#retryLater();
    }
    this.#idle();
  }

  #encodeAgain(batch: PendingBatch): void {
    this.#inFlight = undefined;
    for (const segment of this.#appender.encodeAgain(batch)) this.#drop(segment.epoch);
    this.#due = true;
  }

  // Where recycling has freed a slot meanwhile, the batch moves there. Else the same bytes go to the
  // same place: nothing in those pages was acknowledged, and recycling may be waiting for this very
  // batch before it can free a slot.
  #takeStuck(): PendingBatch | undefined {
    const batch = this.#stuck;
    if (batch === undefined) return undefined;
    this.#stuck = undefined;
    if (!this.#mayEncodeAgain(batch)) return batch;
    this.#encodeAgain(batch);
    return undefined;
  }

  #mayEncodeAgain(batch: PendingBatch): boolean {
    const waiting = [batch, ...this.#appender.closed];
    const segments = new Set(waiting.map(({ active }) => active.segment));
    return this.#state.slots.inHand > segments.size;
  }

  /** Forgets a segment of which nothing is on flash. */
  #drop(epoch: number): void {
    const { segments, slots } = this.#state;
    const at = segments.findIndex((segment) => segment.epoch === epoch);
    const [segment] = segments.splice(at, 1);
    if (segment === undefined) return;
    segment.state = 'free';
    slots.free(segment.slot);
  }

  #retryLater(): void {
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** Math.max(0, this.#failures - 2), MAX_RETRY_MS);
    this.#retryTimer = this.#state.clock.after(delayMs, () => {
      this.#retryTimer = undefined;
      this.#pump();
    });
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
