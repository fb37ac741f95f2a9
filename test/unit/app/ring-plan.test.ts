import { expect, test } from 'vitest';
import { planRing } from '../../../src/app/ring-plan.ts';

const MIB = 1024 * 1024;

function otherSegment(sizes: readonly number[]): number | undefined {
  const files = sizes.map((mib, slot) => ({
    name: `slot-${String(slot).padStart(4, '0')}`,
    sizeBytes: mib * MIB,
    allocatedBytes: mib * MIB,
  }));
  return planRing(files, { sizeBytes: 16 * MIB, segmentSizeBytes: MIB }).otherSegmentBytes;
}

test('the segments that a ring was made with are as long as most of its files', () => {
  expect(otherSegment([])).toBeUndefined();
  expect(otherSegment([1, 1, 1])).toBeUndefined();
  expect(otherSegment([2, 2, 2])).toBe(2 * MIB);
  expect(otherSegment([0.5, 0.5, 0.25])).toBe(0.5 * MIB);
  // Its making was cut short.
  expect(otherSegment([1, 1, 0.5])).toBeUndefined();
  expect(otherSegment([0.5])).toBeUndefined();
  // One was harmed.
  expect(otherSegment([1, 3, 1, 1])).toBeUndefined();
});
