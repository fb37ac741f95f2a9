import { assert } from '../base/assert.ts';
import { CisternError } from '../base/errors.ts';
import type { Clock } from '../platform/clock.ts';
import { CompressionPolicy } from './compression-policy.ts';
import type { ActiveSegment, PendingBatch, SealedSegment } from './active-segment.ts';
import { type DecodedRecord, decodeRecords } from './batch-reader.ts';
import { BatchWriter } from './batch-writer.ts';
import { utf8Length } from './bytes.ts';
import { BATCH_CLOSED, BATCH_PROVISIONAL, PAGE_BYTES, RECORD_FLAGS_MASK } from './format.ts';
import type { Partition } from './partitions.ts';
import { letGoBytes, MAX_HEAD_BYTES, summaryReserve } from './reserves.ts';
import type { RingState } from './ring-state.ts';
import type { Segment } from './segment.ts';
import type { PreviousEnd } from './segment-header.ts';
import {
  ringFull,
  SegmentOpener,
  SLOTS_FOR_START,
  SLOTS_TO_CARRY,
  SLOTS_TO_OPEN,
} from './segment-opener.ts';
import { carriedNumber, countSource, numberOf, type TopicAndOrigin } from './topic-numbers.ts';
import {
  type AppendRequest,
  type EventTime,
  FIRST_STREAM_PARTITION_ID,
  type RecordView,
} from './types.ts';

/** Definitions are repeated this often, so that damage takes few names; more often where segments are small. */
const DEFINITION_PERIOD_BYTES = 256 * 1024;
const DEFINITION_PERIODS = 16;
const MAX_BATCH_BYTES = 512 * 1024;
const MAX_IDLE_WRITERS = 8;
/** Apart by more than this, the wall clock was set; slewing moves both clocks alike. */
const CLOCK_STEP_MS = 1_000;
/** What a record that waits takes beside its bytes, an ack that waits for it included: empty ones add up too. */
const PENDING_RECORD_BYTES = 64;
/**
 * A segment with so many topics is left early, where slots are at hand: each is in memory while the
 * segment is written, and well-compressed ones would add up to hundreds of MiB.
 */
const MAX_SOURCES_A_SEGMENT = 32_768;

/** Where a batch begins that takes up what another one held. */
interface BatchStart {
  /** Of the first fresh record that goes in, after however many carried ones. */
  readonly sequence: number;
  /** Of the batch that the record was in before. */
  readonly clock: EventTime;
}

export interface AppenderOptions {
  readonly state: RingState;
  readonly compress: boolean;
  readonly governorTokens: () => number;
  readonly previous: PreviousEnd;
}

/**
 * Encodes records into the open batch, batches into segments, and opens the next segment when one
 * is full. It writes nothing; the committer takes closed batches from it in order.
 */
export class Appender {
  readonly closed: PendingBatch[] = [];
  /** Left behind full; the committer writes their summaries. */
  readonly sealedSegments: SealedSegment[] = [];
  readonly maxRecordBytes: number;

  readonly #state: RingState;
  readonly #clock: Clock;
  readonly #compression: CompressionPolicy | undefined;
  readonly #opener: SegmentOpener;
  readonly #maxBatchBytes: number;
  readonly #periodBytes: number;
  readonly #easyEndBytes: number;
  readonly #idle: BatchWriter[] = [];
  #pendingBytes = 0;
  #open: BatchWriter | undefined;
  #active: ActiveSegment | undefined;
  #stamp = 0;
  #turnTimeMs = 0;
  #turnTimeKnown = false;

  constructor(options: AppenderOptions) {
    this.#state = options.state;
    this.#clock = options.state.clock;
    const { compressor, clock } = options.state;
    this.#compression = options.compress ? new CompressionPolicy(compressor, clock) : undefined;
    this.#opener = new SegmentOpener(options);
    const { segmentSizeBytes } = options.state.identity;
    this.#maxBatchBytes = Math.min(MAX_BATCH_BYTES, segmentSizeBytes);
    this.#periodBytes = Math.min(DEFINITION_PERIOD_BYTES, segmentSizeBytes / DEFINITION_PERIODS);
    this.maxRecordBytes = segmentSizeBytes / 4;
    this.#easyEndBytes = segmentSizeBytes * 0.875 - this.maxRecordBytes - 4 * PAGE_BYTES;
  }

  /** True where something is in the open batch. */
  get hasOpen(): boolean {
    return this.#open !== undefined && this.#open.count > 0;
  }

  get openBytes(): number {
    return this.#open?.bodyBytes ?? 0;
  }

  /** What the records that are not durable yet take in memory. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** What a batch of a few pages is likely to shrink to on flash. */
  get packedShare(): number {
    return this.#compression?.packedShare ?? 1;
  }

  /** Where something is in it. */
  get openBatch(): BatchWriter | undefined {
    return this.hasOpen ? this.#open : undefined;
  }

  /** Milliseconds, read once a turn: a call to the clock for each record would be felt. */
  nowMs(): number {
    if (!this.#turnTimeKnown) {
      // Whole, so that it is a small integer: a fraction is an object at each call it is handed to.
      this.#turnTimeMs = Math.floor(this.#clock.monotonicMs());
      this.#turnTimeKnown = true;
      this.#clock.atTurnEnd(this.#forgetTurnTime);
    }
    return this.#turnTimeMs;
  }

  /**
   * Gives the record its offset and sequence. Throws RING_FULL where a new segment is needed and not
   * enough slots are free; one that insists may take what is kept for a start.
   */
  append(request: AppendRequest, insists: boolean): number {
    const { source, attributes, payload, flags } = request;
    const start = request.payloadStart ?? 0;
    const end = request.payloadEnd ?? payload.length;
    const state = this.#state;
    const partition = state.partitions.need(request.partitionId);
    if (this.takesCopiesOnly) throw ringFull();
    const byteCount = attributes.length + end - start;
    const minSlots = insists ? SLOTS_FOR_START : SLOTS_TO_OPEN;
    const writer = this.#roomFor(source, byteCount, minSlots);
    const number = source === null ? 0 : numberOf(this.#current(), writer, source);
    const offset = partition.tailOffset++;
    const sequence = ++state.lastSequence;
    writer.fresh(
      partition,
      offset,
      number,
      flags,
      attributes,
      payload,
      start,
      end,
      this.nowMs(),
      request.time && state.timeForCopy(request.time),
    );
    if (number !== 0) countSource(this.#current(), number, sequence);
    this.#pendingBytes += byteCount + PENDING_RECORD_BYTES;
    state.counters.payloadBytes += byteCount;
    return sequence;
  }

  /**
   * Takes a copy of a record, under its own offset and sequence, with its time as far as it is known, and
   * with those of its flags that are in `flagsMask`.
   */
  carry(record: RecordView, flagsMask = RECORD_FLAGS_MASK): void {
    this.#carry(record, flagsMask);
  }

  #carry(record: RecordView, flagsMask: number, again?: BatchStart): void {
    const source = sourceOf(record);
    const byteCount = record.attributes.length + record.payload.length;
    const writer = this.#roomFor(source, byteCount, SLOTS_TO_CARRY, again);
    const number = source === null ? 0 : carriedNumber(this.#current(), writer, source);
    writer.carry(
      this.#state.partitions.need(record.partitionId),
      record.offset,
      record.sequence,
      number,
      record.flags & flagsMask,
      record.attributes,
      record.payload,
      this.#state.timeForCopy(record.time),
    );
    if (number !== 0) countSource(this.#current(), number, record.sequence);
    this.#pendingBytes += byteCount + PENDING_RECORD_BYTES;
    this.#state.counters.carriedBytes += byteCount;
  }

  /** Opens a batch even where there is nothing to put in: recovery's first one. */
  openEmptyBatch(minSlots = SLOTS_FOR_START): BatchWriter {
    return this.#roomFor(null, 0, minSlots);
  }

  /**
   * True where a start after a power cut now would find too few free slots: a restart used them up.
   * The next segment's header puts that right.
   */
  get wantsNewSegment(): boolean {
    const active = this.#active;
    return active !== undefined && active.slotsInHand < SLOTS_FOR_START;
  }

  /**
   * True in a segment that was opened in the last slot, until another has been let go. It must stay
   * provisional till then: a start after a cut passes it over, and so has a slot.
   */
  get takesCopiesOnly(): boolean {
    return this.#active?.slotsInHand === 0;
  }

  /**
   * Queues the batch by which a start knows that `segment` has been let go, where it would find too few
   * slots without it. There is always room for the first of them.
   */
  noteLetGo({ epoch, extents }: Segment): void {
    const active = this.#active;
    if (active === undefined || active.slotsInHand >= SLOTS_FOR_START) return;
    this.close();
    const { partitions, lastSequence } = this.#state;
    const heads = [...extents.keys()]
      .filter((id) => id >= FIRST_STREAM_PARTITION_ID)
      .map((id) => ({ partitionId: id, headOffset: partitions.need(id).headOffset }));
    const writer = this.#openIn(active, PAGE_BYTES, lastSequence + 1, undefined, 0);
    if (writer === undefined) return;
    if (!writer.fits(MAX_HEAD_BYTES * (heads.length + 1), 0)) {
      this.#open = undefined;
      this.recycle(writer);
      return;
    }
    writer.letsGo = { epoch, heads };
    active.slotsInHand++;
    this.close();
  }

  /** So many more are free in the header of the active segment than were in hand when it was opened. */
  countFreeSlots(count: number): void {
    this.#current().slotsInHand += count;
  }

  /**
   * True while the active segment has room for any record that is allowed, and for some of what
   * recycling carries besides.
   */
  get hasEasyRoom(): boolean {
    const position = this.#active?.position ?? Infinity;
    return position + this.openBytes <= this.#easyEndBytes;
  }

  /** Leaves the segment before it is full. */
  startNewSegment(): void {
    this.close();
    this.#leaveSegment();
    this.openEmptyBatch();
    this.close();
  }

  /** Queues the batch that says so; false where the segment is full, since it opens no other. */
  closeRing(): boolean {
    const active = this.#active;
    if (active === undefined || this.#open !== undefined) return false;
    const writer = this.#openIn(active, PAGE_BYTES, this.#state.lastSequence + 1, undefined);
    if (writer === undefined) return false;
    writer.mark(BATCH_CLOSED);
    this.close();
    return true;
  }

  /** Seals the open batch and queues it. */
  close(): void {
    const writer = this.#open;
    const active = this.#active;
    if (writer === undefined || active === undefined) return;
    this.#open = undefined;
    const segmentHeader = active.headerPending
      ? this.#opener.encodeHeader(active, writer)
      : undefined;
    active.headerPending = false;
    if (writer.freshCount > 0 || writer.letsGo !== undefined) active.isProvisional = false;
    if (active.isProvisional) writer.mark(BATCH_PROVISIONAL);
    writer.seal({
      crc32: this.#state.crc32,
      seed: active.seed,
      previousCrc: active.previousCrc,
      compression: this.#compression,
      segmentHeader,
    });
    const { header } = writer;
    assert(header !== undefined, 'a sealed batch has no header');
    active.previousCrc = header.headerCrc;
    active.position += writer.sealed.length - (segmentHeader?.length ?? 0);
    active.summaryBytes += 24 + 12 * (header.runs.length + header.carried.length);
    this.closed.push({ writer, active });
  }

  /** The batch is durable. */
  noLongerPending(writer: BatchWriter): void {
    this.#pendingBytes -= writer.payloadBytes + writer.count * PENDING_RECORD_BYTES;
  }

  /** Gives a batch's buffer back once nothing reads it any more. */
  recycle(writer: BatchWriter): void {
    writer.waiters.length = 0;
    if (writer.capacity !== this.#maxBatchBytes || this.#idle.length >= MAX_IDLE_WRITERS) return;
    this.#idle.push(writer);
  }

  /**
   * After a failed write: ends the segment where the failed batch began, and encodes what waits
   * again for the next one, whose epoch, chain and topic numbers differ. The waiters go along.
   * Returns the segments that end without a batch on flash; their slots are the caller's.
   */
  encodeAgain(failed: PendingBatch): Segment[] {
    if (this.#open !== undefined) this.close();
    const waiting = [failed, ...this.closed.splice(0)];
    const unused = this.#abandon(waiting);
    const waiters = waiting.flatMap(({ writer }) => writer.waiters.splice(0));
    this.#pendingBytes = 0;
    for (const { writer, active } of waiting) {
      const { header } = writer;
      assert(header !== undefined, 'a waiting batch was not sealed');
      const { clock } = header;
      let sequence = header.firstSequence;
      for (const record of decodeRecords(writer.body, header, active.detail.sources)) {
        this.#putAgain(record, { sequence, clock });
        if (!record.carried) sequence = record.sequence + 1;
      }
    }
    const last = this.#open ?? this.openEmptyBatch();
    for (const waiter of waiters) last.waiters.push(waiter);
    for (const { writer } of waiting) this.recycle(writer);
    return unused;
  }

  readonly #forgetTurnTime = (): void => {
    this.#turnTimeKnown = false;
  };

  #abandon(waiting: readonly PendingBatch[]): Segment[] {
    const [first] = waiting;
    assert(first !== undefined, 'nothing failed');
    const unused: Segment[] = [];
    for (const active of new Set(waiting.map((batch) => batch.active))) {
      const { segment } = active;
      active.abandoned = true;
      active.position = segment.endOffset;
      if (segment.detail?.batches.length === 0) unused.push(segment);
      else this.sealedSegments.push(active);
    }
    const { segment } = first.active;
    if (unused.includes(segment)) this.#opener.forget(first.active);
    else this.#opener.leave(first.active, segment.endOffset, segment.lastCrc);
    this.#active = undefined;
    return unused;
  }

  #putAgain(record: DecodedRecord, again: BatchStart): void {
    if (record.carried) {
      this.#carry(record, RECORD_FLAGS_MASK, again);
      return;
    }
    const source = sourceOf(record);
    const byteCount = record.attributes.length + record.payload.length;
    const writer = this.#roomFor(source, byteCount, SLOTS_FOR_START, again);
    const number = source === null ? 0 : carriedNumber(this.#current(), writer, source);
    writer.fresh(
      this.#state.partitions.need(record.partitionId),
      record.offset,
      number,
      record.flags,
      record.attributes,
      record.payload,
      0,
      record.payload.length,
      record.time.monotonicMs,
      record.ownTime ? record.time : undefined,
    );
    if (number !== 0) countSource(this.#current(), number, record.sequence);
    this.#pendingBytes += byteCount + PENDING_RECORD_BYTES;
  }

  /**
   * The open batch if the record fits, else a new one, in the next segment if need be, for which
   * `minSlots` must be free. `again` is what a new batch begins with, where that is not what is
   * appended next. Its arguments stand alone: an object of them for each record would be felt.
   */
  #roomFor(
    source: TopicAndOrigin | null,
    byteCount: number,
    minSlots = SLOTS_FOR_START,
    again?: BatchStart,
  ): BatchWriter {
    let definitionBytes =
      source === null ? 0 : 24 + 3 * (source.topic.length + source.origin.length);
    const open = this.#open;
    if (open?.fits(byteCount, definitionBytes)) return open;
    this.close();
    if (source !== null && byteCount + definitionBytes > this.maxRecordBytes) {
      definitionBytes = 24 + utf8Length(source.topic) + utf8Length(source.origin);
    }
    if (byteCount + definitionBytes > this.maxRecordBytes) {
      throw new CisternError(
        'RECORD_TOO_LARGE',
        `A record of ${byteCount} bytes is more than the ring takes (${this.maxRecordBytes}).`,
      );
    }
    const need = byteCount + definitionBytes + PAGE_BYTES;
    for (let attempt = 0; attempt < 2; attempt++) {
      this.#active ??= this.#opener.open(minSlots);
      const firstSequence = again?.sequence ?? this.#state.lastSequence + 1;
      const writer = this.#openIn(this.#active, need, firstSequence, again?.clock);
      if (writer?.fits(byteCount, definitionBytes)) return writer;
      if (writer !== undefined) {
        this.#open = undefined;
        this.recycle(writer);
      }
      // A segment is left only where another can be opened: what is small may fit it still.
      if (this.#state.slots.inHand < minSlots) throw ringFull();
      this.#leaveSegment();
    }
    assert(false, 'a record within the limit did not fit an empty segment');
  }

  #openIn(
    active: ActiveSegment,
    need: number,
    firstSequence: number,
    clock: EventTime | undefined,
    reserve = this.#reserveOf(active),
  ): BatchWriter | undefined {
    const isCrowded = active.detail.sources.length >= MAX_SOURCES_A_SEGMENT;
    if (isCrowded && this.#state.slots.inHand >= SLOTS_TO_OPEN) return undefined;
    const end = this.#state.identity.segmentSizeBytes - reserve;
    const left = Math.floor((end - active.position) / PAGE_BYTES) * PAGE_BYTES;
    if (left < PAGE_BYTES) return undefined;
    const wanted = Math.max(this.#maxBatchBytes, Math.ceil(need / PAGE_BYTES) * PAGE_BYTES);
    const maxBytes = Math.min(left, wanted);
    const writer =
      (maxBytes <= this.#maxBatchBytes ? this.#idle.pop() : undefined) ??
      new BatchWriter(Math.max(maxBytes, this.#maxBatchBytes));
    this.#stamp++;
    writer.open(
      {
        epoch: active.segment.epoch,
        position: active.position,
        maxBytes,
        firstSequence,
        clock: clock ?? this.#clockNow(),
      },
      this.#stamp,
    );
    this.#open = writer;
    this.#startPeriod(active, writer);
    return writer;
  }

  /** Names the partitions that the segment's header does not, once a period. */
  #startPeriod(active: ActiveSegment, writer: BatchWriter): void {
    const period = Math.floor(active.position / this.#periodBytes);
    const all = this.#state.partitions.all;
    const from = period === active.period ? active.definedPartitions : active.partitionCount;
    active.period = period;
    for (const partition of all.slice(from)) writer.definePartition(partition);
    active.definedPartitions = all.length;
  }

  /** A partition made while a batch is open is named in that batch. */
  announcePartition(partition: Partition): void {
    const active = this.#active;
    if (this.#open === undefined || active === undefined) return;
    this.#open.definePartition(partition);
    active.definedPartitions = this.#state.partitions.all.length;
  }

  /** At the end of a segment; in the last slot, where each page counts, only for what lets a segment go. */
  #reserveOf(active: ActiveSegment): number {
    const { identity, partitions } = this.#state;
    return this.takesCopiesOnly
      ? letGoBytes(partitions.all, active.partitionCount)
      : summaryReserve(active.summaryBytes, identity.segmentSizeBytes);
  }

  #clockNow(): EventTime {
    const { identity, trustedOffsetMs } = this.#state;
    const monotonicMs = this.nowMs();
    const wallMs = this.#clock.wallMs();
    // A clock that has been set a moment ago is asked about before it is believed again.
    const step = wallMs - monotonicMs - (trustedOffsetMs ?? Infinity);
    const trusted = Math.abs(step) < CLOCK_STEP_MS;
    return { bootNumber: identity.bootNumber, monotonicMs, wallMs, trusted };
  }

  #current(): ActiveSegment {
    assert(this.#active !== undefined, 'no segment is active');
    return this.#active;
  }

  #leaveSegment(): void {
    const active = this.#current();
    this.#opener.leave(active, active.position, active.previousCrc);
    this.sealedSegments.push(active);
    this.#active = undefined;
  }
}

function sourceOf(record: RecordView): TopicAndOrigin | null {
  if (record.topic === '' && record.origin === '') return null;
  return { topic: record.topic, origin: record.origin };
}
