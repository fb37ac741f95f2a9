import { expect, test } from 'vitest';
import type { Ring } from '../../../src/ring/types.ts';
import { bytes, RingBench, SEGMENT_BYTES, source } from './ring-bench.ts';

const NONE = new Uint8Array(0);
const MIB = 2 ** 20;
/** An hour of it is 1 MiB; a page comes back in 14 s. */
const TINY = { budgetBytesPerDay: 24 * MIB, compress: false };
const topic = source('a/b');

function tokens(ring: Ring): number {
  return ring.statistics().wear?.tokens ?? Number.NaN;
}

function append(ring: Ring, partitionId: number, rides = false, size = 200): void {
  const payload = bytes('x'.repeat(size));
  ring.append({ partitionId, source: topic, flags: 0, attributes: NONE, payload, rides });
}

/** Milliseconds until what is appended now is durable. */
async function durableAfter(bench: RingBench, partitionId: number): Promise<number> {
  const startMs = bench.clock.monotonicMs();
  append(bench.ring, partitionId);
  const durable = new Promise<number>((resolve) => {
    bench.ring.whenDurable({
      isClient: true,
      onDurable: () => resolve(bench.clock.monotonicMs()),
    });
  });
  return (await bench.clock.runUntil(durable)) - startMs;
}

function drain(ring: Ring): void {
  ring.payFor(tokens(ring));
}

test('a new ring starts with an hour in hand, whatever filling it with zeros took', async () => {
  const bench = new RingBench();
  const ring = await bench.open(TINY);
  expect(bench.disk.bytesWritten).toBeGreaterThan(4 * MIB);
  expect(tokens(ring)).toBeCloseTo(MIB - ring.statistics().flashBytes, 3);
});

test('an ack takes one flush while tokens are there, and the window when there are none', async () => {
  const bench = new RingBench();
  const ring = await bench.start({ ...TINY, maxCommitWindowMs: 400 });
  const { id } = ring.ensurePartition('telemetry', 0);
  await bench.clock.advance(1000);
  const atHand = await durableAfter(bench, id);
  expect(atHand).toBeLessThan(10);
  expect(await durableAfter(bench, id)).toBeLessThan(10);
  drain(ring);
  const apart = await durableAfter(bench, id);
  expect(apart).toBeGreaterThan(380);
  expect(apart).toBeLessThanOrEqual(400 + 10);
  // Whoever comes after a pause as long as the window waits for nobody.
  await bench.clock.advance(400);
  expect(await durableAfter(bench, id)).toBeLessThan(10);
});

test('a flush that is asked for is not held back', async () => {
  const bench = new RingBench();
  const ring = await bench.start({ ...TINY, maxCommitWindowMs: 400 });
  const { id } = ring.ensurePartition('telemetry', 0);
  drain(ring);
  await durableAfter(bench, id);
  append(ring, id);
  const startMs = bench.clock.monotonicMs();
  await bench.flush();
  expect(bench.clock.monotonicMs() - startMs).toBeLessThan(10);
  // It was for that batch alone.
  expect(await durableAfter(bench, id)).toBeGreaterThan(380);
});

test('what rides opens no commit, with tokens or without', async () => {
  const bench = new RingBench();
  const ring = await bench.start({ ...TINY, maxCommitWindowMs: 400 });
  const { id } = ring.ensurePartition('telemetry', 0);
  for (const prepare of [() => undefined, () => drain(ring)]) {
    prepare();
    await bench.clock.advance(1000);
    const { commits } = ring.statistics();
    append(ring, id, true);
    await bench.clock.advance(390);
    append(ring, id, true);
    expect(ring.statistics().commits).toBe(commits);
    await bench.clock.advance(20);
    expect(ring.statistics().commits).toBe(commits + 1);
  }
});

test('tokens pay for all that the ring writes', async () => {
  const bench = new RingBench();
  const ring = await bench.start(TINY);
  const { id } = ring.ensurePartition('telemetry', 0);
  const before = bench.disk.bytesWritten;
  const had = tokens(ring);
  const startMs = bench.clock.monotonicMs();
  for (let n = 0; n < 40; n++) append(ring, id, false, 10_000);
  await bench.flush();
  await bench.clock.advance(100);
  expect(ring.statistics().epoch).toBeGreaterThan(1);
  const refilled = ((bench.clock.monotonicMs() - startMs) * TINY.budgetBytesPerDay) / 86_400_000;
  expect(tokens(ring)).toBeCloseTo(had + refilled - (bench.disk.bytesWritten - before), 3);
});

test('tokens and debts outlive a restart; the time in between counts for nothing', async () => {
  for (const left of [MIB, MIB / 4]) {
    const bench = new RingBench();
    const ring = await bench.start(TINY);
    const { id } = ring.ensurePartition('telemetry', 0);
    ring.payFor(tokens(ring) - left);
    // A new header says what is left.
    for (let n = 0; n < 2 * (SEGMENT_BYTES / 10_000); n++) {
      append(ring, id, false, 10_000);
      await bench.flush();
    }
    await bench.clock.advance(10);
    const had = tokens(ring);

    const next = new RingBench(bench.disk.image());
    await next.clock.advance(86_400_000);
    const after = await next.open(TINY);
    const spent = after.statistics().flashBytes;
    // Less exact by a summary, and by what was in flight when the header was made.
    expect(Math.abs(tokens(after) - (had - spent))).toBeLessThan(2 * 4096);
  }
});

test('a ring that is used for a little each day is credited for the time it ran', async () => {
  let bench = new RingBench();
  let ring = await bench.start(TINY);
  for (let day = 0; day < 20; day++) {
    const { id } = ring.ensurePartition('telemetry', 0);
    for (let n = 0; n < 10; n++) {
      await durableAfter(bench, id);
      await bench.clock.advance(3_600_000);
    }
    await bench.clock.runUntil(ring.close());
    bench = new RingBench(bench.disk.image());
    ring = await bench.start(TINY);
  }
  // Of a budget of 24 MiB it took 10 pages a day, and what the starts take.
  expect(tokens(ring)).toBeGreaterThan(0.9 * MIB);
});

test('a smaller budget makes a smaller bucket', async () => {
  const bench = new RingBench();
  const ring = await bench.start({ budgetBytesPerDay: 240 * MIB });
  await bench.clock.runUntil(ring.close());
  const after = await new RingBench(bench.disk.image()).open(TINY);
  expect(tokens(after)).toBeLessThanOrEqual(MIB);
});
