import type { BatchWriter } from './batch-writer.ts';
import type { Segment, SegmentDetail } from './segment.ts';
import type { PreviousEnd } from './segment-header.ts';

/** A segment that is full, or was left, and has no summary yet. */
export interface SealedSegment {
  readonly segment: Segment;
  readonly detail: SegmentDetail;
  readonly seed: number;
  /** True after a failed write: nothing more goes to its slot. */
  readonly abandoned: boolean;
}

/** The segment being filled, in memory ahead of flash by the batches that wait. */
export interface ActiveSegment {
  readonly segment: Segment;
  readonly detail: SegmentDetail;
  readonly seed: number;
  readonly headerLength: number;
  readonly partitionCount: number;
  readonly previous: PreviousEnd;
  readonly nextSlot: number;
  /** Where the next batch begins. */
  position: number;
  headerPending: boolean;
  previousCrc: number;
  /** About how long the summary will be. */
  summaryBytes: number;
  /** By source number: the definition period in which it was last written. */
  readonly definedIn: number[];
  period: number;
  readonly carriedSources: Map<string, number>;
  /** How many partitions the header and the batches of this period name. */
  definedPartitions: number;
  /** Free slots besides this one, as its header and what was added since tell the next start. */
  slotsInHand: number;
  /** True while nothing but copies is in it, and no batch of it has let a segment go. */
  isProvisional: boolean;
  /** True after a failed write: nothing more goes to its slot, not even a summary. */
  abandoned: boolean;
}

/** A batch that is encoded and waits for its write. */
export interface PendingBatch {
  readonly writer: BatchWriter;
  readonly active: ActiveSegment;
}
