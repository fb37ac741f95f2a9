import type { Clock } from '../platform/clock.ts';
import type { Compressor, Crc32 } from '../platform/compression.ts';
import type { Logger } from '../platform/logger.ts';
import { segmentSeed } from './format.ts';
import { keptBytes } from './kept-bytes.ts';
import type { Partition, Partitions } from './partitions.ts';
import type { Segment } from './segment.ts';
import type { SegmentCache } from './segment-cache.ts';
import type { SlotFiles } from './slot-files.ts';
import type { Slots } from './slots.ts';
import { FIRST_STREAM_PARTITION_ID } from './types.ts';

/** Offsets that media damage took. */
export interface LostRange {
  readonly partitionId: number;
  readonly firstOffset: number;
  readonly count: number;
}

/** What never changes while the ring is open. */
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
  readonly identity: RingIdentity;
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
  clockTrusted = false;

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
   * Forgets a live segment; its slot is the caller's. Heads move past what it held. In a stream's
   * partition single records that were carried stay below the head: `readAt` and `scan` find them. In
   * the compacted partitions the head is the lowest offset that is left.
   */
  letGo(segment: Segment): void {
    const at = this.segments.indexOf(segment);
    if (at >= 0) this.segments.splice(at, 1);
    segment.state = 'free';
    for (const [id, extent] of segment.extents) {
      const partition = this.partitions.get(id);
      if (partition === undefined) continue;
      const end = id < FIRST_STREAM_PARTITION_ID ? this.#lowestOffset(id) : extent.highest + 1;
      const head = Math.max(partition.headOffset, end);
      partition.headOffset = Math.min(head, partition.durableOffset);
      this.countBytes(partition);
    }
  }

  /** Counts anew what is kept of a partition, where more has changed than fresh records added. */
  countBytes(partition: Partition): void {
    partition.bytes = keptBytes(this.segments, partition, 0, Infinity);
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
