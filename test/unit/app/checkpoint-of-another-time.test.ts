import { expect, test } from 'vitest';
import type { Checkpoint, CheckpointStore } from '../../../src/metadata/types.ts';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';

const TWO_LAPS = 300;

/** One gateway's disk, on which somebody puts back files of another day. */
class Gateway {
  clock = new SimClock();
  disk: SimDisk;
  checkpoints: MemoryCheckpoint;
  cistern: SimCistern;

  constructor(checkpoints = new MemoryCheckpoint(), disk?: SimDisk) {
    this.disk = disk ?? new SimDisk({ clock: this.clock });
    this.checkpoints = checkpoints;
    this.cistern = this.#make();
  }

  #make(): SimCistern {
    const { disk: volume, checkpoints, clock } = this;
    return new SimCistern({ volume, checkpoints, clock });
  }

  /** Stops in order, and starts on this checkpoint. */
  async restart(checkpoints: MemoryCheckpoint): Promise<void> {
    await this.cistern.stop();
    this.disk.kill(1);
    this.clock = new SimClock({ startMs: this.clock.monotonicMs() + 1000 });
    this.disk = this.disk.reboot({ clock: this.clock });
    this.checkpoints = checkpoints;
    this.cistern = this.#make();
    await this.cistern.start();
  }

  async makeSession(clientId: string): Promise<void> {
    const client = await this.cistern.connected({ clientId, cleanStart: false });
    client.subscribe(1, ['t', 1]);
    await this.cistern.settle();
    client.drop();
    await this.cistern.settle();
  }

  async isThere(clientId: string): Promise<boolean> {
    const client = await this.cistern.connected({ clientId, cleanStart: false });
    const connack = client.last('connack');
    client.drop();
    await this.cistern.settle();
    return connack?.type === 'connack' && connack.sessionPresent;
  }

  async turn(): Promise<void> {
    const filler = await this.cistern.connected({ clientId: 'filler' });
    for (let id = 1; id <= TWO_LAPS; id++) {
      filler.publish('f', `${id}`.repeat(2_000), { qos: 1, packetId: id });
      await this.cistern.settle(10);
    }
    if (filler.acks.length !== TWO_LAPS) throw new Error('the ring does not turn');
  }
}

/** What the file holds now, as a file of its own. */
async function copyOf(store: CheckpointStore): Promise<MemoryCheckpoint> {
  const copy = new MemoryCheckpoint();
  const { ringId, sequence, entries } = store.load() as Checkpoint;
  await copy.commit({ ringId, sequence, replaceAll: true, puts: entries, deletes: [] });
  return copy;
}

test('an old copy of the checkpoint brings back nothing that has ended since, and loses nothing', async () => {
  const gateway = new Gateway();
  await gateway.cistern.start();
  await gateway.makeSession('ended');
  await gateway.makeSession('kept');
  await gateway.restart(await copyOf(await closedStore(gateway)));
  const old = await copyOf(gateway.checkpoints);
  const ending = await gateway.cistern.connected({ clientId: 'ended', cleanStart: true });
  ending.drop();
  await gateway.makeSession('made');
  // Rotation lets go of the record that says so: the checkpoints of that time have it.
  await gateway.turn();
  await gateway.restart(old);
  expect(await gateway.isThere('kept')).toBe(true);
  expect(await gateway.isThere('made')).toBe(true);
  expect(await gateway.isThere('ended')).toBe(false);
  await gateway.cistern.stop();
});

test('the checkpoint of another ring is not used, and changes nothing', async () => {
  const other = new Gateway();
  await other.cistern.start();
  await other.makeSession('stranger');
  await other.turn();
  const foreign = await copyOf(await closedStore(other));
  const gateway = new Gateway();
  await gateway.cistern.start();
  await gateway.makeSession('kept');
  const before = gateway.cistern.running?.status().node;
  // Another ring has another id; all simulated ones are made with the same random numbers.
  const { sequence, entries } = foreign.load() as Checkpoint;
  const renamed = new MemoryCheckpoint();
  await renamed.commit({ ringId: 'ff', sequence, replaceAll: true, puts: entries, deletes: [] });
  await gateway.restart(renamed);
  expect(await gateway.isThere('kept')).toBe(true);
  expect(await gateway.isThere('stranger')).toBe(false);
  expect(gateway.cistern.running?.status().node).toMatchObject({
    id: before?.id,
    lineage: before?.lineage,
  });
  await gateway.cistern.stop();
});

test('a checkpoint ahead of the ring starts, and what is new is not mistaken for old', async () => {
  const gateway = new Gateway();
  await gateway.cistern.start();
  await gateway.makeSession('kept');
  await closedStore(gateway);
  const ring = gateway.disk.image();
  const clock = new SimClock();
  const ahead = new Gateway(
    await copyOf(gateway.checkpoints),
    new SimDisk({ clock, image: ring.copy() }),
  );
  ahead.clock = clock;
  ahead.cistern = new SimCistern({ volume: ahead.disk, checkpoints: ahead.checkpoints, clock });
  await ahead.cistern.start();
  await ahead.makeSession('later');
  const newer = await copyOf(await closedStore(ahead));
  const back = new SimClock();
  const behind = new Gateway(newer, new SimDisk({ clock: back, image: ring.copy() }));
  behind.clock = back;
  behind.cistern = new SimCistern({ volume: behind.disk, checkpoints: newer, clock: back });
  await behind.cistern.start();
  expect(await behind.isThere('kept')).toBe(true);
  await behind.makeSession('new');
  await behind.restart(await copyOf(await closedStore(behind)));
  expect(await behind.isThere('new')).toBe(true);
  expect(await behind.isThere('kept')).toBe(true);
  await behind.cistern.stop();
});

/** The checkpoint that a stop in order leaves. */
async function closedStore({ cistern, checkpoints }: Gateway): Promise<CheckpointStore> {
  await cistern.stop();
  return checkpoints;
}
