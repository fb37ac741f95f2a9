import { describe, expect, test } from 'vitest';
import type { ExtentRange } from '../../../src/ring/extent.ts';
import { KeptRanges } from '../../../src/ring/kept-ranges.ts';
import type { Ring } from '../../../src/ring/types.ts';
import { SimRandom } from '../../support/sim-random.ts';
import { RingBench, source } from './ring-bench.ts';

const ATTRIBUTES = new Uint8Array([1]);
const PAYLOAD_BYTES = 399;
/** Attributes and payload. */
const RECORD_BYTES = 400;

/** Appends records of one size to the stream, in commits of ten. */
async function append(bench: RingBench, count: number): Promise<number> {
  const { ring } = bench;
  const { id } = ring.ensurePartition('s', 0);
  const random = new SimRandom(count);
  const device = source('a/b');
  for (let n = 1; n <= count; n++) {
    const payload = random.bytes(PAYLOAD_BYTES);
    const request = { partitionId: id, source: device, flags: 0, attributes: ATTRIBUTES };
    ring.append({ ...request, payload, rides: false });
    if (n % 10 === 0) await bench.flush();
  }
  await bench.flush();
  return id;
}

async function restart(
  bench: RingBench,
  how: 'closed' | 'cut' | 'cut at start',
): Promise<RingBench> {
  if (how === 'closed') await bench.clock.runUntil(bench.ring.close());
  const again = new RingBench(bench.disk.image().cut('none', 1));
  if (how === 'cut at start') await again.open();
  else await again.start();
  return again;
}

describe('the bytes between two offsets', () => {
  for (const how of ['closed', 'cut', 'cut at start'] as const) {
    for (const count of [25, 140, 1000]) {
      test(`of ${count} records are the same after each restart (${how}), and with what follows`, async () => {
        let bench = new RingBench();
        await bench.start();
        const id = await append(bench, count);
        for (let start = 0; start < 4; start++) {
          bench = await restart(bench, how);
          const { headOffset, durableOffset, bytes } = bench.ring.partition(id) ?? {};
          expect([headOffset, durableOffset]).toEqual([0, count]);
          expect(bench.ring.bytesBetween(id, 0, count)).toBe(count * RECORD_BYTES);
          expect(bench.ring.bytesBetween(id, count - 20, count)).toBe(20 * RECORD_BYTES);
          expect(bench.ring.bytesBetween(id, 5, 15)).toBe(10 * RECORD_BYTES);
          expect(bytes).toBe(count * RECORD_BYTES);
        }
        const last = await restart(bench, 'cut');
        await append(last, 15);
        expect(last.ring.bytesBetween(id, count - 10, count + 15)).toBe(25 * RECORD_BYTES);
        expect(last.ring.partition(id)?.bytes).toBe((count + 15) * RECORD_BYTES);
      });
    }
  }

  test('are those from the head on, once rotation has let the oldest go', async () => {
    const bench = new RingBench();
    await bench.start();
    const id = await append(bench, 12_000);
    const check = (ring: Ring): void => {
      const { headOffset, durableOffset, bytes } = ring.partition(id) ?? { headOffset: 0 };
      expect(headOffset).toBeGreaterThan(0);
      const kept = (12_000 - headOffset) * RECORD_BYTES;
      expect(durableOffset).toBe(12_000);
      expect(ring.bytesBetween(id, 0, 12_000)).toBe(kept);
      expect(bytes).toBe(kept);
    };
    check(bench.ring);
    const again = await restart(bench, 'closed');
    check(again.ring);
  });
});

describe('what a start finds in several segments', () => {
  const range = (firstOffset: number, lastOffset: number, count: number): ExtentRange => ({
    firstOffset,
    lastOffset,
    firstSequence: 1_000 + firstOffset,
    lastSequence: 1_000 + lastOffset,
    count,
    bytes: 100 * count,
    nameBytes: 0,
    isWhole: count === lastOffset + 1 - firstOffset,
  });

  test('is not hidden by a range of copies with gaps around it', () => {
    const kept = KeptRanges.from([range(0, 99, 20), range(10, 89, 80)], 0, true);
    expect(kept.bytesBetween(0, 100)).toBe(10_000);
    expect(kept.bytesBetween(10, 90)).toBe(8_000);
  });

  test('counts once where two segments have the same', () => {
    const kept = KeptRanges.from(
      [range(0, 99, 100), range(50, 149, 100), range(0, 149, 10)],
      0,
      true,
    );
    expect(kept.bytesBetween(0, 150)).toBe(15_000);
  });

  test('is all there is from the head on, though a range with gaps begins far below it', () => {
    const kept = KeptRanges.from([range(0, 199, 60), range(100, 199, 50)], 100, true);
    expect(kept.bytesBetween(100, 200)).toBe(10_000);
    // No more than the ranges have: the tail may have jumped.
    const jumped = KeptRanges.from([range(0, 1_000_000, 60)], 100, true);
    expect(jumped.bytesBetween(100, 1_000_001)).toBe(6_000);
  });

  test('is what ranges with gaps have together, and no more than there are offsets', () => {
    const halves = KeptRanges.from([range(0, 99, 50), range(0, 99, 50)], 0, false);
    expect(halves.bytesBetween(0, 100)).toBe(10_000);
    const twice = KeptRanges.from([range(0, 99, 90), range(0, 99, 90)], 0, false);
    expect(twice.bytesBetween(0, 100)).toBe(10_000);
    const apart = KeptRanges.from([range(0, 9, 10), range(500, 509, 5)], 5, false);
    expect(apart.bytesBetween(0, 1_000)).toBe(500 + 500);
    expect(apart.bytesBetween(100, 400)).toBe(0);
  });
});
