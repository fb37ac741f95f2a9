import { describe, expect, test } from 'vitest';
import type { CutMode } from '../support/sim-disk-image.ts';
import { oneMode } from './sampling.ts';
import { checkCut, checkGoesOn, freshLife, naming, recover } from './scenario.ts';
import { verifyRecords, verifyState } from './verify.ts';
import { appendWorkload } from './workload.ts';
import { type Moment, SEGMENT_BYTES, SLOTS, World, worldAfterCut } from './world.ts';

const LARGE = 26;
/** Groups of records before it shrinks, and meanwhile: the newest lie in slots that leave and that stay. */
const LIVES = [
  [500, 6],
  [900, 0],
] as const;

type Quotas = ReadonlyMap<string, number>;
const QUOTAS: Quotas = new Map([
  ['default', 200_000],
  ['early', 150_000],
]);

describe('a ring that shrinks', { timeout: 120_000 }, () => {
  test('keeps its newest, in order, with state and retained messages, and says what went', async () => {
    const life = await shrinking(await severalLaps(500), 62);
    expect(life.ring.statistics().sizeBytes).toBe(SLOTS * SEGMENT_BYTES);
    expect(await life.run(life.disk.list())).toHaveLength(SLOTS);
    const told = life.logger.entries.filter(({ event }) => event === 'ring.shrunk');
    expect(told).toHaveLength(1);
    const [shrunk] = told;
    expect(shrunk?.level).toBe('warn');
    expect(shrunk?.fields).toMatchObject({ sizeBytes: SLOTS * SEGMENT_BYTES });
    const { movedSegments, segmentsLetGo, bytesLetGo, lastSequence } = shrunk?.fields ?? {};
    expect(movedSegments).toBeGreaterThan(3);
    expect(segmentsLetGo).toBeGreaterThan(3);
    expect(bytesLetGo).toBeGreaterThan(3 * SEGMENT_BYTES);
    expect(lastSequence).toBeGreaterThan(0);
    // All of what was not let go is there: more than half of what the small ring holds at most.
    const found = await life.observe();
    verifyRecords(found, life.ledger.view(), headsOf(life));
    const kept = [...found.read.values()].flat();
    expect(Math.min(...kept.map(({ sequence }) => sequence))).toBeLessThanOrEqual(
      Number(lastSequence) + 1,
    );
    expect(life.ring.statistics().usedBytes).toBeGreaterThan((SLOTS / 2) * SEGMENT_BYTES);
    await life.run(life.ring.close());
    expect(life.disk.violations).toEqual([]);
    expect(life.disk.openFiles).toBe(0);
  });

  test('where all fits nothing goes, and nobody is warned', async () => {
    const before = await freshLife({ seed: 61, groups: 60 }, { slots: LARGE, quotas: new Map() });
    const { segments } = before.ring.statistics();
    expect(segments).toBeGreaterThan(4);
    const life = await shrinking(before, 64, 0);
    const told = life.logger.entries.filter(({ event }) => event === 'ring.shrunk');
    expect(told).toMatchObject([{ level: 'info', fields: { segmentsLetGo: 0 } }]);
    verifyRecords(await life.observe(), life.ledger.view(), headsOf(life));
  });

  test('gives up where quotas keep more than fits, says so, and is whole', async () => {
    const quotas: Quotas = new Map([['default', 1_400_000]]);
    const before = await severalLaps(900, quotas);
    const last = before.moment('closed');
    const world = new World({
      seed: 5,
      disk: last.disk,
      ledger: before.ledger,
      heads: last.heads,
      quotas,
      ...(last.checkpoint.durable === undefined ? {} : { checkpoint: last.checkpoint.durable }),
    });
    await world.open();
    expect(world.ring.statistics().shrinkFailure).toBeUndefined();
    world.start(await world.observe());
    await world.clock.advance(5_000);
    const { shrinkFailure, sizeBytes } = world.ring.statistics();
    expect(shrinkFailure).toBe('what must be kept does not fit');
    expect(sizeBytes).toBe(LARGE * SEGMENT_BYTES);
    verifyRecords(await world.observe(), world.ledger.view(), headsOf(world));
  });

  test.each(LIVES)(
    'through a cut at every operation (%s groups, then %s)',
    async (before, groups) => {
      const life = await shrinking(await severalLaps(before), before, groups);
      const last = life.moments.findLastIndex(({ what }) => what.startsWith('remove'));
      const moments = life.moments.slice(0, last + 4);
      expect(moments.filter(({ what }) => what.startsWith('remove'))).toHaveLength(LARGE - SLOTS);
      for (const [index, moment] of moments.entries()) {
        await checkCut(moment, oneMode(index), 7000 + index);
        await checkNothingLooksDamaged(moment, oneMode(index + 2), 7000 + index);
      }
    },
  );

  test('what quotas keep stays, through a cut as well', async () => {
    const before = await severalLaps(900, QUOTAS);
    const early = before.ring.ensurePartition('early', 0).id;
    const count = async (world: World) => (await world.observe()).read.get(early)?.length;
    const life = await shrinking(before, 112, 0, QUOTAS);
    expect(await count(life)).toBe(earlyRecords(before, early));
    expect(earlyRecords(before, early)).toBeGreaterThan(10);
    for (let index = 0; index < life.moments.length; index += 3) {
      await checkCut(life.moments[index] as Moment, oneMode(index), 9500 + index);
    }
  });

  test('a start after a cut goes on with it, and ends it', async () => {
    const life = await shrinking(await severalLaps(950), 82);
    for (let index = 0; index < life.moments.length; index += 9) {
      const moment = life.moments[index] as Moment;
      await naming(`cut at ${moment.what}, index ${index}`, async () => {
        const world = worldAfterCut(moment, oneMode(index), 8000 + index);
        const found = await recover(world, moment);
        const state = world.start(found);
        verifyState(state, moment.ledger, { withCheckpoint: true });
        await untilShrunk(world);
        expect(await world.run(world.disk.list())).toHaveLength(SLOTS);
        await checkGoesOn(world, moment, found);
      });
    }
  });

  test('through a cut at every stage, and another in the start after it', async () => {
    const life = await shrinking(await severalLaps(500), 72, 0);
    for (let index = 0; index < life.moments.length; index += 17) {
      const moment = life.moments[index] as Moment;
      const world = worldAfterCut(moment, oneMode(index), 6000 + index);
      world.keepMoments();
      const found = await recover(world, moment);
      world.start(found);
      await untilShrunk(world);
      for (let later = index % 5; later < world.moments.length; later += 5) {
        await naming(`cut at ${moment.what}, index ${index}`, () =>
          checkCut(world.moments[later] as Moment, oneMode(later), 6500 + later),
        );
      }
    }
  });

  test('finds what was moved where the newest header is damaged afterwards', async () => {
    const life = await shrinking(await severalLaps(500), 102);
    await life.run(life.ring.close());
    const moment = life.moment('closed');
    const newest = moment.newestSlot ?? '';
    const world = worldAfterCut(moment, 'none', 1);
    const file = await world.run(world.disk.open(newest, 'write'));
    await world.run(file.write(0, new Uint8Array(4096).fill(0xa5)));
    await world.run(file.close());
    const found = await recover(world, moment);
    expect(world.ring.recovery.corruptRecords).toBe(0);
    verifyState(world.start(found), moment.ledger, { withCheckpoint: true });
  });

  test('may be made larger again half way, and keeps all that is left', async () => {
    const life = await shrinking(await severalLaps(700), 92);
    for (let index = 4; index < life.moments.length; index += 11) {
      const moment = { ...(life.moments[index] as Moment), slots: LARGE };
      await checkCut(moment, oneMode(index), 9000 + index);
    }
  });
});

/** What was moved over, and what was moved, is whole or not there: nobody is told of a loss. */
async function checkNothingLooksDamaged(moment: Moment, mode: CutMode, seed: number) {
  await naming(`cut at ${moment.what}, mode ${mode}, seed ${seed}`, async () => {
    const world = worldAfterCut(moment, mode, seed);
    const { recovery } = await world.open();
    expect(recovery).toMatchObject({ lostSegments: 0, corruptRecords: 0, lost: [] });
    expect((await world.observe()).damaged).toBe(0);
    expect(world.ring.statistics().corruptRecords).toBe(0);
  });
}

/** A ring so full that rotation has gone round, closed in order. */
function severalLaps(groups: number, quotas: Quotas = new Map()): Promise<World> {
  return freshLife({ seed: 61, groups }, { slots: LARGE, quotas });
}

/** Of a stream that fell silent early: nothing but its quota keeps them. */
function earlyRecords({ ring }: World, partitionId: number): number {
  const { headOffset, tailOffset } = ring.partition(partitionId) ?? {
    headOffset: 0,
    tailOffset: 0,
  };
  return tailOffset - headOffset;
}

/** Opens it with fewer slots, publishes on meanwhile, and waits until it has shrunk. */
async function shrinking(
  before: World,
  seed: number,
  groups = 6,
  quotas: Quotas = new Map(),
): Promise<World> {
  const last = before.moment('closed');
  const checkpoint = last.checkpoint.durable;
  const world = new World({
    seed,
    disk: last.disk,
    ledger: before.ledger,
    heads: last.heads,
    quotas,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  });
  world.keepMoments();
  await world.open();
  world.start(await world.observe());
  await world.run(appendWorkload(world, { seed, groups }));
  await untilShrunk(world);
  return world;
}

async function untilShrunk(world: World): Promise<void> {
  const isDone = (): boolean => world.ring.statistics().sizeBytes === SLOTS * SEGMENT_BYTES;
  for (let step = 0; step < 2_000 && !isDone(); step++) await world.clock.advance(5);
  await world.clock.advance(500);
}

function headsOf(world: World): ReadonlyMap<number, number> {
  return new Map(world.ring.partitions().map((info) => [info.id, info.headOffset]));
}
