import { describe, expect, test } from 'vitest';
import { CisternError } from '../../../src/base/errors.ts';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import type { SimClient } from '../../support/sim-client.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { payloads, properties } from './sim-broker.ts';
import { collectUnhandled } from '../../support/unhandled.ts';

const FILLER_BYTES = 7_000;

const unhandled = collectUnhandled();

/** A ring that can be filled to its last page: its checkpoint fails while the disk around it is full. */
class StuckWorld {
  clock = new SimClock();
  disk = new SimDisk({ clock: this.clock });
  isDiskFull = false;
  checkpoints = new MemoryCheckpoint(async () => {
    if (this.isDiskFull) throw new CisternError('DEVICE_FULL', 'No space is left.');
  });
  cistern = this.#make();

  #make(): SimCistern {
    const { disk: volume, checkpoints, clock } = this;
    return new SimCistern({ volume, checkpoints, clock });
  }

  /** After `kill -9`. */
  async restart(): Promise<void> {
    this.disk.kill(1);
    this.clock = new SimClock({ startMs: this.clock.monotonicMs() + 1000 });
    this.disk = this.disk.reboot({ clock: this.clock });
    this.checkpoints = this.checkpoints.crash();
    this.cistern = this.#make();
    await this.cistern.start();
  }

  /** Until no message is taken any more, and then until no control record is either. */
  async fill(): Promise<void> {
    this.isDiskFull = true;
    const filler = await this.cistern.connected({ clientId: 'filler' });
    for (let id = 1; id <= 600 && !filler.closed; id++) {
      filler.publish('f', 'f'.repeat(FILLER_BYTES), { qos: 1, packetId: id });
      await this.cistern.settle(4);
    }
    await this.cistern.settle(6_000);
    if (!this.#isUnwritable()) throw new Error('the ring is not full');
  }

  #isUnwritable(): boolean {
    const alarms = this.cistern.running?.status().alarms ?? [];
    return alarms.some(({ code }) => code === 'ring.unwritable');
  }

  /** The disk has room again, and the ring goes on turning. */
  async heal(): Promise<void> {
    this.isDiskFull = false;
    await this.cistern.settle(20_000);
    if (this.#isUnwritable()) throw new Error('the ring is full still');
  }
}

async function filled(): Promise<{ world: StuckWorld; device: SimClient; watcher: SimClient }> {
  const world = new StuckWorld();
  await world.cistern.start();
  const device = await world.cistern.connected({
    clientId: 'device',
    cleanStart: false,
    will: {
      topic: 'gone/device',
      payload: Buffer.from('lost'),
      qos: 1,
      retain: true,
      properties: properties({}),
    },
  });
  device.subscribe(1, ['commands/#', 2]);
  const watcher = await world.cistern.connected({ clientId: 'watcher' });
  watcher.subscribe(1, ['gone/#', 1]);
  await world.cistern.settle();
  // Each leaves the cursor of a lasting session to be saved.
  for (let n = 0; n < 400; n++) {
    const client = await world.cistern.connected({ clientId: `s${n % 4}`, cleanStart: false });
    if (n === 0) await world.fill();
    client.drop();
    await world.cistern.settle(2);
  }
  return { world, device, watcher };
}

describe('a ring that is full and cannot let go of anything', { timeout: 60_000 }, () => {
  test('does not end the broker when timers and lost connections have something to write', async () => {
    const { world, device } = await filled();
    device.drop();
    // Cursors every 5 s, lifetimes every hour, sessions and wills as they end.
    await world.cistern.settle(4_000_000);
    expect(unhandled).toEqual([]);
    await world.heal();
    await world.cistern.stop();
    expect(unhandled).toEqual([]);
  });

  test('keeps a will until it can be written, and then publishes it once', async () => {
    const { world, device, watcher } = await filled();
    device.drop();
    await world.cistern.settle(10_000);
    await world.heal();
    expect(payloads(watcher)).toEqual(['lost']);
    await world.restart();
    const late = await world.cistern.connected({ clientId: 'late' });
    late.subscribe(1, ['gone/#', 1]);
    await world.cistern.settle(40_000);
    expect(payloads(late)).toEqual(['lost']);
    await world.cistern.stop();
    expect(unhandled).toEqual([]);
  });

  test('stops all the same, and the next start has everything that was acknowledged', async () => {
    const { world, device } = await filled();
    device.drop();
    await world.cistern.settle(10_000);
    await world.cistern.stop();
    world.isDiskFull = false;
    await world.restart();
    const back = await world.cistern.connected({ clientId: 'device', cleanStart: false });
    expect(back.last('connack')).toMatchObject({ sessionPresent: true });
    back.publish('commands/now', 'go', { qos: 1, packetId: 1 });
    await world.cistern.settle(200);
    expect(payloads(back)).toEqual(['go']);
    await world.cistern.stop();
    expect(unhandled).toEqual([]);
  });
});
