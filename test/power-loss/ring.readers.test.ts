import { describe, expect, test } from 'vitest';
import type { RecordView } from '../../src/ring/types.ts';
import { difference, triedEntry } from './ledger.ts';
import { place } from './verify.ts';
import { appendWorkload } from './workload.ts';
import { World } from './world.ts';

interface ReaderPlan {
  readonly pauseMs: number;
  readonly maxRecords: number;
  readonly maxBytes: number;
}

interface Tally {
  read: number;
  lapped: number;
  damaged: number;
  nextOffset: number;
}

describe('readers while the ring turns', { timeout: 60_000 }, () => {
  test('see each record once, in order and unchanged, or are told how many they missed', async () => {
    const world = new World({ seed: 7 });
    await world.open();
    world.start(await world.observe());
    const partitionId = world.ring.ensurePartition('default', 0).id;
    const load = appendWorkload(world, { seed: 7, groups: 900 });
    let isOver = false;
    const over = load.then(() => {
      isOver = true;
    });
    const plans: readonly ReaderPlan[] = [
      { pauseMs: 0, maxRecords: 1000, maxBytes: 64 * 1024 },
      { pauseMs: 5, maxRecords: 7, maxBytes: 2000 },
      { pauseMs: 90, maxRecords: 11, maxBytes: 100_000 },
      { pauseMs: 2500, maxRecords: 400, maxBytes: 300_000 },
    ];
    const readers = plans.map((plan) => follow(world, partitionId, plan, () => isOver));
    await world.run(over);
    const tallies = await world.run(Promise.all(readers));
    const tail = world.ring.partition(partitionId)?.tailOffset;
    for (const [index, tally] of tallies.entries()) {
      expect(tally.damaged, `reader ${index}`).toBe(0);
      expect(tally.nextOffset, `reader ${index}`).toBe(tail);
      expect(tally.read + tally.lapped, `reader ${index}`).toBe(tail);
    }
    // The fast one keeps up, and the slow ones fall behind by more than a lap.
    expect(tallies[0]?.lapped).toBe(0);
    expect(tallies[3]?.lapped).toBeGreaterThan(0);
    expect(world.disk.violations).toEqual([]);
  });
});

/** Reads a partition from its start until it has everything that was appended by the end. */
async function follow(
  world: World,
  partitionId: number,
  plan: ReaderPlan,
  isOver: () => boolean,
): Promise<Tally> {
  const tally: Tally = { read: 0, lapped: 0, damaged: 0, nextOffset: 0 };
  let last: RecordView | undefined;
  const limits = { maxRecords: plan.maxRecords, maxBytes: plan.maxBytes };
  const isDone = (): boolean =>
    isOver() && tally.nextOffset === world.ring.partition(partitionId)?.tailOffset;
  while (!isDone()) {
    const from = tally.nextOffset;
    const result = await world.ring.read(partitionId, from, limits);
    for (const record of result.records) {
      checkRecord(world, record, last);
      last = record;
    }
    const advanced = result.nextOffset - from;
    if (advanced !== result.records.length + result.lapped + result.damaged) {
      throw new Error(`${advanced} offsets from ${from} on are not accounted for`);
    }
    tally.read += result.records.length;
    tally.lapped += result.lapped;
    tally.damaged += result.damaged;
    tally.nextOffset = result.nextOffset;
    await pause(world, advanced === 0 ? plan.pauseMs + 1 : plan.pauseMs);
  }
  return tally;
}

function checkRecord(world: World, record: RecordView, before: RecordView | undefined): void {
  const entry = triedEntry(world.ledger.view(), record);
  if (entry === undefined) throw new Error(`${place(record)} was never appended`);
  const why = difference(record, entry);
  if (why !== undefined) throw new Error(`${place(record)} is not what was appended: ${why}`);
  if (record.offset >= (world.ring.partition(record.partitionId)?.durableOffset ?? 0)) {
    throw new Error(`${place(record)} was shown before it was durable`);
  }
  if (before !== undefined && before.offset >= record.offset) {
    throw new Error(`${place(record)} came after ${place(before)}`);
  }
}

function pause(world: World, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    world.clock.after(delayMs, resolve);
  });
}
