import { beforeAll, describe, expect, test } from 'vitest';
import { CisternError } from '../../src/base/errors.ts';
import { slotName } from '../../src/ring/slot-files.ts';
import { STATE_PARTITION_ID } from '../../src/ring/types.ts';
import type { Entry } from './ledger.ts';
import { CARRIED_KEY_PREFIX, keyOf } from './owner.ts';
import { freshLife } from './scenario.ts';
import { missingEntries, place, verifyFoundWasTried, verifyOrder } from './verify.ts';
import { appendWorkload } from './workload.ts';
import { type Moment, SEGMENT_BYTES, SLOTS, type World, worldAfterCut } from './world.ts';

const PAGE_BYTES = 4096;
const LAP_GROUPS = 350;

/** More than a lap, closed in order: all segments but the newest are known by their summaries alone. */
let closed: Moment;

beforeAll(async () => {
  closed = (await freshLife({ seed: 91, groups: 300 })).moments.at(-1) as Moment;
});

async function reopened(): Promise<World> {
  const world = worldAfterCut(closed, 'none', 1);
  await world.open();
  return world;
}

function events(world: World): string[] {
  return world.logger.atLeast('warn').map(({ event }) => event);
}

describe('pages that cannot be read any more', { timeout: 60_000 }, () => {
  test('cost the batches they are in; the rest is read, and what is lost is told once', async () => {
    const world = await reopened();
    for (let slot = 0; slot < SLOTS; slot += 1) {
      world.disk.failReads(slotName(slot), 6 * PAGE_BYTES, 7 * PAGE_BYTES);
    }
    const found = await world.observe();
    verifyFoundWasTried(found, closed.ledger);
    verifyOrder(found);
    const missing = missingEntries(found, closed.ledger, closed.heads);
    expect(missing.length).toBeGreaterThan(0);
    const { corruptRecords, lost } = world.ring.statistics();
    expect(corruptRecords).toBeGreaterThanOrEqual(missing.length);
    for (const entry of missing) {
      const isTold = lost.some(
        ({ partitionId, firstOffset, count }) =>
          partitionId === entry.partitionId &&
          entry.offset >= firstOffset &&
          entry.offset < firstOffset + count,
      );
      expect(isTold, place(entry)).toBe(true);
    }
    await world.observe();
    expect(world.ring.statistics()).toMatchObject({ corruptRecords });
  });

  test('in all of a slot hold up nobody, and the slot is not used again', async () => {
    const world = await reopened();
    world.disk.failReads(slotName(3), 0, SEGMENT_BYTES);
    const found = await world.observe();
    expect(found.damaged).toBeGreaterThan(0);
    world.start(found);
    await world.run(appendWorkload(world, { seed: 92, groups: LAP_GROUPS }));
    expect(world.ledger.acked).toBe(world.ledger.entries.length);
    expect(world.ring.statistics()).toMatchObject({ retiredSlots: [3], failure: undefined });
    expect(events(world)).toEqual(
      expect.arrayContaining(['ring.read_failed', 'ring.slot_condemned']),
    );
    const next = worldAfterCut(world.moment('a lap later'), 'none', 1);
    await next.open();
    expect(next.ring.statistics().retiredSlots).toEqual([3]);
  });

  test('met while survivors are carried: all that can be read of them is carried', async () => {
    const found = await (await reopened()).observe();
    const world = await reopened();
    world.start(found);
    for (let slot = 0; slot < SLOTS; slot += 3) {
      world.disk.failReads(slotName(slot), 5 * PAGE_BYTES, 6 * PAGE_BYTES);
    }
    await world.run(appendWorkload(world, { seed: 93, groups: LAP_GROUPS }));
    expect(world.ledger.acked).toBe(world.ledger.entries.length);
    const { failure, lost, retiredSlots } = world.ring.statistics();
    expect(failure).toBeUndefined();
    expect(retiredSlots).toHaveLength(SLOTS / 8);
    const { scanned } = await world.observe();
    const present = new Set(scanned.map(({ sequence }) => sequence));
    const gone = lastValues(world).filter(({ sequence }) => !present.has(sequence));
    const isTold = ({ offset }: Entry): boolean =>
      lost.some(
        ({ partitionId, firstOffset, count }) =>
          partitionId === STATE_PARTITION_ID &&
          offset >= firstOffset &&
          offset < firstOffset + count,
      );
    expect(gone.filter((entry) => !isTold(entry)).map(place)).toEqual([]);
    expect(lastValues(world).length).toBeGreaterThan(2 * gone.length);
  });
});

describe('a device that refuses all reads at the start', () => {
  test('is an error, not a ring without records: it is all there when the device is back', async () => {
    const world = worldAfterCut(closed, 'none', 1);
    for (let slot = 0; slot < SLOTS; slot += 1) {
      world.disk.failReads(slotName(slot), 0, SEGMENT_BYTES);
    }
    const error: unknown = await world.open().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CisternError);
    expect(error).toMatchObject({ code: 'DEVICE_FAILED' });
    expect(world.disk.operations).toBe(0);
    world.disk.heal();
    await world.open();
    const found = await world.observe();
    expect(missingEntries(found, closed.ledger, closed.heads)).toEqual([]);
  });
});

/** Of each key that is kept in the ring, the record that says what holds. */
function lastValues(world: World): Entry[] {
  const last = new Map<string, Entry>();
  for (const entry of world.ledger.entries) {
    if (entry.partitionId !== STATE_PARTITION_ID) continue;
    const key = keyOf(entry);
    if (key.startsWith(CARRIED_KEY_PREFIX)) last.set(key, entry);
  }
  return [...last.values()];
}
