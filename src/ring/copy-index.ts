import type { Segment } from './segment.ts';
import { apart, type Bounds } from './spans.ts';

/**
 * Which records of a segment have a copy in a newer one: a start finds such where a cut came between
 * carrying and freeing. Made once for a segment, since it is asked for each of its records.
 */
export class CopyIndex {
  /** By partition: where newer segments hold each offset, in order and without overlap. */
  readonly #spans = new Map<number, readonly Bounds[]>();

  constructor(segments: readonly Segment[], { epoch, extents }: Segment) {
    const newer = segments.filter((segment) => segment.epoch > epoch);
    for (const { partitionId, lowest, highest } of extents.values()) {
      const spans = newer
        .flatMap((segment) => [...(segment.extents.get(partitionId)?.ranges() ?? [])])
        .filter(({ isWhole }) => isWhole)
        .map(({ firstOffset, lastOffset }) => ({ first: firstOffset, last: lastOffset }))
        .filter(({ first, last }) => first <= highest && last >= lowest);
      if (spans.length > 0) this.#spans.set(partitionId, apart(spans));
    }
  }

  has(partitionId: number, offset: number): boolean {
    const spans = this.#spans.get(partitionId);
    if (spans === undefined) return false;
    let low = 0;
    let high = spans.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((spans[middle]?.last ?? Infinity) < offset) low = middle + 1;
      else high = middle;
    }
    return (spans[low]?.first ?? Infinity) <= offset;
  }
}
