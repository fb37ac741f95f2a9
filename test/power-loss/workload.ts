import { RecordFlag, type Ring } from '../../src/ring/types.ts';
import { SimRandom } from '../support/sim-random.ts';
import type { Entry } from './ledger.ts';
import { CARRIED_KEY_PREFIX, CHECKPOINT_KEY_PREFIX } from './owner.ts';
import type { World } from './world.ts';

export interface WorkloadPlan {
  readonly seed: number;
  /** Groups of records that a publisher sends in one go. */
  readonly groups: number;
  /** Wait for each group before the next one is sent: then a group is a batch. */
  readonly oneAtATime?: boolean;
  /** Multiplies the payload sizes; 1 gives about 1 KiB a record on average. */
  readonly scale?: number;
}

/**
 * Appends what a broker would: plain records of sizes that do and do not straddle sectors and pages,
 * control records that overwrite and delete each other, retained messages, riders. Resolves when
 * all of it is durable; a ring that stops taking records leaves it waiting.
 */
export async function appendWorkload(world: World, plan: WorkloadPlan): Promise<void> {
  const random = new SimRandom(plan.seed);
  const outstanding: Promise<void>[] = [];
  for (let group = 0; group < plan.groups; group += 1) {
    const size = 1 + random.below(8);
    for (let index = 0; index < size; index += 1) {
      await world.owner.whenAccepting(() =>
        appendOne(world, random, plan.scale ?? 1, group / plan.groups),
      );
    }
    const durable = world.owner.durable();
    if (plan.oneAtATime === true || random.chance(0.6)) await durable;
    else outstanding.push(durable);
    if (random.chance(0.05)) await pause(world, random.below(80));
  }
  await Promise.all(outstanding);
}

/**
 * The partitions in use when a part of the workload (0 … 1) is done: `alarms` is made while records
 * are being written, and `early` falls silent, so that rotation takes its last record.
 */
function streamsAt(ring: Ring, progress: number): readonly number[] {
  const ids = [0, 1].map((index) => ring.ensurePartition('default', index).id);
  if (progress < 0.1) ids.push(ring.ensurePartition('early', 0).id);
  if (progress > 0.5) ids.push(ring.ensurePartition('alarms', 0).id);
  return ids;
}

/** Every partition that the workload uses at some time. */
function ensureStreams(ring: Ring): readonly number[] {
  return [...new Set([0, 1].flatMap((progress) => streamsAt(ring, progress)))];
}

/** Appends one record to every partition, each as soon as the ring takes it. */
export async function appendToEach(world: World, topic: string): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (const [index, id] of ensureStreams(world.ring).entries()) {
    const payload = new Uint8Array(300 * (index + 1)).fill(index + 1);
    entries.push(await world.owner.whenAccepting(() => world.owner.publish(id, topic, payload)));
  }
  await world.owner.durable();
  return entries;
}

function appendOne(world: World, random: SimRandom, scale: number, progress: number): void {
  const partitions = streamsAt(world.ring, progress);
  const rides = random.chance(0.15);
  const kind = random.fraction();
  if (kind < 0.12) {
    const prefix = random.chance(0.5) ? CARRIED_KEY_PREFIX : CHECKPOINT_KEY_PREFIX;
    const value = random.chance(0.2) ? new Uint8Array(0) : random.bytes(1 + random.below(60));
    world.owner.control(`${prefix}${someName(random)}`, value, rides);
    return;
  }
  const payload = payloadOf(random, scale);
  const partitionId = random.pick(partitions);
  const topic = `site/${random.below(12)}/temperature`;
  if (kind < 0.2) {
    const retained = `state/${someName(random)}`;
    world.owner.publish(partitionId, retained, payload.subarray(0, 900), { retain: true, rides });
    return;
  }
  const flags = random.chance(0.2) ? RecordFlag.session : 0;
  world.owner.publish(partitionId, topic, payload, { rides, flags });
}

/**
 * A few names are written again and again; most are written once in a lap or less, so that rotation
 * reaches the record that holds their last value.
 */
function someName(random: SimRandom): number {
  return random.chance(0.4) ? random.below(4) : 4 + random.below(60);
}

function payloadOf(random: SimRandom, scale: number): Uint8Array {
  const kind = random.fraction();
  let length: number;
  if (kind < 0.35) length = random.below(60);
  else if (kind < 0.8) length = 100 + random.below(800);
  else if (kind < 0.97) length = 900 + random.below(5000);
  else length = 6000 + random.below(9000);
  length = Math.floor(length * scale);
  // One in four compresses well, as JSON telemetry does.
  if (random.chance(0.25)) return new Uint8Array(length).fill(0x20 + random.below(64));
  return random.bytes(length);
}

function pause(world: World, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    world.clock.after(delayMs, resolve);
  });
}
