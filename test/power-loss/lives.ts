import type { Fault } from '../support/sim-disk.ts';
import { CUT_MODES } from '../support/sim-disk-image.ts';
import { SimRandom } from '../support/sim-random.ts';
import { naming, recover } from './scenario.ts';
import { verifyState } from './verify.ts';
import { appendWorkload } from './workload.ts';
import { type Moment, World, worldAfterCut, worldAfterKill } from './world.ts';

const LIVES = 25;
const FAULTS: readonly Fault[] = ['EIO', 'ENOSPC', 'SHORT'];

export interface LivesPlan {
  readonly seed: number;
  /** Chance that one write of a life fails. */
  readonly faultChance: number;
  /** Of the operations of a start, the part at which the power is cut as well, each by itself. */
  readonly startsCutShort: number;
}

/**
 * One life of a ring after another, each ended at a random operation. Rejects where one of them
 * does not find what those before had acknowledged.
 */
export async function liveAgainAndAgain(plan: LivesPlan): Promise<void> {
  const { seed } = plan;
  const random = new SimRandom(seed);
  // A source of its own, so that the lives are the same however many starts are cut short.
  const sampling = new SimRandom(seed + 1);
  let world = new World({ seed });
  let moment: Moment | undefined;
  for (let life = 0; life < LIVES; life += 1) {
    const last = moment;
    await naming(`life ${life}, after ${last?.what ?? 'nothing'}`, () => liveOnce(world, last));
    // Cuts while a ring is made are tried elsewhere.
    const starting = last === undefined ? [] : world.moments;
    for (const [index, cut] of starting.entries()) {
      if (!sampling.chance(plan.startsCutShort)) continue;
      await naming(`life ${life}, its start cut short`, () => startAgain(cut, seed + life + index));
    }
    if (random.chance(plan.faultChance)) {
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

/** The start that a power cut ended at `moment` is made again, and finds what that one would have. */
async function startAgain(moment: Moment, seed: number): Promise<void> {
  const mode = CUT_MODES[seed % CUT_MODES.length];
  if (mode === undefined) throw new Error('there are no ways to cut the power');
  await naming(`cut at ${moment.what}, mode ${mode}`, async () => {
    const world = worldAfterCut(moment, mode, seed);
    verifyState(world.start(await recover(world, moment)), moment.ledger, { withCheckpoint: true });
  });
}
