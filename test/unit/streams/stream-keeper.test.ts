import { describe, expect, test } from 'vitest';
import { StreamBench } from './stream-bench.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('quotas', () => {
  test('a chatty stream cannot push out a quiet one, and both keep to theirs', async () => {
    const bench = await new StreamBench({
      quiet: { quotaBytes: 500 * KIB },
      chatty: { quotaBytes: 1.5 * MIB },
    }).start();
    await bench.publish('quiet', 400);
    await bench.publish('chatty', 12_000);
    bench.keeper.keepToQuotas();
    expect(await bench.kept('quiet')).toEqual({ bytes: 400_000, records: 400, damaged: 0 });
    const chatty = await bench.kept('chatty');
    expect(chatty.bytes).toBeGreaterThan(1.4 * MIB);
    expect(chatty.bytes).toBeLessThan(1.5 * MIB);
    expect(chatty.damaged).toBe(0);
    const dropped = bench.keeper.droppedOf(bench.stream('chatty'));
    expect(dropped.get('quota')).toBe(12_000 - chatty.records);
    expect(bench.keeper.droppedOf(bench.stream('quiet')).size).toBe(0);
  });

  test('are kept to in a ring that has not turned yet', async () => {
    const bench = await new StreamBench({ a: { quotaBytes: 300 * KIB } }).start();
    await bench.publish('a', 1_000);
    await bench.bench.clock.advance(2_000);
    const { bytes } = await bench.kept('a');
    expect(bytes).toBeGreaterThan(285 * KIB);
    expect(bytes).toBeLessThan(300 * KIB);
  });

  test('partitions share one, and the oldest of all goes first', async () => {
    const bench = await new StreamBench({ a: { quotaBytes: 400 * KIB, partitions: 3 } }).start();
    await bench.publish('a', 3_000);
    bench.keeper.keepToQuotas();
    const { ring } = bench;
    const oldest = await Promise.all(
      bench.stream('a').partitionIds.map(async (id) => {
        const { headOffset = 0 } = ring.partition(id) ?? {};
        const limits = { maxRecords: 1, maxBytes: 1 };
        const { records } = await bench.bench.clock.runUntil(ring.read(id, headOffset, limits));
        return records[0]?.sequence ?? 0;
      }),
    );
    expect(Math.max(...oldest) - Math.min(...oldest)).toBeLessThan(40);
    expect((await bench.kept('a')).bytes).toBeGreaterThan(380 * KIB);
  });

  test('count the topics that the ring has to write with the messages', async () => {
    const bench = await new StreamBench({ a: { quotaBytes: 1.5 * MIB } }).start();
    const topicOf = (n: number): string => `site-${n % 5_000}/${'x'.repeat(100)}`;
    await bench.publish('a', 60_000, 4, 200, topicOf);
    bench.keeper.keepToQuotas();
    const { records, damaged } = await bench.kept('a');
    expect(damaged).toBe(0);
    expect(records * (4 + topicOf(1_000).length + 8)).toBeLessThan(1.6 * MIB);
    expect(records * (4 + topicOf(1_000).length + 8)).toBeGreaterThan(1.2 * MIB);
    expect(bench.keeper.quotaScale).toBe(1);
  });

  test('a stream without one has what the others leave', async () => {
    const bench = await new StreamBench({ quiet: { quotaBytes: 1 * MIB }, rest: {} }).start();
    await bench.publish('quiet', 900);
    await bench.publish('rest', 9_000);
    expect((await bench.kept('quiet')).records).toBe(900);
    const rest = await bench.kept('rest');
    expect(rest.bytes).toBeGreaterThan(1 * MIB);
    const { damaged, records } = rest;
    expect({ damaged, records }).toEqual({ damaged: 0, records });
    const rotated = bench.keeper.droppedOf(bench.stream('rest')).get('rotation');
    expect(rotated).toBe(9_000 - records);
  });

  test('stay what they are over starts, and may change between them', async () => {
    const first = await new StreamBench({ a: { quotaBytes: 1 * MIB }, b: {} }).start();
    await first.publish('a', 900);
    await first.publish('b', 5_000);
    await first.bench.clock.runUntil(first.ring.close());
    const second = await new StreamBench(
      { a: { quotaBytes: 500 * KIB }, b: {} },
      first.bench.disk.image(),
    ).start();
    await second.publish('b', 5_000);
    const { bytes, damaged } = await second.kept('a');
    expect(bytes).toBeGreaterThan(480 * KIB);
    expect(bytes).toBeLessThan(500 * KIB);
    expect(damaged).toBe(0);
    await second.bench.clock.runUntil(second.ring.close());
    const third = await new StreamBench({ b: {} }, second.bench.disk.image()).start();
    await third.publish('b', 9_000);
    const forgotten = third.ring.partitions().find(({ stream }) => stream === 'a');
    expect(forgotten?.headOffset).toBe(forgotten?.tailOffset);
  });
});

describe('ages', () => {
  const DAY_MS = 86_400_000;

  test('what is too old goes, though the ring has room', async () => {
    const bench = await new StreamBench({ a: { maxAgeMs: DAY_MS, partitions: 2 } }).start();
    await bench.publish('a', 300, 100);
    await bench.bench.clock.advance(DAY_MS / 2);
    await bench.publish('a', 200, 100);
    await bench.bench.clock.advance(DAY_MS / 2 - 120_000);
    expect((await bench.kept('a')).records).toBe(500);
    await bench.bench.clock.advance(300_000);
    expect((await bench.kept('a')).records).toBe(200);
    expect(bench.keeper.droppedOf(bench.stream('a'))).toEqual(new Map([['age', 300]]));
  });

  test('within a quota too, and rotation does not carry it on', async () => {
    const streams = { a: { maxAgeMs: DAY_MS, quotaBytes: 1 * MIB }, b: {} };
    const bench = await new StreamBench(streams).start();
    await bench.publish('a', 500);
    await bench.bench.clock.advance(2 * DAY_MS);
    const before = bench.ring.statistics().carriedBytes;
    await bench.publish('b', 5_000);
    expect((await bench.kept('a')).records).toBe(0);
    expect(bench.ring.statistics().carriedBytes - before).toBeLessThan(100 * KIB);
  });

  test('of a clock that nobody trusts say nothing', async () => {
    const bench = await new StreamBench({ a: { maxAgeMs: DAY_MS } }).start();
    bench.ring.setTrustedOffset(undefined);
    await bench.publish('a', 100);
    await bench.bench.clock.advance(3 * DAY_MS);
    expect((await bench.kept('a')).records).toBe(100);
  });
});

describe('a ring that carries and wins nothing', () => {
  test('is not one that takes small messages, each a commit of its own', async () => {
    const bench = await new StreamBench({ quiet: { quotaBytes: 2 * MIB }, slow: {} }).start();
    await bench.publish('quiet', 1_500);
    await bench.publish('slow', 3_000, 20, 1);
    expect(bench.ring.statistics().epoch).toBeGreaterThan(40);
    expect(bench.keeper.quotaScale).toBe(1);
    expect(await bench.kept('quiet')).toMatchObject({ records: 1_500, damaged: 0 });
  });

  test('keeps less of each quota rather than turn for ever, and says so', async () => {
    const bench = await new StreamBench({ a: { quotaBytes: 3.6 * MIB }, b: {} }).start();
    await bench.publish('a', 4_000, 900);
    await bench.publish('b', 4_000, 900);
    expect(bench.keeper.quotaScale).toBeLessThan(1);
    expect(bench.logger.entries.map(({ event }) => event)).toContain('stream.quotas_scaled');
    expect((await bench.kept('a')).damaged).toBe(0);
  });
});
