import type { Clock } from '../platform/clock.ts';
import type { Compressor, Crc32 } from '../platform/compression.ts';
import type { Logger } from '../platform/logger.ts';
import { segmentSeed } from './format.ts';
import type { Partition, Partitions } from './partitions.ts';
import type { Segment } from './segment.ts';
import type { SegmentCache } from './segment-cache.ts';
import type { SlotFiles } from './slot-files.ts';
import type { Slots } from './slots.ts';
import { type EventTime, FIRST_STREAM_PARTITION_ID } from './types.ts';

/** Offsets that media damage took. */
export interface LostRange {
  readonly partitionId: number;
  readonly firstOffset: number;
  readonly count: number;
}

/** What never changes while the ring is open, but for `slotCount` when it has shrunk. */
export interface RingIdentity {
  readonly ringId: Uint8Array;
  readonly salt: number;
  readonly segmentSizeBytes: number;
  readonly slotCount: number;
  readonly bootNumber: number;
}

/** Counters of this process; see `RingStatistics`. */
export interface RingCounters {
  payloadBytes: number;
  flashBytes: number;
  /** Of it, for what is no copy: whole pages, however little is in them. */
  freshFlashBytes: number;
  carriedBytes: number;
  flushes: number;
  commits: number;
  corruptRecords: number;
}

/**
 * What the parts of an open ring share. Each field has one writer: `partitions` and the sequences
 * the appender and the committer, `segments` and `slots` the appender, committer and recycler, each
 * within one turn.
 */
export class RingState {
  identity: RingIdentity;
  readonly clock: Clock;
  readonly crc32: Crc32;
  readonly compressor: Compressor;
  readonly logger: Logger;
  readonly files: SlotFiles;
  readonly cache: SegmentCache;
  readonly partitions: Partitions;
  readonly slots: Slots;
  /** Live ones, by rising epoch; the active one is the last. */
  readonly segments: Segment[];
  readonly lost: LostRange[];
  /** Offsets that were never given out, because recovery let a tail jump. */
  readonly jumps: LostRange[];
  readonly counters: RingCounters = {
    payloadBytes: 0,
    flashBytes: 0,
    freshFlashBytes: 0,
    carriedBytes: 0,
    flushes: 0,
    commits: 0,
    corruptRecords: 0,
  };
  /** The highest epoch ever seen or given out. */
  epoch: number;
  lastSequence: number;
  durableSequence: number;
  checkpointSequence: number;
  tailsJumped = false;
  /** Wall minus monotonic milliseconds, where the wall clock can be believed. */
  trustedOffsetMs: number | undefined;
  timeForCopy: (time: EventTime) => EventTime = (time) => time;
  /** Of the newest batch found at open. */
  lastTime: EventTime | undefined;

  constructor(made: {
    readonly identity: RingIdentity;
    readonly clock: Clock;
    readonly crc32: Crc32;
    readonly compressor: Compressor;
    readonly logger: Logger;
    readonly files: SlotFiles;
    readonly cache: SegmentCache;
    readonly partitions: Partitions;
    readonly slots: Slots;
    readonly segments: Segment[];
    readonly lost: LostRange[];
    readonly jumps: LostRange[];
    readonly epoch: number;
    readonly lastSequence: number;
    readonly checkpointSequence: number;
  }) {
    this.identity = made.identity;
    this.clock = made.clock;
    this.crc32 = made.crc32;
    this.compressor = made.compressor;
    this.logger = made.logger;
    this.files = made.files;
    this.cache = made.cache;
    this.partitions = made.partitions;
    this.slots = made.slots;
    this.segments = made.segments;
    this.lost = made.lost;
    this.jumps = made.jumps;
    this.epoch = made.epoch;
    this.lastSequence = made.lastSequence;
    this.durableSequence = made.lastSequence;
    this.checkpointSequence = made.checkpointSequence;
  }

  seedOf(epoch: number): number {
    return segmentSeed(this.crc32, this.identity.salt, epoch);
  }

  /**
   * Raises the head of a partition, at most to what is durable: what lies below may be let go. Copies of
   * single records below it are found by `readAt` and `scan` alone.
   */
  trim(partition: Partition, offset: number): void {
    const head = Math.min(offset, partition.durableOffset);
    if (head <= partition.headOffset) return;
    partition.headOffset = head;
    partition.kept.trim(head);
  }

  /**
   * Forgets a live segment whose survivors are elsewhere; its slot is the caller's. In the compacted
   * partitions the head is the lowest offset that is left.
   */
  letGo(segment: Segment): void {
    const at = this.segments.indexOf(segment);
    if (at >= 0) this.segments.splice(at, 1);
    segment.state = 'free';
    for (const id of segment.extents.keys()) {
      const partition = this.partitions.get(id);
      const isCompacted = id < FIRST_STREAM_PARTITION_ID;
      if (partition !== undefined && isCompacted) this.trim(partition, this.#lowestOffset(id));
    }
  }

  /** Forgets a live segment with all that is in it, and with all before it in the same partitions. */
  sacrifice(segment: Segment): void {
    const { slot, epoch, flags } = segment;
    if (flags === 0) this.logger.warn('ring.segment_dropped', { slot, epoch });
    else this.logger.error('ring.segment_dropped', { slot, epoch, flags });
    for (const [id, extent] of segment.extents) {
      const partition = this.partitions.get(id);
      const isStream = id >= FIRST_STREAM_PARTITION_ID;
      if (partition !== undefined && isStream) this.trim(partition, extent.highest + 1);
    }
    this.letGo(segment);
  }

  #lowestOffset(partitionId: number): number {
    let lowest = Infinity;
    for (const segment of this.segments) {
      const extent = segment.extents.get(partitionId);
      if (extent !== undefined) lowest = Math.min(lowest, extent.lowest);
    }
    return lowest;
  }
}
