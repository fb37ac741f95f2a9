import type { BatchHeader, CarriedRun, FreshRun } from './batch-header.ts';
import type { SourceNames } from './batch-reader.ts';
import { Extent } from './extent.ts';

/** Where a batch lies and what it holds, as far as readers need it to skip it. */
export interface BatchPlace {
  /** In bytes from the start of the slot. */
  readonly position: number;
  readonly lengthBytes: number;
  readonly firstSequence: number;
  readonly freshCount: number;
  readonly flags: number;
  readonly runs: readonly FreshRun[];
  readonly carried: readonly CarriedRun[];
}

/** What is loaded on demand: bounded by the cache for sealed segments, always there for the active. */
export interface SegmentDetail {
  readonly batches: BatchPlace[];
  readonly sources: SourceNames;
}

/** One lap's use of a slot. */
export class Segment {
  /** Another one once the segment was moved, which only a ring that shrinks does. */
  slot: number;
  readonly epoch: number;
  /** Where the first batch lies, in bytes from the start of the slot. */
  readonly startOffset: number;
  /** Where the last batch ends; grows while the segment is active. */
  endOffset: number;
  firstSequence = 0;
  lastSequence = 0;
  /** Union of the record flags. */
  flags = 0;
  /** Header CRC of the last batch. */
  lastCrc = 0;
  /** Batches from here on lie in the segment after it too; they need not be evacuated. */
  copiedFrom = Infinity;
  state: 'active' | 'sealed' | 'evacuating' | 'free' = 'active';
  /** False until something of it is durable; a summary may follow then. */
  wantsSummary = false;
  detail: SegmentDetail | undefined;
  readonly extents = new Map<number, Extent>();

  constructor(slot: number, epoch: number, startOffset: number) {
    this.slot = slot;
    this.epoch = epoch;
    this.startOffset = startOffset;
    this.endOffset = startOffset;
  }

  extentOf(partitionId: number): Extent {
    let extent = this.extents.get(partitionId);
    if (extent === undefined) {
      extent = new Extent(partitionId);
      this.extents.set(partitionId, extent);
    }
    return extent;
  }

  /** Takes note of a batch that is on flash. */
  addBatch(place: BatchPlace, headerCrc: number): void {
    for (const { partitionId, firstOffset, count, bytes, nameBytes } of place.runs) {
      this.extentOf(partitionId).addFresh({
        firstOffset,
        lastOffset: firstOffset + count - 1,
        firstSequence: place.firstSequence,
        lastSequence: place.firstSequence + place.freshCount - 1,
        count,
        bytes,
        nameBytes,
        isWhole: true,
      });
    }
    for (const { partitionId, ...run } of place.carried) {
      const isWhole = run.lastOffset - run.firstOffset + 1 === run.count;
      this.extentOf(partitionId).addCarried({ ...run, isWhole });
    }
    if (place.freshCount > 0) {
      if (this.firstSequence === 0) this.firstSequence = place.firstSequence;
      this.lastSequence = place.firstSequence + place.freshCount - 1;
    }
    this.flags |= place.flags & 0x0f;
    this.endOffset = Math.max(this.endOffset, place.position + place.lengthBytes);
    this.lastCrc = headerCrc;
    this.detail?.batches.push(place);
  }
}

/** The offsets of a batch that have no gap: all fresh ones, and copies of neighbours. */
export function wholeRuns(batch: {
  readonly runs: readonly FreshRun[];
  readonly carried: readonly CarriedRun[];
}): Pick<FreshRun, 'partitionId' | 'firstOffset' | 'count'>[] {
  const whole = batch.carried.filter(
    ({ firstOffset, lastOffset, count }) => lastOffset - firstOffset + 1 === count,
  );
  return [...batch.runs, ...whole].map(({ partitionId, firstOffset, count }) => ({
    partitionId,
    firstOffset,
    count,
  }));
}

export function placeOf(header: BatchHeader, lengthBytes: number): BatchPlace {
  const { position, firstSequence, freshCount, flags, runs, carried } = header;
  return { position, lengthBytes, firstSequence, freshCount, flags, runs, carried };
}
