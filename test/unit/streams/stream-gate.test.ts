import { describe, expect, test } from 'vitest';
import { StreamBench } from './stream-bench.ts';

const KIB = 1024;

async function gated() {
  const bench = await new StreamBench({
    a: { quotaBytes: 100 * KIB, whenFull: 'reject' },
    b: {},
  }).start();
  const [id = 0] = bench.stream('a').partitionIds;
  let position = 0;
  bench.cursors.attach(id, () => position);
  const { gate } = bench.stream('a');
  if (gate === undefined) throw new Error('there is no gate');
  const moveTo = (offset: number): void => {
    position = offset;
    bench.cursors.moved(id);
  };
  return { bench, gate, moveTo, id };
}

describe('a stream that refuses when it is full', () => {
  test('is full of what its slowest reader has not passed', async () => {
    const { bench, gate, moveTo } = await gated();
    const oneTopic = (): string => 'a';
    // Names take less than a message, so one hundred are too many.
    await bench.publish('a', 99, 1_000, 20, oneTopic);
    expect(gate.admits(1_000)).toBe(true);
    await bench.publish('a', 1, 1_000, 20, oneTopic);
    expect(gate.admits(1_000)).toBe(false);
    expect(gate.admits(100)).toBe(true);
    moveTo(1);
    expect(gate.admits(1_000)).toBe(true);
    await bench.publish('a', 1, 1_000, 20, oneTopic);
    expect(gate.admits(1_000)).toBe(false);
  });

  test('counts what is not durable yet', async () => {
    const { bench, gate, id, moveTo } = await gated();
    const request = { partitionId: id, source: null, flags: 0, attributes: new Uint8Array(0) };
    for (let n = 0; n < 101; n += 1) {
      bench.ring.append({ ...request, payload: new Uint8Array(1_000), rides: true });
      gate.took(id, 1_000);
    }
    expect(gate.admits(1_000)).toBe(false);
    moveTo(0);
    expect(gate.admits(1_000)).toBe(false);
  });

  test('tells who waits when a reader has moved', async () => {
    const { bench, gate, moveTo } = await gated();
    await bench.publish('a', 101, 1_000);
    let told = 0;
    gate.whenMoved(() => {
      told += 1;
    });
    expect(told).toBe(0);
    moveTo(5);
    moveTo(6);
    expect(told).toBe(1);
  });

  test('takes a message larger than its quota when it is empty, and then no other', async () => {
    const { bench, gate } = await gated();
    expect(gate.admits(200 * KIB)).toBe(true);
    await bench.publish('a', 1, 50 * KIB);
    expect(gate.admits(200 * KIB)).toBe(false);
  });

  test('has room again where its age takes what no reader has passed', async () => {
    const bench = await new StreamBench({
      a: { quotaBytes: 100 * KIB, whenFull: 'reject', maxAgeMs: 3_600_000 },
    }).start();
    const { gate, partitionIds } = bench.stream('a');
    bench.cursors.attach(partitionIds[0] ?? 0, () => 0);
    await bench.publish('a', 101, 1_000);
    expect(gate?.admits(1_000)).toBe(false);
    let told = 0;
    gate?.whenMoved(() => {
      told += 1;
    });
    await bench.bench.clock.advance(2 * 3_600_000);
    expect(told).toBe(1);
    expect(gate?.admits(1_000)).toBe(true);
    expect(bench.keeper.droppedOf(bench.stream('a'))).toEqual(new Map([['age', 101]]));
  });

  test('loses nothing that a reader has not passed, however the ring turns', async () => {
    const { bench, moveTo } = await gated();
    await bench.publish('a', 101, 1_000);
    await bench.publish('b', 9_000);
    expect(await bench.kept('a')).toMatchObject({ records: 101, damaged: 0 });
    moveTo(101);
    await bench.publish('a', 90, 1_000);
    await bench.publish('b', 9_000);
    bench.keeper.keepToQuotas();
    const { bytes, damaged } = await bench.kept('a');
    expect(damaged).toBe(0);
    expect(bytes).toBeLessThan(100 * KIB);
    expect(bytes).toBeGreaterThan(89_000);
  });
});
