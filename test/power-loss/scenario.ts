import type { CutMode } from '../support/sim-disk-image.ts';
import type { Observation } from './observe.ts';
import { oneMode } from './sampling.ts';
import { verifyFresh, verifyRecords, verifySame, verifyState } from './verify.ts';
import { appendToEach, appendWorkload, type WorkloadPlan } from './workload.ts';
import { type Moment, World, type WorldOptions, worldAfterCut } from './world.ts';

/** Makes a ring, appends the workload and closes it, keeping the moment of every operation. */
export async function freshLife(plan: WorkloadPlan, options: WorldOptions = {}): Promise<World> {
  const world = new World({ seed: plan.seed, ...options });
  world.keepMoments();
  await world.open();
  world.start(await world.observe());
  await world.run(appendWorkload(world, plan));
  world.mark('everything acknowledged');
  await world.run(world.ring.close());
  world.mark('closed');
  return world;
}

/** Opens the ring that an earlier life closed, and goes on in the same way. */
export async function nextLife(
  before: World,
  plan: WorkloadPlan,
  slots = before.slots,
): Promise<World> {
  const last = before.moment('closed');
  const checkpoint = last.checkpoint.durable;
  const world = new World({
    seed: plan.seed,
    bootId: 'boot-1',
    disk: last.disk,
    slots,
    ledger: before.ledger,
    heads: last.heads,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  });
  world.keepMoments();
  await world.open();
  world.start(await world.observe());
  await world.run(appendWorkload(world, plan));
  world.mark('everything acknowledged');
  await world.run(world.ring.close());
  world.mark('closed');
  return world;
}

/**
 * Cuts the power at the moment and demands all that is promised of the next start. Rejects with the
 * moment, the mode and the seed in the message, so that one line is enough to replay it.
 */
export async function checkCut(moment: Moment, mode: CutMode, seed: number): Promise<void> {
  await naming(`cut at ${moment.what}, mode ${mode}, seed ${seed}`, async () => {
    const world = worldAfterCut(moment, mode, seed);
    const found = await recover(world, moment);
    await checkOpensTheSame(world, found, seed);
    const state = world.start(found);
    verifyState(state, moment.ledger, { withCheckpoint: true });
    await checkGoesOn(world, moment, found);
  });
}

/** Cuts the power at the moment, and then again at every operation of the recovery and of what follows. */
export async function checkSecondCuts(moment: Moment, index: number, seed: number): Promise<void> {
  const mode = oneMode(index);
  await naming(`first cut at ${moment.what}, mode ${mode}, seed ${seed}`, async () => {
    const world = worldAfterCut(moment, mode, seed);
    world.keepMoments();
    const found = await recover(world, moment);
    world.start(found);
    await world.run(appendWorkload(world, { seed, groups: 4 }));
    for (const [step, second] of world.moments.entries()) {
      await checkCut(second, oneMode(index + step), seed + 100 * step);
    }
  });
}

/** Opens the ring and verifies what it shows. */
export async function recover(world: World, moment: Moment): Promise<Observation> {
  await world.open();
  const found = await world.observe();
  verifyRecords(found, moment.ledger, moment.heads);
  const { lost } = world.ring.recovery;
  if (lost.length > 0) throw new Error(`told as lost: ${JSON.stringify(lost)}`);
  return found;
}

/** What one start has shown, a second one shows too, even when the power goes right after the first. */
export async function checkOpensTheSame(
  world: World,
  found: Observation,
  seed: number,
): Promise<void> {
  const disk = world.disk.image().cut('none', seed);
  const again = new World({ seed, bootId: 'boot-3', disk, slots: world.slots });
  await again.open();
  verifySame(found, await again.observe());
}

/** Appends work again, with offsets and sequences that nobody has ever seen. */
export async function checkGoesOn(world: World, moment: Moment, found: Observation): Promise<void> {
  const entries = await world.run(appendToEach(world, 'after/the/cut'));
  for (const entry of entries) verifyFresh(entry, moment.ledger, found);
  const after = await world.observe();
  verifyRecords(after, world.ledger.view(), headsOf(after));
  await world.run(world.ring.close());
  if (world.disk.violations.length > 0) throw new Error(world.disk.violations.join());
  if (world.disk.openFiles > 0) throw new Error(`${world.disk.openFiles} files were left open`);
}

export function headsOf(found: Observation): ReadonlyMap<number, number> {
  return new Map(found.partitions.map((info) => [info.id, info.headOffset]));
}

/** Puts `what` in front of the message of whatever `check` rejects with. */
export async function naming<T>(what: string, check: () => Promise<T>): Promise<T> {
  try {
    return await check();
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
