import { expect, test } from 'vitest';
import { CopyIndex } from '../../../src/ring/copy-index.ts';
import type { ExtentRange } from '../../../src/ring/extent.ts';
import { Segment } from '../../../src/ring/segment.ts';

const PARTITION = 16;

function range(firstOffset: number, lastOffset: number, isWhole = true): ExtentRange {
  const count = isWhole ? lastOffset - firstOffset + 1 : 1;
  return {
    firstOffset,
    lastOffset,
    firstSequence: firstOffset,
    lastSequence: lastOffset,
    count,
    bytes: count,
    nameBytes: 0,
    isWhole,
  };
}

function segmentOf(epoch: number, ...carried: readonly ExtentRange[]): Segment {
  const segment = new Segment(epoch, epoch, 4096);
  for (const each of carried) segment.extentOf(PARTITION).addCarried(each);
  return segment;
}

test('a record has a copy where a newer segment surely holds it', () => {
  const own = segmentOf(5, range(100, 199));
  const segments = [
    segmentOf(4, range(100, 199)),
    own,
    segmentOf(6, range(90, 109), range(150, 160)),
    segmentOf(7, range(105, 120), range(158, 170)),
    segmentOf(8, range(300, 400)),
    segmentOf(9, range(0, 1_000, false)),
  ];
  const copies = new CopyIndex(segments, own);
  const found = Array.from({ length: 500 }, (_, offset) => offset).filter((offset) =>
    copies.has(PARTITION, offset),
  );
  const held = (first: number, last: number): number[] =>
    Array.from({ length: last - first + 1 }, (_, n) => first + n);
  expect(found).toEqual([...held(90, 120), ...held(150, 170)]);
  expect(copies.has(17, 100)).toBe(false);
});
