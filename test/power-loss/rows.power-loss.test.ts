import { expect, test } from 'vitest';
import { CisternError } from '../../src/base/errors.ts';
import { CUT_MODES } from '../support/sim-disk-image.ts';
import { SimRandom } from '../support/sim-random.ts';
import { CARRIED_KEY_PREFIX } from './owner.ts';
import { checkGoesOn, freshLife, naming, recover } from './scenario.ts';
import { FIRST_STREAM_PARTITION_ID } from '../../src/ring/types.ts';
import type { Observation } from './observe.ts';
import { verifyState } from './verify.ts';
import { appendWorkload } from './workload.ts';
import { type Moment, type World, worldAfterCut, worldAfterKill } from './world.ts';

const KIB = 1024;
const SEEDS = 20;
const STARTS = 14;
/** Of a ring of 1 MiB, of which 192 KiB are to be free: what is live leaves little to win by recycling. */
const QUOTAS = new Map([
  ['early', 100 * KIB],
  ['default', 340 * KIB],
  ['alarms', 140 * KIB],
]);

/**
 * Each start is cut short while it recovers, while recycling carries, or soon after: none of them
 * has the time to win slots. What was acknowledged must outlast any number of them.
 */
test('no row of starts, each cut short, costs an acknowledged record', {
  timeout: 120_000,
}, async () => {
  for (let seed = 0; seed < SEEDS; seed += 1) {
    await naming(`seed ${seed}`, () => startAgainAndAgain(700 + seed));
  }
});

async function startAgainAndAgain(seed: number): Promise<void> {
  const random = new SimRandom(seed);
  const life = await freshLife({ seed, groups: 500 }, { quotas: QUOTAS });
  let moment = random.pick(life.moments.slice(-400));
  for (let start = 0; start < STARTS; start += 1) {
    const last = moment;
    moment = await naming(`start ${start}, after ${last.what}`, () => startOnce(last, random));
  }
  const world = next(moment, random);
  const found = await recover(world, moment);
  verifyState(world.start(found), moment.ledger, { withCheckpoint: true });
  await checkGoesOn(world, moment, found);
  expect(dropped(world)).toEqual([]);
}

async function startOnce(moment: Moment, random: SimRandom): Promise<Moment> {
  const world = next(moment, random);
  world.keepMoments();
  const found = await recover(world, moment);
  checkCounted(world, found);
  verifyState(world.start(found), moment.ledger, { withCheckpoint: true });
  const plan = { seed: random.below(1_000_000), groups: 6 };
  await world.run(Promise.all([insist(world, random), appendWorkload(world, plan)]));
  expect(dropped(world)).toEqual([]);
  return random.pick(world.moments.slice(0, 1 + random.below(world.moments.length)));
}

/** Control records that do not wait until the ring takes others: there may be room for them before. */
async function insist(world: World, random: SimRandom): Promise<void> {
  for (let count = random.below(12); count > 0; count -= 1) {
    try {
      world.owner.control(`${CARRIED_KEY_PREFIX}${count}`, random.bytes(20));
    } catch (error) {
      if (!(error instanceof CisternError) || error.code !== 'RING_FULL') throw error;
    }
    await new Promise<void>((resolve) => {
      world.clock.after(random.below(4), resolve);
    });
  }
}

/** What a quota is kept to is what a start has counted: about as much as can be read. */
function checkCounted({ ring }: World, found: Observation): void {
  for (const { id, stream, headOffset, durableOffset } of found.partitions) {
    if (id < FIRST_STREAM_PARTITION_ID) continue;
    const records = (found.read.get(id) ?? []).filter(({ offset }) => offset >= headOffset);
    const bytes = records.reduce(
      (sum, each) => sum + each.payload.length + each.attributes.length,
      0,
    );
    const counted = ring.bytesBetween(id, headOffset, durableOffset);
    const isAbout = Math.abs(counted - bytes) <= 0.1 * bytes + 16 * KIB;
    if (!isAbout) throw new Error(`${stream}: ${counted} bytes counted, ${bytes} are there`);
  }
}

function next(moment: Moment, random: SimRandom): World {
  if (random.chance(0.2)) return worldAfterKill(moment);
  return worldAfterCut(moment, random.pick(CUT_MODES), random.below(1_000_000));
}

function dropped({ logger }: World): unknown[] {
  return logger.entries.filter(({ event }) => event === 'ring.segment_dropped');
}
