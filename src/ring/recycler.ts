import type { Appender } from './appender.ts';
import { CisternError } from '../base/errors.ts';
import { CopyIndex } from './copy-index.ts';
import type { Committer } from './commit.ts';
import type { Reader } from './reader.ts';
import type { RingState } from './ring-state.ts';
import { RECORD_FLAGS_MASK } from './format.ts';
import type { BatchPlace, Segment } from './segment.ts';
import type { Timer } from '../platform/clock.ts';
import { type Evacuator, FIRST_STREAM_PARTITION_ID, RecordFlag, type RecordView } from './types.ts';

/** A checkpoint that cannot be written (a full disk) is tried again after this, not at each commit. */
const RETRY_MS = 5_000;
/** A lap that takes in less than this part of the ring has won nothing. */
const FRUITLESS_SHARE = 1 / 32;
/** One such lap puts together what a row of cut starts has left in many small segments. */
const SETTLING_LAPS = 1;

/**
 * A copy has no receipt. It may live on for many laps, and the release of its packet identifier, which
 * is carried once, would be gone before it: a start without a checkpoint would take the identifier for
 * open, and the next message under it for a repeat. The owner keeps what is open in its own records.
 */
const COPIED_FLAGS = RECORD_FLAGS_MASK & ~RecordFlag.receipt;

export interface RecyclerOptions {
  readonly state: RingState;
  readonly appender: Appender;
  readonly committer: Committer;
  readonly reader: Reader;
  readonly evacuator: Evacuator;
  readonly freeTarget: number;
  /** True while more segments must go than `freeTarget` asks for: the ring is to shrink. */
  readonly wantsMore: () => boolean;
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
  readonly #stopping = Promise.withResolvers<void>();
  /** Its survivors are durable elsewhere already: another try must not carry them twice. */
  #carriedFrom: Segment | undefined;
  #retryTimer: Timer | undefined;
  #fruitlessLaps = 0;
  /** Segments gone through since the lap began, and what was fresh on flash by then. */
  #inLap = 0;
  #freshBefore = 0;
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

  /** Ends what it is doing, but does not wait for a device that fails. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retryTimer?.cancel();
    this.#stopping.resolve();
    await this.#running;
  }

  /** False where the ring is being closed and nothing can be written. */
  #flush(): Promise<boolean> {
    const { committer } = this.#options;
    const flushed = committer.flush().then(() => true);
    return Promise.race([flushed, this.#stopping.promise.then(() => committer.flushOrGiveUp())]);
  }

  #isNeeded(): boolean {
    const { state, freeTarget, wantsMore } = this.#options;
    const isShort = state.slots.inHand < freeTarget || wantsMore();
    return isShort && this.#next() !== undefined;
  }

  /**
   * Always the oldest, however much of it is live: a start without a checkpoint counts on it that what
   * deletes a value, or releases a packet identifier, is never gone before what it deletes.
   */
  #next(): Segment | undefined {
    const [oldest] = this.#options.state.segments;
    return oldest !== undefined && oldest.state !== 'active' ? oldest : undefined;
  }

  async #run(): Promise<void> {
    const { state } = this.#options;
    while (!this.#stopped && this.#isNeeded()) {
      const segment = this.#next();
      if (segment === undefined) return;
      const laps = this.#countFruitlessLaps() - SETTLING_LAPS;
      this.#options.evacuator.release(heldOffsets(segment), Math.max(0, laps));
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
    const { evacuator, state } = this.#options;
    segment.state = 'evacuating';
    let isCarried = true;
    if (this.#carriedFrom !== segment && this.#mayHaveSurvivors(segment)) {
      isCarried = await this.#carryWhatHasRoom(segment);
      if (!(await this.#flush())) return;
      if (isCarried) this.#carriedFrom = segment;
    }
    await evacuator.checkpoint(segment.lastSequence);
    state.checkpointSequence = Math.max(state.checkpointSequence, segment.lastSequence);
    this.#failure = undefined;
    await this.#free(segment, isCarried);
  }

  /**
   * False where there is no slot at all, as after a row of starts that were cut short, and more
   * survivors than the newest segment has room for: there is no other way then than to let them go.
   */
  async #carryWhatHasRoom(segment: Segment): Promise<boolean> {
    try {
      await this.#carrySurvivors(segment);
      return true;
    } catch (error) {
      const isFull = error instanceof CisternError && error.code === 'RING_FULL';
      if (isFull && this.#options.state.slots.inHand === 0) return false;
      throw error;
    }
  }

  /** Laps in a row during which next to nothing new came in: the ring carried, and carried again. */
  #countFruitlessLaps(): number {
    const { segments, counters, identity } = this.#options.state;
    // A ring that is to shrink lets go of more than comes in, whatever the quotas are.
    if (this.#options.wantsMore()) {
      this.#inLap = 0;
      this.#freshBefore = counters.freshFlashBytes;
      return this.#fruitlessLaps;
    }
    if (++this.#inLap < segments.length) return this.#fruitlessLaps;
    const ringBytes = identity.slotCount * identity.segmentSizeBytes;
    const isFruitless = counters.freshFlashBytes - this.#freshBefore < FRUITLESS_SHARE * ringBytes;
    this.#fruitlessLaps = isFruitless ? this.#fruitlessLaps + 1 : 0;
    this.#inLap = 0;
    this.#freshBefore = counters.freshFlashBytes;
    return this.#fruitlessLaps;
  }

  /** Where nothing is flagged and all lies below the heads, the segment need not even be read. */
  #mayHaveSurvivors(segment: Segment): boolean {
    const { partitions } = this.#options.state;
    if (segment.flags !== 0) return true;
    for (const [id, offset] of heldOffsets(segment)) {
      if (offset >= (partitions.get(id)?.headOffset ?? 0)) return true;
    }
    return false;
  }

  // Copies first: they are older than what is fresh, and so come to lie in order again.
  async #carrySurvivors(segment: Segment): Promise<void> {
    const { appender, committer, reader, state, maxPendingBytes } = this.#options;
    const detail = await reader.detailOf(segment);
    if (detail === undefined) return;
    const copies = new CopyIndex(state.segments, segment);
    const places = detail.batches.filter(({ position }) => position < segment.copiedFrom);
    for (const carried of [true, false]) {
      for (const place of places) {
        if (!this.#mayHold(place, carried)) continue;
        const records = (await reader.recordsOf(segment, detail, place)) ?? [];
        for (const record of records) {
          if (record.carried !== carried || !this.#survives(record, copies)) continue;
          appender.carry(record, this.#flagsOf(record) & COPIED_FLAGS);
          committer.appended(true);
        }
        // Carried bytes wait for the device like new ones do, but must not crowd them out.
        if (appender.pendingBytes > maxPendingBytes) await this.#flush();
      }
    }
  }

  #mayHold(place: BatchPlace, carried: boolean): boolean {
    const { partitions } = this.#options.state;
    const isKept = (id: number, lastOffset: number): boolean =>
      id >= FIRST_STREAM_PARTITION_ID && lastOffset >= (partitions.get(id)?.headOffset ?? 0);
    const isFlagged = (place.flags & RECORD_FLAGS_MASK) !== 0;
    if (carried) {
      return place.carried.some((run) => isFlagged || isKept(run.partitionId, run.lastOffset));
    }
    return place.runs.some(
      (run) => isFlagged || isKept(run.partitionId, run.firstOffset + run.count - 1),
    );
  }

  #flagsOf(record: RecordView): number {
    const { copiedFlags } = this.#options.evacuator;
    const isStreams = record.partitionId >= FIRST_STREAM_PARTITION_ID;
    return isStreams ? (copiedFlags?.(record) ?? record.flags) : record.flags;
  }

  #survives(record: RecordView, copies: CopyIndex): boolean {
    const { evacuator, state } = this.#options;
    const partition = state.partitions.need(record.partitionId);
    const isStreams = partition.id >= FIRST_STREAM_PARTITION_ID;
    if (isStreams && record.offset >= partition.headOffset) {
      if (evacuator.keeps(record)) return !copies.has(partition.id, record.offset);
      state.trim(partition, record.offset + 1);
    }
    if (record.flags === 0 && isStreams) return false;
    return evacuator.decide(record) === 'carry';
  }

  async #free(segment: Segment, isCarried: boolean): Promise<void> {
    const { appender, state, onFree } = this.#options;
    appender.noteLetGo(segment);
    if (isCarried) state.letGo(segment);
    else state.sacrifice(segment);
    if (!(await this.#flush())) return;
    state.slots.free(segment.slot);
    onFree();
  }
}

/** The highest offset of each stream's partition. */
function heldOffsets({ extents }: Segment): Map<number, number> {
  const held = new Map<number, number>();
  for (const { partitionId, highest } of extents.values()) {
    if (partitionId >= FIRST_STREAM_PARTITION_ID) held.set(partitionId, highest);
  }
  return held;
}
