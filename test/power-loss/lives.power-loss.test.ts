import { describe, test } from 'vitest';
import type { Fault } from '../support/sim-disk.ts';
import { CUT_MODES } from '../support/sim-disk-image.ts';
import { SimRandom } from '../support/sim-random.ts';
import { naming, recover } from './scenario.ts';
import { verifyState } from './verify.ts';
import { appendWorkload } from './workload.ts';
import { type Moment, World, worldAfterCut } from './world.ts';

const LIVES = 25;
const FAULTS: readonly Fault[] = ['EIO', 'ENOSPC', 'SHORT'];

/** Seeds that once failed are kept here, so that what they found stays mended. */
const SEEDS = { cuts: [1, 3, 5, 27], faults: [2, 9, 13, 39] };

describe('one life after another, each ended at a random operation', { timeout: 60_000 }, () => {
  test('by a power cut or kill -9: everything acknowledged in any of them is still there', async () => {
    for (const seed of seeds('cuts')) await naming(`seed ${seed}`, () => live(seed, 0));
  });

  test('and with writes that fail once in a while', async () => {
    for (const seed of seeds('faults')) await naming(`seed ${seed}`, () => live(seed, 0.4));
  });
});

/** `CISTERN_SEEDS=100-200` tries others. */
function seeds(which: 'cuts' | 'faults'): readonly number[] {
  const range = /^(\d+)-(\d+)$/.exec(process.env['CISTERN_SEEDS'] ?? '');
  if (range === null) return SEEDS[which];
  const [first, last] = [Number(range[1]), Number(range[2])];
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

async function live(seed: number, faultChance: number): Promise<void> {
  const random = new SimRandom(seed);
  let world = new World({ seed });
  let moment: Moment | undefined;
  for (let life = 0; life < LIVES; life += 1) {
    const last = moment;
    await naming(`life ${life}, after ${last?.what ?? 'nothing'}`, () => liveOnce(world, last));
    if (random.chance(faultChance)) {
      world.disk.failAt(world.disk.operations + 1 + random.below(60), random.pick(FAULTS));
    }
    const groups = 1 + random.below(random.pick([3, 20, 250]));
    await naming(`life ${life}`, () =>
      world.run(appendWorkload(world, { seed: seed * 100 + life, groups })),
    );
    if (world.disk.violations.length > 0) throw new Error(world.disk.violations.join());
    moment = random.pick(world.moments);
    world = random.chance(0.2)
      ? worldAfterKill(moment)
      : worldAfterCut(moment, random.pick(CUT_MODES), random.below(1_000_000));
  }
}

async function liveOnce(world: World, last: Moment | undefined): Promise<void> {
  world.keepMoments();
  if (last === undefined) {
    await world.open();
    world.start(await world.observe());
    return;
  }
  const state = world.start(await recover(world, last));
  verifyState(state, last.ledger, { withCheckpoint: true });
}

function worldAfterKill(moment: Moment): World {
  const checkpoint = moment.checkpoint.durable;
  return new World({
    disk: moment.disk.copy(),
    before: moment.ledger,
    heads: moment.heads,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  });
}
