import { expect, test } from 'vitest';
import { SimRandom } from '../../support/sim-random.ts';
import { RingBench, source } from './ring-bench.ts';

async function append(bench: RingBench, count: number, bytes: number): Promise<number> {
  const { ring } = bench;
  const { id } = ring.ensurePartition('s', 0);
  const random = new SimRandom(count);
  for (let n = 1; n <= count; n++) {
    while (!ring.accepting) {
      await bench.clock.runUntil(new Promise<void>((resolve) => ring.onAccepting(resolve)));
    }
    const request = { partitionId: id, source: source('a'), flags: 0 };
    const attributes = new Uint8Array(0);
    ring.append({ ...request, attributes, payload: random.bytes(bytes), rides: false });
    if (n % 10 === 0) await bench.flush();
  }
  await bench.flush();
  return id;
}

test('a row of restarts with little between them takes nothing of a full ring', async () => {
  let bench = new RingBench();
  await bench.start();
  let id = await append(bench, 6_000, 1_000);
  const kept: number[] = [];
  for (let start = 0; start < 8; start++) {
    await bench.clock.runUntil(bench.ring.close());
    bench = new RingBench(bench.disk.image());
    await bench.start();
    await bench.clock.advance(2_000);
    id = await append(bench, 3, 100);
    const { headOffset = 0, tailOffset = 0 } = bench.ring.partition(id) ?? {};
    kept.push(tailOffset - headOffset);
  }
  // The first start leaves a large segment behind it, and so takes a slot.
  const [first = 0] = kept;
  expect(first).toBeGreaterThan(2_000);
  expect(kept).toEqual(kept.map((_, start) => first + 3 * start));
});
