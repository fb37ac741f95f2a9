import { assert } from '../base/assert.ts';
import { toHex } from '../base/hex.ts';
import { CisternError } from '../base/errors.ts';
import type { Appender } from './appender.ts';
import type { Committer } from './commit.ts';
import { type CommitGovernor, gatheringGovernor, WearGovernor } from './governor.ts';
import { sequenceToKeep } from './kept-ranges.ts';
import { openParts, type OpenedRing } from './open.ts';
import { Reader } from './reader.ts';
import { Recycler } from './recycler.ts';
import type { RingState } from './ring-state.ts';
import { Shrinker } from './shrinker.ts';
import { SLOTS_TO_OPEN } from './segment-opener.ts';
import type { Volume } from '../platform/volume.ts';
import {
  type AppendRequest,
  type DurabilityWaiter,
  type EventTime,
  type Evacuator,
  type PartitionInfo,
  type ReadLimits,
  type ReadResult,
  RecordFlag,
  type RecordView,
  type RecoveryReport,
  type Ring,
  type RingOptions,
  type RingStatistics,
  type ScanOptions,
} from './types.ts';

const MAX_PENDING_BYTES = 8 * 1024 * 1024;
/** Opening a segment takes one slot and names another; a third is for the restart after a cut. */
const FREE_SLOTS_TARGET = 3;
/** One more where it costs little, so that a restart need not wait for the first slot. */
const FREE_SLOTS_TARGET_LARGE = 4;
const LARGE_RING_SLOTS = 32;

/**
 * Recovers the ring in `options.volume`, or makes one. Nothing else may use that directory; the
 * caller sees to it. Resolves when the first batch of a new epoch is durable; where only one slot is
 * free, before that.
 *
 * Throws CONFIG_INVALID for a size that does not fit what is there, RING_FORMAT_UNKNOWN for a ring
 * of a newer program, and DEVICE_FULL, DATA_UNWRITABLE or DEVICE_FAILED where nothing can be written.
 * No damage makes it throw.
 */
export async function openRing(options: RingOptions): Promise<Ring> {
  const changed = { fn: (): void => undefined };
  const governor = governorOf(options);
  const parts = await openParts(options, { governor, onChange: () => changed.fn() });
  const ring = new OpenRing(options, parts, governor);
  changed.fn = () => ring.deviceChanged();
  return ring;
}

function governorOf(options: RingOptions): CommitGovernor {
  const { budgetBytesPerDay } = options;
  if (budgetBytesPerDay === undefined) return gatheringGovernor;
  return new WearGovernor({ ...options, budgetBytesPerDay });
}

class OpenRing implements Ring {
  readonly recovery: RecoveryReport;
  readonly ringId: string;
  readonly maxRecordBytes: number;
  readonly #state: RingState;
  readonly #appender: Appender;
  readonly #committer: Committer;
  readonly #governor: CommitGovernor;
  readonly #reader: Reader;
  readonly #maxPendingBytes: number;
  readonly #volume: Volume;
  #recycler: Recycler | undefined;
  #shrinker: Shrinker | undefined;
  #onAccepting: (() => void)[] = [];
  #isClosing = false;
  #isClosed = false;

  constructor(options: RingOptions, parts: OpenedRing, governor: CommitGovernor) {
    this.#governor = governor;
    this.#volume = options.volume;
    this.#state = parts.state;
    this.#appender = parts.appender;
    this.#committer = parts.committer;
    this.#reader = new Reader(parts.state);
    this.recovery = parts.recovery;
    this.ringId = toHex(parts.state.identity.ringId);
    this.maxRecordBytes = parts.appender.maxRecordBytes;
    this.#maxPendingBytes = Math.min(MAX_PENDING_BYTES, options.sizeBytes / 8);
  }

  get durableSequence(): number {
    return this.#state.durableSequence;
  }

  get checkpointSequence(): number {
    return this.#state.checkpointSequence;
  }

  get lastSequence(): number {
    return this.#state.lastSequence;
  }

  partitions(): readonly PartitionInfo[] {
    return this.#state.partitions.all;
  }

  partition(id: number): PartitionInfo | undefined {
    return this.#state.partitions.get(id);
  }

  ensurePartition(stream: string, index: number): PartitionInfo {
    const known = this.#state.partitions.find(stream, index);
    if (known !== undefined) return known;
    const made = this.#state.partitions.make(stream, index);
    this.#appender.announcePartition(made);
    return made;
  }

  ensureTail(partitionId: number, offset: number): void {
    assert(this.#recycler === undefined, 'tails are raised before start');
    const partition = this.#state.partitions.need(partitionId);
    if (offset <= partition.tailOffset) return;
    if (partition.headOffset === partition.tailOffset) partition.headOffset = offset;
    partition.tailOffset = offset;
    partition.durableOffset = offset;
  }

  ensureSequence(sequence: number): void {
    assert(this.#recycler === undefined, 'sequences are raised before start');
    this.#state.lastSequence = Math.max(this.#state.lastSequence, sequence);
    this.#state.durableSequence = Math.max(this.#state.durableSequence, sequence);
  }

  get bootNumber(): number {
    return this.#state.identity.bootNumber;
  }

  get lastTime(): EventTime | undefined {
    return this.#state.lastTime;
  }

  setTrustedOffset(offsetMs: number | undefined): void {
    this.#state.trustedOffsetMs = offsetMs;
  }

  onCopy(timeForCopy: (time: EventTime) => EventTime): void {
    assert(this.#recycler === undefined, 'nothing was copied yet');
    this.#state.timeForCopy = timeForCopy;
  }

  start(evacuator: Evacuator): void {
    assert(this.#recycler === undefined, 'the ring was started already');
    const { slotCount } = this.#state.identity;
    const stayingSlots = this.#state.slots.leavingFrom;
    const freeTarget =
      stayingSlots < LARGE_RING_SLOTS ? FREE_SLOTS_TARGET : FREE_SLOTS_TARGET_LARGE;
    if (slotCount > stayingSlots) this.#shrinker = this.#createShrinker();
    this.#recycler = new Recycler({
      state: this.#state,
      appender: this.#appender,
      committer: this.#committer,
      reader: this.#reader,
      evacuator,
      freeTarget,
      wantsMore: () => this.#shrinker?.wantsSlots === true,
      maxPendingBytes: this.#maxPendingBytes,
      onFree: () => this.deviceChanged(),
    });
    this.deviceChanged();
  }

  #createShrinker(): Shrinker {
    return new Shrinker({
      state: this.#state,
      appender: this.#appender,
      committer: this.#committer,
      volume: this.#volume,
      onWritten: (byteCount) => this.#governor.spent(byteCount),
      onShrunk: () => {
        this.#shrinker = undefined;
      },
    });
  }

  append(request: AppendRequest): number {
    assert(this.#recycler !== undefined && !this.#isClosed, 'the ring is not started');
    // A control record is small and is part of something that has begun, so it is let in as long as
    // there is any room at all.
    const insists = request.insists === true || (request.flags & RecordFlag.control) !== 0;
    if (!insists && !this.#mayAppend()) throw notAccepting();
    const sequence = this.#appender.append(request, insists);
    this.#committer.appended(request.rides);
    return sequence;
  }

  get accepting(): boolean {
    return this.#mayAppend() && !this.#appender.wantsNewSegment;
  }

  // After a start that used up what is kept for starts, `accepting` is false until recycling has put
  // that right; who does not ask is let in all the same, since it takes two cuts to matter.
  #mayAppend(): boolean {
    return (
      this.#committer.failure === undefined &&
      this.#appender.pendingBytes < this.#maxPendingBytes &&
      !this.#appender.takesCopiesOnly &&
      (this.#state.slots.inHand >= SLOTS_TO_OPEN || this.#appender.hasEasyRoom)
    );
  }

  get failed(): boolean {
    return this.#findFailure() !== undefined;
  }

  /** A device that refuses, or a ring that is full and cannot let go of anything (its checkpoint fails). */
  #findFailure(): Error | undefined {
    if (this.#committer.failure !== undefined) return this.#committer.failure;
    const failure = this.#recycler?.failure;
    return failure === undefined || this.accepting ? undefined : failure;
  }

  onAccepting(fn: () => void, isFirst = false): void {
    if (this.accepting) fn();
    else if (isFirst) this.#onAccepting.unshift(fn);
    else this.#onAccepting.push(fn);
  }

  whenDurable(waiter: DurabilityWaiter): void {
    this.#committer.whenDurable(waiter);
  }

  flush(): Promise<void> {
    return this.#committer.flush();
  }

  flushOrGiveUp(): Promise<boolean> {
    return this.#committer.flushOrGiveUp();
  }

  read(partitionId: number, fromOffset: number, limits: ReadLimits): Promise<ReadResult> {
    return this.#reader.read(partitionId, fromOffset, limits);
  }

  readAt(partitionId: number, offset: number): Promise<RecordView | undefined> {
    return this.#reader.readAt(partitionId, offset);
  }

  whenReadable(partitionId: number, offset: number, fn: () => void): () => void {
    return this.#state.partitions.need(partitionId).watch(offset, fn);
  }

  scan(options: ScanOptions): AsyncIterable<readonly RecordView[]> {
    return this.#reader.scan(options);
  }

  bytesBetween(partitionId: number, from: number, to: number): number {
    const partition = this.#state.partitions.get(partitionId);
    return partition?.kept.bytesBetween(from, to) ?? 0;
  }

  countByTopic(): Promise<ReadonlyMap<string, number>> {
    return this.#reader.countByTopic();
  }

  bytesSince(sequence: number): number {
    let bytes = 0;
    for (const segment of this.#state.segments) {
      if (segment.lastSequence < sequence) continue;
      for (const extent of segment.extents.values()) bytes += extent.freshBytes;
    }
    return bytes;
  }

  trim(partitionId: number, offset: number): void {
    this.#state.trim(this.#state.partitions.need(partitionId), offset);
  }

  trimToBytes(
    partitionIds: readonly number[],
    maxBytes: number,
    keepFrom: (partitionId: number) => number = () => Infinity,
  ): void {
    const all = partitionIds.map((id) => this.#state.partitions.need(id));
    const sequence = sequenceToKeep(
      all.flatMap(({ kept }) => kept.ranges),
      maxBytes,
    );
    if (sequence === 0) return;
    for (const partition of all) {
      const offset = Math.min(partition.kept.offsetOf(sequence), keepFrom(partition.id));
      this.#state.trim(partition, offset);
    }
  }

  weightFrom(partitionId: number, from: number): number {
    return this.#state.partitions.need(partitionId).kept.weightFrom(from);
  }

  payFor(deviceBytes: number): void {
    this.#governor.spent(deviceBytes);
  }

  statistics(): RingStatistics {
    const { counters, identity, segments, slots } = this.#state;
    return {
      ...counters,
      ringId: this.ringId,
      sizeBytes: identity.slotCount * identity.segmentSizeBytes,
      usedBytes: segments.reduce((sum, segment) => sum + segment.endOffset, 0),
      segments: segments.length,
      epoch: this.#state.epoch,
      retiredSlots: slots.retired,
      maxRetiredSlots: slots.maxRetired,
      lost: this.#state.lost,
      pendingBytes: this.#appender.pendingBytes,
      wear: this.#governor.gauge(),
      failure: this.#findFailure(),
      shrinkFailure: this.#shrinker?.failure,
    };
  }

  async stopRecycling(): Promise<void> {
    await this.#shrinker?.stop();
    // What it is about to let go may still be appended elsewhere by the owner.
    await this.#recycler?.stop();
  }

  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    await this.stopRecycling();
    this.#isClosed = true;
    await this.#committer.flushOrGiveUp();
    // The next start then knows that nothing is missing behind the last record.
    if (this.#committer.failure === undefined) await this.#committer.commitClosed();
    await this.#committer.stop();
    await this.#state.files.close();
  }

  /** A batch returned, a slot became free, or writing failed or works again. */
  deviceChanged(): void {
    if (this.#recycler === undefined || this.#isClosed) return;
    if (this.#appender.wantsNewSegment && this.#state.slots.inHand >= SLOTS_TO_OPEN) {
      this.#appender.startNewSegment();
      this.#committer.appended(false);
    }
    this.#shrinker?.wake();
    this.#recycler.wake();
    if (this.#onAccepting.length === 0 || !this.accepting) return;
    for (const fn of this.#onAccepting.splice(0)) fn();
  }
}

function notAccepting(): CisternError {
  return new CisternError(
    'RING_FULL',
    'The ring takes no records until the device has caught up.',
    {
      remedy: 'Wait until it accepts again.',
    },
  );
}
