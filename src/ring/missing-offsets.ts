import { UNCERTAIN_TAIL_JUMP } from './format.ts';
import type { BatchPlace, Segment, SegmentDetail } from './segment.ts';
import type { SegmentHeader } from './segment-header.ts';
import { apart, type Bounds } from './spans.ts';
import { FIRST_STREAM_PARTITION_ID } from './types.ts';
import type { WalkedBatch } from './walk.ts';

/** Offsets of one partition that follow each other; of copies that are compacted, some of them. */
export interface OffsetSpan {
  readonly partitionId: number;
  readonly firstOffset: number;
  readonly count: number;
}

/** What is left of one live segment. */
export interface Remains {
  /** Undefined where its pages are damaged. */
  readonly header: SegmentHeader | undefined;
  /** Of what is sound, in any order. */
  readonly spans: readonly OffsetSpan[];
}

/** By partition, and by rising offset in each. */
export interface MissingOffsets {
  readonly lost: readonly OffsetSpan[];
  /** Never given out: earlier starts let the tails jump over them. */
  readonly jumps: readonly OffsetSpan[];
}

/**
 * The offsets that should be in the live segments and are not. `remains` is what is left of them, by
 * rising epoch; of segments that are gone there is nothing in it. `heads` are the heads as last noted.
 *
 * Of a stream's partition all from its head on is there, fresh or as a copy, and of a partition that is
 * compacted all that was given out since the oldest of the segments was opened. Each header names the
 * tails at the end of the segment before it, so only what is gone from the end of the newest segment
 * cannot be told.
 *
 * A tail jumps by the same number each time, so that is taken out of what is missing, as often as it
 * goes. The flag in the header would not do: the segment may be gone before the hole is.
 */
export function missingOffsets(
  remains: readonly Remains[],
  heads: ReadonlyMap<number, number>,
): MissingOffsets {
  const found = new Map<number, Bounds[]>();
  const note = (id: number, first: number, last: number): void => {
    const bounds = found.get(id);
    if (bounds === undefined) found.set(id, [{ first, last }]);
    else bounds.push({ first, last });
  };
  for (const { header, spans } of remains) {
    // A tail is the end of what was given out: as a span of nothing it is what a hole ends at.
    for (const { id, tailOffset } of header?.partitions ?? []) note(id, tailOffset, tailOffset);
    for (const { partitionId: id, firstOffset, count } of spans) {
      note(id, firstOffset, firstOffset + count);
    }
  }
  const opened = remains.find(({ header }) => header !== undefined)?.header;
  const tails = new Map(opened?.partitions.map(({ id, tailOffset }) => [id, tailOffset]));
  const lost: OffsetSpan[] = [];
  const jumps: OffsetSpan[] = [];
  for (const [partitionId, bounds] of found) {
    // One that is not named was made later, so all of it should be there.
    const isStream = partitionId >= FIRST_STREAM_PARTITION_ID;
    let next = (isStream ? heads : tails).get(partitionId) ?? 0;
    for (const { first, last: end } of apart(bounds)) {
      const gap = Math.max(0, first - next);
      const count = gap % UNCERTAIN_TAIL_JUMP;
      if (count > 0) lost.push({ partitionId, firstOffset: next, count });
      if (gap > count) {
        jumps.push({ partitionId, firstOffset: next + count, count: gap - count });
      }
      next = Math.max(next, end);
    }
  }
  return { lost, jumps };
}

/** Those of the ranges that begin where a segment began, or behind. */
export function givenOutSince(
  header: SegmentHeader | undefined,
  ranges: readonly OffsetSpan[],
): OffsetSpan[] {
  const tails = new Map(header?.partitions.map(({ id, tailOffset }) => [id, tailOffset]));
  return ranges.filter(
    ({ partitionId, firstOffset }) => firstOffset >= (tails.get(partitionId) ?? 0),
  );
}

/** Fresh records that are missing before and between batches of one segment, sound or not. */
export function missingSequences(
  batches: readonly WalkedBatch[],
  lastSequenceBefore = Infinity,
): number {
  let missing = 0;
  let next = lastSequenceBefore + 1;
  for (const { header } of batches) {
    missing += Math.max(0, header.firstSequence - next);
    next = header.firstSequence + header.freshCount;
  }
  return missing;
}

/** `detail` is that of a segment that was walked; the ranges of any other are what was written. */
export function remainsOf(
  { extents }: Segment,
  detail: SegmentDetail | undefined,
  header: SegmentHeader | undefined,
): Remains {
  if (detail !== undefined) return { header, spans: joined(detail.batches.flatMap(spansOf)) };
  const ranges = [...extents.values()].map((extent) =>
    [...extent.ranges()].map((range) => spanOf(extent.partitionId, range)),
  );
  return { header, spans: ranges.flat() };
}

/** What a batch holds. */
export function spansOf({ runs, carried }: Pick<BatchPlace, 'runs' | 'carried'>): OffsetSpan[] {
  return [...runs, ...carried.map((run) => spanOf(run.partitionId, run))];
}

function spanOf(
  partitionId: number,
  { firstOffset, lastOffset }: { readonly firstOffset: number; readonly lastOffset: number },
): OffsetSpan {
  return { partitionId, firstOffset, count: lastOffset - firstOffset + 1 };
}

/** The same offsets by partition and by rising offset, each once. */
export function joined(spans: readonly OffsetSpan[]): OffsetSpan[] {
  const byPartition = Map.groupBy(spans, ({ partitionId }) => partitionId);
  return [...byPartition].flatMap(([partitionId, own]) =>
    apart(
      own.map(({ firstOffset, count }) => ({ first: firstOffset, last: firstOffset + count })),
    ).map(({ first, last }) => ({ partitionId, firstOffset: first, count: last - first })),
  );
}

export function countOf(spans: readonly OffsetSpan[]): number {
  return spans.reduce((sum, { count }) => sum + count, 0);
}
