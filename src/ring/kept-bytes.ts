import type { Segment } from './segment.ts';

/**
 * Attributes and payload of a partition's records in [from, to): exact for whole segments, in
 * proportion within one, and each record once however many copies of it there are, so that a start
 * changes nothing. `segments` are the live ones by rising epoch. Records that were carried below
 * `headOffset` are not counted.
 */
export function keptBytes(
  segments: readonly Segment[],
  { id, headOffset }: { readonly id: number; readonly headOffset: number },
  from: number,
  to: number,
): number {
  let bytes = 0;
  // Below this all is counted, or below the head. Copies beyond it are those of a start, and go on
  // without a gap from where the segments before end.
  let covered = headOffset;
  const within = (first: number, end: number): number =>
    Math.max(0, Math.min(end, to) - Math.max(first, from, headOffset));
  for (const segment of segments) {
    const extent = segment.extents.get(id);
    if (extent === undefined) continue;
    if (extent.carriedLast >= covered) {
      const first = Math.max(covered, extent.carriedFirst);
      const count = Math.min(within(first, extent.carriedLast + 1), extent.carriedCount);
      bytes += Math.round((extent.carriedBytes * count) / extent.carriedCount);
    }
    if (extent.count > 0) {
      const { firstOffset, lastOffset, freshBytes } = extent;
      const count = within(firstOffset, lastOffset + 1);
      bytes += Math.round((freshBytes * count) / (lastOffset + 1 - firstOffset));
    }
    covered = Math.max(covered, extent.highest + 1);
  }
  return bytes;
}
