import { describe, expect, test } from 'vitest';
import { SimRandom } from '../support/sim-random.ts';
import { oneMode, sample } from './sampling.ts';
import { checkCut, checkGoesOn, checkSecondCuts, freshLife, naming, recover } from './scenario.ts';
import { verifySame } from './verify.ts';
import { appendWorkload } from './workload.ts';
import { type Moment, type World, worldAfterCut, worldAfterKill } from './world.ts';

const KIB = 1024;
/** Of a ring of 1 MiB. `early` falls silent after a tenth of the workload, far below its quota. */
const QUOTAS = new Map([
  ['early', 200 * KIB],
  ['default', 200 * KIB],
]);

describe('a power cut while streams with quotas are carried', { timeout: 90_000 }, () => {
  test('during several laps takes nothing that is within a quota', async () => {
    const life = await severalLaps(121);
    for (const [index, moment] of sample(life.moments, 80, 122).entries()) {
      await checkCut(moment, oneMode(index), 13_000 + index);
    }
  });

  test('at every operation of a lap', async () => {
    const life = await severalLaps(131);
    const lap = life.moments.slice(-120);
    for (const [index, moment] of lap.entries()) {
      await checkCut(moment, oneMode(index), 14_000 + index);
    }
  });

  test('a second time, at every operation of the recovery and of what follows it', async () => {
    const life = await severalLaps(141);
    for (const [index, moment] of sample(life.moments, 6, 142).entries()) {
      await checkSecondCuts(moment, index, 15_000 + index);
    }
  });

  test('after kill -9 too', async () => {
    const life = await severalLaps(161);
    for (const [index, moment] of sample(life.moments, 24, 162).entries()) {
      await naming(`killed at ${moment.what}, index ${index}`, async () => {
        const world = worldAfterKill(moment);
        const found = await recover(world, moment);
        world.start(found);
        await checkGoesOn(world, moment, found);
      });
    }
  });
});

describe('streams with quotas', { timeout: 60_000 }, () => {
  test('a chatty one cannot push out a quiet one, lap after lap and start after start', async () => {
    const life = await severalLaps(171);
    const last = life.moments.at(-1) as Moment;
    const world = worldAfterCut(last, 'none', 1);
    const found = await recover(world, last);
    const early = found.partitions.find((info) => info.stream === 'early');
    expect(early).toMatchObject({ headOffset: 0 });
    expect(early?.tailOffset).toBeGreaterThan(20);
    expect(found.read.get(early?.id ?? -1)?.map(({ offset }) => offset)).toEqual(
      Array.from({ length: early?.tailOffset ?? 0 }, (_, offset) => offset),
    );
    expect(found.damaged).toBe(0);
    expect(life.logger.atLeast('warn')).toEqual([]);
  });

  test('each keeps its newest records up to its quota, and little more', async () => {
    const life = await severalLaps(181);
    const last = life.moments.at(-1) as Moment;
    const world = worldAfterCut(last, 'none', 1);
    const found = await recover(world, last);
    world.start(found);
    await world.run(appendWorkload(world, { seed: 182, groups: 300 }));
    const own = world.ring.partitions().filter(({ stream }) => stream === 'default');
    world.ring.trimToBytes(
      own.map(({ id }) => id),
      200 * KIB,
    );
    const kept = await world.observe();
    const bytes = own
      .flatMap(({ id }) => kept.read.get(id) ?? [])
      .reduce((sum, record) => sum + record.payload.length + record.attributes.length + 8, 0);
    expect(bytes).toBeLessThan(210 * KIB);
    expect(bytes).toBeGreaterThan(180 * KIB);
  });

  test('what is carried again and again keeps its order for readers by sequence', async () => {
    const life = await severalLaps(191);
    const found = await life.observe();
    const sequences = found.scanned.map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    expect(found.scanned.filter(({ carried }) => carried).length).toBeGreaterThan(100);
    const random = new SimRandom(5);
    for (let n = 0; n < 20; n += 1) {
      const from = random.pick(sequences);
      const some: number[] = [];
      await life.run(
        (async () => {
          for await (const records of life.ring.scan({ fromSequence: from })) {
            some.push(...records.map(({ sequence }) => sequence));
          }
        })(),
      );
      expect(some).toEqual(sequences.filter((sequence) => sequence >= from));
    }
  });

  test('a start shows the same again and again', async () => {
    const life = await severalLaps(201);
    for (const moment of sample(life.moments, 6, 202)) {
      let world = worldAfterCut(moment, 'none', 1);
      const found = await recover(world, moment);
      for (let start = 0; start < 5; start += 1) {
        world = worldAfterCut(world.moment('again'), 'none', start);
        verifySame(found, await recover(world, moment));
      }
    }
  });
});

/** About four laps of the ring. */
function severalLaps(seed: number): Promise<World> {
  return freshLife({ seed, groups: 900 }, { quotas: QUOTAS });
}
