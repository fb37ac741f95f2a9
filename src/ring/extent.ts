/** Records of one partition between two offsets and two sequences, both rising, perhaps with gaps. */
export interface OffsetRange {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly count: number;
  /** Attributes and payload. */
  readonly bytes: number;
  /** Of the topics and client ids that were defined with its records. */
  readonly nameBytes: number;
}

/** A range that knows whether it has each offset from the first to the last. */
export interface ExtentRange extends OffsetRange {
  readonly isWhole: boolean;
}

/**
 * Copies of one partition in one segment come from several laps, each a range of its own. Sparse ones,
 * of partitions that are compacted, would be a range for each record.
 */
const MAX_CARRIED_RANGES = 256;

/** What one segment holds of one partition. */
export class Extent {
  readonly partitionId: number;
  #fresh: ExtentRange | undefined;
  /** By rising offset, without overlap. */
  #carried: ExtentRange[] = [];

  constructor(partitionId: number) {
    this.partitionId = partitionId;
  }

  get fresh(): ExtentRange | undefined {
    return this.#fresh;
  }

  get carried(): readonly ExtentRange[] {
    return this.#carried;
  }

  /** Fresh ones come in order. */
  addFresh(range: ExtentRange): void {
    if (range.count > 0) this.#fresh = this.#fresh ? union(this.#fresh, range) : range;
  }

  /** Copies come in any order; neighbours become one. */
  addCarried(range: ExtentRange): void {
    const { firstOffset } = range;
    let merged = range;
    const ranges = this.#carried;
    let at = ranges.findLastIndex((each) => each.firstOffset <= firstOffset) + 1;
    const before = ranges[at - 1];
    if (before !== undefined && before.lastOffset >= firstOffset - 1) {
      at--;
      merged = union(before, merged);
      ranges.splice(at, 1);
    }
    let next = ranges[at];
    while (next !== undefined && next.firstOffset <= merged.lastOffset + 1) {
      merged = union(merged, next);
      ranges.splice(at, 1);
      next = ranges[at];
    }
    ranges.splice(at, 0, merged);
    if (ranges.length > MAX_CARRIED_RANGES) this.#joinNearest();
  }

  /** All there is, in no order. */
  *ranges(): Generator<ExtentRange> {
    if (this.#fresh !== undefined) yield this.#fresh;
    yield* this.#carried;
  }

  /** The range with the smallest offset that is not below `offset`, as far as can be told. */
  rangeFrom(offset: number): OffsetRange | undefined {
    let found: OffsetRange | undefined;
    let start = Infinity;
    for (const range of this.ranges()) {
      if (range.lastOffset < offset || Math.max(range.firstOffset, offset) >= start) continue;
      start = Math.max(range.firstOffset, offset);
      found = range;
    }
    return found;
  }

  /** Attributes and payload of what is fresh. */
  get freshBytes(): number {
    return this.#fresh?.bytes ?? 0;
  }

  /** -1 where nothing is held. */
  get highest(): number {
    return Math.max(this.#fresh?.lastOffset ?? -1, this.#carried.at(-1)?.lastOffset ?? -1);
  }

  /** Infinity where nothing is held. */
  get lowest(): number {
    return Math.min(
      this.#fresh?.firstOffset ?? Infinity,
      this.#carried[0]?.firstOffset ?? Infinity,
    );
  }

  #joinNearest(): void {
    const ranges = this.#carried;
    let nearest = 1;
    let smallest = Infinity;
    for (let at = 1; at < ranges.length; at++) {
      const gap = (ranges[at]?.firstOffset ?? 0) - (ranges[at - 1]?.lastOffset ?? 0);
      if (gap >= smallest) continue;
      smallest = gap;
      nearest = at;
    }
    const [left, right] = ranges.slice(nearest - 1, nearest + 1);
    if (left && right) ranges.splice(nearest - 1, 2, union(left, right));
  }
}

function union(a: ExtentRange, b: ExtentRange): ExtentRange {
  const touches = a.firstOffset <= b.lastOffset + 1 && b.firstOffset <= a.lastOffset + 1;
  return {
    firstOffset: Math.min(a.firstOffset, b.firstOffset),
    lastOffset: Math.max(a.lastOffset, b.lastOffset),
    firstSequence: Math.min(a.firstSequence, b.firstSequence),
    lastSequence: Math.max(a.lastSequence, b.lastSequence),
    count: a.count + b.count,
    bytes: a.bytes + b.bytes,
    nameBytes: a.nameBytes + b.nameBytes,
    isWhole: touches && a.isWhole && b.isWhole,
  };
}
