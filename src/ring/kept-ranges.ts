import type { ExtentRange, OffsetRange } from './extent.ts';
import { RECORD_OVERHEAD_BYTES } from './types.ts';

/** Beyond it neighbours become one, two by two. */
const MAX_RANGES = 512;
/** A range takes up what follows while it is less than this part of all. */
const RANGE_SHARE = 256;

/**
 * How much a partition keeps, wherever its records lie: from its head on, in ranges by rising offset
 * and sequence. Each record counts once however many copies there are of it, so that neither carrying
 * nor a start changes anything.
 *
 * Memory is bounded: what is asked for is exact at the ends of ranges and in proportion within them.
 */
export class KeptRanges {
  #ranges: OffsetRange[] = [];
  #bytes = 0;

  /**
   * Of copies that a start finds in several segments each record is taken once. Where ranges with gaps
   * lie over each other, each has what the others lack: in a partition that `isComplete` from its head
   * on, they have all offsets together.
   */
  static from(found: readonly ExtentRange[], headOffset: number, isComplete: boolean): KeptRanges {
    const kept = new KeptRanges();
    const ranges = found
      .filter(({ lastOffset }) => lastOffset >= headOffset)
      .toSorted((a, b) => a.firstOffset - b.firstOffset);
    let at = Math.max(headOffset, ranges[0]?.firstOffset ?? 0);
    let next = 0;
    let open: ExtentRange[] = [];
    for (;;) {
      while ((ranges[next]?.firstOffset ?? Infinity) <= at)
        open.push(ranges[next++] as ExtentRange);
      open = open.filter(({ lastOffset }) => lastOffset >= at);
      const whole = open.find(({ isWhole }) => isWhole);
      const comes = ranges[next]?.firstOffset ?? Infinity;
      const ends = whole ? [whole.lastOffset + 1] : open.map(({ lastOffset }) => lastOffset + 1);
      const end = whole ? Math.min(...ends) : Math.min(comes, ...ends);
      if (end === Infinity) return kept;
      if (whole !== undefined) kept.add(partOf(whole, at, end - 1));
      else if (open.length > 0) kept.add(laidOver(open, at, end - 1, isComplete));
      at = end;
    }
  }

  get ranges(): readonly OffsetRange[] {
    return this.#ranges;
  }

  /** Attributes and payload. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes what lies behind all that it has. */
  add(range: OffsetRange): void {
    this.#bytes += range.bytes;
    const last = this.#ranges.at(-1);
    const isSmall = last !== undefined && last.bytes * RANGE_SHARE < this.#bytes;
    if (last !== undefined && isSmall && areNeighbours(last, range)) {
      this.#ranges[this.#ranges.length - 1] = joined(last, range);
      return;
    }
    this.#ranges.push(range);
    if (this.#ranges.length > MAX_RANGES) this.#joinPairs();
  }

  /** Lets go of what lies below. */
  trim(headOffset: number): void {
    const at = this.#ranges.findIndex(({ lastOffset }) => lastOffset >= headOffset);
    this.#ranges = at < 0 ? [] : this.#ranges.slice(at);
    const [first] = this.#ranges;
    if (first !== undefined) this.#ranges[0] = rangeFrom(first, headOffset);
    this.#bytes = this.#ranges.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Attributes and payload of the records in [from, to). */
  bytesBetween(from: number, to: number): number {
    let bytes = 0;
    for (const range of this.#ranges) {
      const within = Math.min(range.lastOffset + 1, to) - Math.max(range.firstOffset, from);
      if (within > 0) bytes += Math.round((range.bytes * within) / spanOf(range));
    }
    return bytes;
  }

  /** What the records from `offset` on take in a quota. */
  weightFrom(offset: number): number {
    let weight = 0;
    for (const range of this.#ranges) {
      const share = (range.lastOffset + 1 - Math.max(range.firstOffset, offset)) / spanOf(range);
      if (share > 0) weight += share * weightOf(range);
    }
    return weight;
  }

  /** The first offset whose record may have this sequence or a higher one, in proportion. */
  offsetOf(sequence: number): number {
    const range = this.#ranges.find(({ lastSequence }) => lastSequence >= sequence);
    if (range === undefined) return (this.#ranges.at(-1)?.lastOffset ?? -1) + 1;
    return range.firstOffset + Math.floor(spanOf(range) * (1 - shareFrom(range, sequence)));
  }

  #joinPairs(): void {
    const pairs: OffsetRange[] = [];
    for (let at = 0; at < this.#ranges.length; at++) {
      const [range, next] = this.#ranges.slice(at, at + 2);
      if (range === undefined) break;
      // Not over a gap: in proportion, what lies beside it would move into it.
      const joins = next !== undefined && areNeighbours(range, next);
      pairs.push(joins ? joined(range, next) : range);
      if (joins) at++;
    }
    this.#ranges = pairs;
  }
}

/**
 * The sequence from which on the records of these ranges take at most `maxBytes`, so that the oldest
 * of all of them go first; 0 where all have room.
 */
export function sequenceToKeep(ranges: readonly OffsetRange[], maxBytes: number): number {
  const weightFrom = (sequence: number): number =>
    ranges.reduce((sum, range) => sum + weightOf(range) * shareFrom(range, sequence), 0);
  if (weightFrom(0) <= maxBytes) return 0;
  let low = 0;
  let high = ranges.reduce((highest, range) => Math.max(highest, range.lastSequence), 0) + 1;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (weightFrom(middle) > maxBytes) low = middle;
    else high = middle;
  }
  return high;
}

function weightOf({ bytes, nameBytes, count }: OffsetRange): number {
  return bytes + nameBytes + RECORD_OVERHEAD_BYTES * count;
}

function spanOf({ firstOffset, lastOffset }: OffsetRange): number {
  return lastOffset + 1 - firstOffset;
}

function shareFrom({ firstSequence, lastSequence }: OffsetRange, sequence: number): number {
  const left = lastSequence + 1 - Math.max(sequence, firstSequence);
  return Math.max(0, left) / (lastSequence + 1 - firstSequence);
}

function areNeighbours(a: OffsetRange, b: OffsetRange): boolean {
  return a.lastOffset + 1 === b.firstOffset;
}

function joined(a: OffsetRange, b: OffsetRange): OffsetRange {
  return {
    firstOffset: a.firstOffset,
    lastOffset: b.lastOffset,
    firstSequence: a.firstSequence,
    lastSequence: b.lastSequence,
    count: a.count + b.count,
    bytes: a.bytes + b.bytes,
    nameBytes: a.nameBytes + b.nameBytes,
  };
}

function rangeFrom(range: OffsetRange, offset: number): OffsetRange {
  return partOf(range, offset, range.lastOffset);
}

/** From one offset to another, both included, in proportion. */
function partOf(range: OffsetRange, from: number, to: number): OffsetRange {
  const firstOffset = Math.max(from, range.firstOffset);
  const lastOffset = Math.min(to, range.lastOffset);
  if (firstOffset === range.firstOffset && lastOffset === range.lastOffset) return range;
  const span = spanOf(range);
  const share = (lastOffset + 1 - firstOffset) / span;
  const sequences = range.lastSequence + 1 - range.firstSequence;
  const sequenceAt = (offset: number): number =>
    range.firstSequence + Math.floor((sequences * (offset - range.firstOffset)) / span);
  return {
    firstOffset,
    lastOffset,
    firstSequence: sequenceAt(firstOffset),
    lastSequence: sequenceAt(lastOffset + 1) - 1,
    count: Math.round(range.count * share),
    bytes: Math.round(range.bytes * share),
    nameBytes: Math.round(range.nameBytes * share),
  };
}

/** What ranges with gaps have together between two offsets: at most one record for each. */
function laidOver(
  ranges: readonly OffsetRange[],
  from: number,
  to: number,
  isComplete: boolean,
): OffsetRange {
  const parts = ranges.map((range) => partOf(range, from, to));
  const sum = (of: (range: OffsetRange) => number): number =>
    ranges.reduce((all, range) => all + of(range), 0);
  const all = sum(({ count }) => count);
  const inProportion = parts.reduce((count, range) => count + range.count, 0);
  const count = Math.min(to + 1 - from, isComplete ? all : inProportion);
  const share = all === 0 ? 0 : count / all;
  return {
    firstOffset: from,
    lastOffset: to,
    firstSequence: Math.min(...parts.map(({ firstSequence }) => firstSequence)),
    lastSequence: Math.max(...parts.map(({ lastSequence }) => lastSequence)),
    count,
    bytes: Math.round(sum(({ bytes }) => bytes) * share),
    nameBytes: Math.round(sum(({ nameBytes }) => nameBytes) * share),
  };
}
