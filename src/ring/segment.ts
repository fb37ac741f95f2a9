import type { BatchHeader, CarriedRun, FreshRun } from './batch-header.ts';
import type { SourceNames } from './batch-reader.ts';

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

/** What one segment holds of one partition. */
export class Extent {
  readonly partitionId: number;
  firstOffset = 0;
  /** The last fresh offset; below `firstOffset` where there is none. */
  lastOffset = -1;
  count = 0;
  carriedFirst = 0;
  carriedLast = -1;
  carriedCount = 0;
  /** Attributes and payload of the fresh records. */
  freshBytes = 0;
  /** The same of the carried ones. */
  carriedBytes = 0;

  constructor(partitionId: number) {
    this.partitionId = partitionId;
  }

  get bytes(): number {
    return this.freshBytes + this.carriedBytes;
  }

  addFresh(first: number, count: number): void {
    if (count === 0) return;
    if (this.count === 0) this.firstOffset = first;
    this.lastOffset = Math.max(this.lastOffset, first + count - 1);
    this.count += count;
  }

  addCarried(first: number, last: number, count: number): void {
    if (count === 0) return;
    this.carriedFirst = this.carriedCount === 0 ? first : Math.min(this.carriedFirst, first);
    this.carriedLast = Math.max(this.carriedLast, last);
    this.carriedCount += count;
  }

  /** The smallest offset held that is not below `offset`, as far as the extent can tell. */
  startFrom(offset: number): number {
    const fresh = this.lastOffset >= offset ? Math.max(this.firstOffset, offset) : Infinity;
    const carried = this.carriedLast >= offset ? Math.max(this.carriedFirst, offset) : Infinity;
    return Math.min(fresh, carried);
  }

  /** -1 where nothing is held. */
  get highest(): number {
    return Math.max(this.lastOffset, this.carriedLast);
  }

  get lowest(): number {
    const fresh = this.count > 0 ? this.firstOffset : Infinity;
    return this.carriedCount > 0 ? Math.min(fresh, this.carriedFirst) : fresh;
  }
}

/** What is loaded on demand: bounded by the cache for sealed segments, always there for the active. */
export interface SegmentDetail {
  readonly batches: BatchPlace[];
  readonly sources: SourceNames;
}

/** One lap's use of a slot. */
export class Segment {
  readonly slot: number;
  readonly epoch: number;
  /** Where the first batch lies, in bytes from the start of the slot. */
  readonly startOffset: number;
  /** Where the last batch ends; grows while the segment is active. */
  endOffset: number;
  firstSequence = 0;
  lastSequence = 0;
  /** Union of the record flags. */
  flags = 0;
  hasCarried = false;
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
    for (const run of place.runs) {
      this.extentOf(run.partitionId).addFresh(run.firstOffset, run.count);
    }
    for (const run of place.carried) {
      this.extentOf(run.partitionId).addCarried(run.firstOffset, run.lastOffset, run.count);
      this.hasCarried = true;
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
}): FreshRun[] {
  const whole = batch.carried.filter(
    ({ firstOffset, lastOffset, count }) => lastOffset - firstOffset + 1 === count,
  );
  return [
    ...batch.runs,
    ...whole.map(({ partitionId, firstOffset, count }) => ({ partitionId, firstOffset, count })),
  ];
}

export function placeOf(header: BatchHeader, lengthBytes: number): BatchPlace {
  const { position, firstSequence, freshCount, flags, runs, carried } = header;
  return { position, lengthBytes, firstSequence, freshCount, flags, runs, carried };
}
