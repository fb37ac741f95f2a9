import { beforeAll, describe, expect, test } from 'vitest';
import type { DiskImage } from '../support/sim-disk-image.ts';
import { SimRandom } from '../support/sim-random.ts';
import type { Entry } from './ledger.ts';
import type { Observation } from './observe.ts';
import { freshLife, naming, nextLife } from './scenario.ts';
import { missingEntries, place, verifyFoundWasTried, verifyFresh, verifyOrder } from './verify.ts';
import { appendToEach } from './workload.ts';
import { type Moment, SEGMENT_BYTES, World } from './world.ts';

const PAGE_BYTES = 4096;
/** What a segment's header uses of its page, about. */
const HEADER_BYTES = 700;

/** A ring with known contents: more than a lap, each group of records a commit of its own. */
let moment: Moment;
/** For each entry the number of entries that were acknowledged together with it or before it. */
let groupOf: Map<Entry, number>;
/** Entries whose only copy is a carried one, and so lies in a batch of another group. */
let carried: Set<string>;

beforeAll(async () => {
  const life = await freshLife({ seed: 81, groups: 300, oneAtATime: true });
  moment = life.moments.at(-1) as Moment;
  groupOf = new Map();
  for (const { acked } of life.moments.map((one) => one.ledger)) {
    for (const entry of life.ledger.entries.slice(groupOf.size, acked)) groupOf.set(entry, acked);
  }
  const world = damagedWorld(moment.disk.copy());
  await world.open();
  const records = [...(await world.observe()).read.values()].flat();
  carried = new Set(records.filter((record) => record.carried).map(place));
});

describe('damage on the medium', { timeout: 60_000 }, () => {
  test('a flipped bit in any page costs at most the batch it is in, and is reported', async () => {
    const random = new SimRandom(82);
    for (const slot of moment.disk.names()) {
      for (let page = 0; page < SEGMENT_BYTES / PAGE_BYTES; page += 1) {
        // Headers of batches lie at the start of a page, and most of a page may be padding.
        const within = random.chance(0.3) ? random.below(128) : random.below(PAGE_BYTES);
        await checkFlippedBit(slot, page * PAGE_BYTES + within, random.below(8));
      }
    }
  });

  test('a flipped bit in the header of a segment costs nothing', async () => {
    const random = new SimRandom(87);
    for (const slot of moment.disk.names()) {
      for (let count = 0; count < 8; count += 1) {
        await checkFlippedBit(slot, random.below(HEADER_BYTES), random.below(8));
      }
    }
  });

  test('a whole page of nonsense costs at most the batch it is in, and is reported', async () => {
    const random = new SimRandom(83);
    for (const slot of moment.disk.names()) {
      for (let page = 0; page < SEGMENT_BYTES / PAGE_BYTES; page += 1) {
        if (!random.chance(0.25)) continue;
        const image = moment.disk.copy();
        image.garble(slot, page * PAGE_BYTES, PAGE_BYTES, page);
        await naming(`page ${page} of ${slot}`, () => checkDamaged(image));
      }
    }
  });

  test('a page that cannot be read costs at most the batch it is in, and is reported', async () => {
    const random = new SimRandom(84);
    for (const slot of moment.disk.names()) {
      for (let page = 0; page < SEGMENT_BYTES / PAGE_BYTES; page += 1) {
        if (!random.chance(0.2)) continue;
        await naming(`page ${page} of ${slot}`, () =>
          checkDamaged(moment.disk.copy(), (world) =>
            world.disk.failReads(slot, page * PAGE_BYTES, (page + 1) * PAGE_BYTES),
          ),
        );
      }
    }
  });

  test('of the first page of the newest segment hides nothing, and lets nothing old rise', async () => {
    const life = await freshLife({ seed: 85, groups: 420 });
    const after = await nextLife(life, { seed: 86, groups: 30 });
    let checked = 0;
    for (const one of [...firstInSegment(life.moments), ...firstInSegment(after.moments)]) {
      await naming(`first page of ${one.newestSlot} at ${one.what}`, () => checkFirstPage(one));
      checked += 1;
    }
    expect(checked).toBeGreaterThan(40);
  });

  test('all over the ring does not stop the start', async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const image = moment.disk.copy();
      const random = new SimRandom(seed);
      for (const slot of image.names()) {
        const first = random.below(SEGMENT_BYTES / 2);
        image.garble(slot, seed % 2 === 0 ? 0 : first, random.below(SEGMENT_BYTES / 2), seed);
      }
      await naming(`seed ${seed}`, async () => {
        const world = damagedWorld(image);
        await world.open();
        const found = await world.observe();
        verifyFoundWasTried(found, moment.ledger);
        await checkAppends(world, found, moment);
      });
    }
  });
});

async function checkFlippedBit(slot: string, offset: number, bit: number): Promise<void> {
  const image = moment.disk.copy();
  image.flipBit(slot, offset, bit);
  await naming(`bit ${bit} at ${offset} of ${slot}`, () => checkDamaged(image));
}

async function checkDamaged(image: DiskImage, prepare?: (world: World) => void): Promise<void> {
  const world = damagedWorld(image);
  prepare?.(world);
  await world.open();
  const found = await world.observe();
  verifyFoundWasTried(found, moment.ledger);
  verifyOrder(found);
  const missing = missingEntries(found, moment.ledger, moment.heads);
  const fresh = missing.filter((entry) => !carried.has(place(entry)));
  const groups = new Set(fresh.map((entry) => groupOf.get(entry)));
  if (groups.size > 1) {
    throw new Error(
      `${missing.length} records of ${groups.size} batches: ${missing.map(place).join()}`,
    );
  }
  if (missing.length > 0) {
    const report = world.ring.recovery;
    const reported = world.ring.statistics().corruptRecords + report.tornRecords + found.damaged;
    // Where the header of the last batch is gone too, nothing tells how many there were, only that
    // the tail is uncertain.
    if (reported < missing.length && !report.tailUncertain) {
      throw new Error(`${missing.length} records are lost and ${reported} were reported`);
    }
  }
  await checkAppends(world, found, moment);
}

/** The newest header is gone: what its segment holds is still found, and no older lap with it. */
async function checkFirstPage(one: Moment): Promise<void> {
  const image = one.disk.cut('none', 1);
  image.garble(one.newestSlot as string, 0, PAGE_BYTES, 7);
  const world = new World({ disk: image, bootId: 'boot-2', before: one.ledger });
  await world.open();
  const found = await world.observe();
  verifyFoundWasTried(found, one.ledger);
  const missing = missingEntries(found, one.ledger, one.heads);
  if (missing.length > 0) throw new Error(`lost ${missing.map(place).join()}`);
  await checkAppends(world, found, one);
}

async function checkAppends(world: World, found: Observation, before: Moment): Promise<void> {
  world.start(found);
  const entries = await world.run(appendToEach(world, 'after/damage'));
  // A ring of which nothing could be read is made anew, under another id: its offsets begin again.
  const isSameRing = world.ring.ringId === before.checkpoint.durable?.ringId;
  if (isSameRing) for (const entry of entries) verifyFresh(entry, before.ledger, found);
  await world.run(world.ring.close());
}

/**
 * The first moments in which a segment was the newest one, and some later in its life. Not those of
 * the very first segment: its header is the only place that holds the ring's id and salt.
 */
function firstInSegment(moments: readonly Moment[]): readonly Moment[] {
  const firstSlot = moments[0]?.heads.size === 0 ? 'slot-0000' : undefined;
  return moments.filter((one, index) => {
    if (one.newestSlot === undefined || one.newestSlot === firstSlot) return false;
    const isNewestSince = (back: number): boolean =>
      moments[index - back]?.newestSlot === one.newestSlot;
    return !isNewestSince(1) || (isNewestSince(8) && !isNewestSince(9));
  });
}

function damagedWorld(image: DiskImage): World {
  const checkpoint = moment.checkpoint.durable;
  return new World({
    disk: image,
    bootId: 'boot-2',
    before: moment.ledger,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  });
}
