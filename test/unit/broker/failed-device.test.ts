import { afterEach, describe, expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import type { SimClient } from '../../support/sim-client.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { payloads, properties, PUBACK, PUBCOMP, PUBREC } from './sim-broker.ts';

/** Longer than two writes take to fail, or a device that is back to be tried again. */
const NOTICED_MS = 40_000;
const MEMORY = '[storage]\nsize = "1MiB"\nsegment = "64KiB"\non_failure = "memory"';
const QUOTA_EXCEEDED = 0x97;
const SERVER_UNAVAILABLE = 0x88;

let world: FailingWorld;

class FailingWorld {
  readonly #toml: string;
  clock = new SimClock();
  disk = new SimDisk({ clock: this.clock });
  checkpoints = new MemoryCheckpoint();
  cistern = this.#make();

  constructor(toml: string) {
    this.#toml = toml;
  }

  static async start(toml = ''): Promise<FailingWorld> {
    world = new FailingWorld(toml);
    await world.cistern.start(toml);
    return world;
  }

  #make(): SimCistern {
    const { disk: volume, checkpoints, clock } = this;
    return new SimCistern({ volume, checkpoints, clock });
  }

  /** From now on every write fails; noticed by the first that is tried. */
  async fail(): Promise<void> {
    this.disk.failAt(this.disk.operations + 1, 'EIO', true);
    const prober = await this.cistern.connected({ clientId: 'prober' });
    prober.publish('probe', 'x', { qos: 1, packetId: 1 });
    await this.cistern.settle(NOTICED_MS);
    prober.drop();
    await this.cistern.settle();
  }

  async heal(): Promise<void> {
    this.disk.heal();
    await this.cistern.settle(NOTICED_MS);
  }

  /** After `kill -9`, on a device that works. */
  async restart(): Promise<void> {
    this.disk.kill(1);
    this.clock = new SimClock({ startMs: this.clock.monotonicMs() + 1000 });
    this.disk = this.disk.reboot({ clock: this.clock });
    this.checkpoints = this.checkpoints.crash();
    this.cistern = this.#make();
    await this.cistern.start(this.#toml);
  }

  status() {
    const status = this.cistern.running?.status();
    if (status === undefined) throw new Error('it does not run');
    return { ...status, codes: status.alarms.map(({ code }) => code) };
  }
}

afterEach(async () => {
  world.disk.heal();
  await world.cistern.stop();
});

async function lasting(clientId: string, filter: string, qos: 1 | 2): Promise<SimClient> {
  const client = await world.cistern.connected({ clientId, cleanStart: false });
  client.subscribe(1, [filter, qos]);
  await world.cistern.settle();
  return client;
}

function ackedIds(client: SimClient, type: number): number[] {
  return client.acks.filter((ack) => ack.type === type).map(({ packetId }) => packetId);
}

test('a stop ends although the device takes no writes any more, and acknowledges nothing that is not on it', async () => {
  const { cistern, disk } = await FailingWorld.start();
  const client = await cistern.connected({ clientId: 'c', cleanStart: false });
  disk.failAt(disk.operations + 1, 'EIO', true);
  client.publish('t', 'not on flash', { qos: 1, packetId: 1 });
  await cistern.settle(1);
  const stopped = cistern.stop();
  await cistern.settle(100);
  await stopped;
  expect(client.acks).toEqual([]);
});

describe('on_failure = "refuse"', () => {
  test('nothing for flash is taken; what needs none goes on; the device comes back by itself', async () => {
    const { cistern } = await FailingWorld.start();
    const publisher = await cistern.connected({ clientId: 'p' }, 5);
    publisher.autoAck = false;
    const subscriber = await cistern.connected({ clientId: 's' });
    subscriber.subscribe(1, ['t', 1]);
    await cistern.settle();
    await world.fail();
    publisher.publish('t', 'one', { qos: 1, packetId: 1 });
    publisher.publish('t', 'two', { qos: 2, packetId: 2 });
    publisher.publish('t', 'three');
    await cistern.settle();
    expect(publisher.acks).toEqual([
      { type: PUBACK, packetId: 1, reasonCode: QUOTA_EXCEEDED },
      { type: PUBREC, packetId: 2, reasonCode: QUOTA_EXCEEDED },
    ]);
    expect(payloads(subscriber)).toEqual(['three']);
    expect(world.status().codes).toContain('ring.unwritable');
    await world.heal();
    publisher.publish('t', 'four', { qos: 1, packetId: 3 });
    await cistern.settle(100);
    expect(publisher.acks.at(-1)).toEqual({ type: PUBACK, packetId: 3, reasonCode: 0 });
    expect(world.status().codes).not.toContain('ring.unwritable');
  });

  test('no lasting session is made, none ends, and none forgets what it had', async () => {
    const { cistern } = await FailingWorld.start();
    const device = await lasting('device', 'commands/#', 1);
    await world.fail();
    for (const version of [4, 5] as const) {
      const session = properties({ sessionExpirySeconds: 60 });
      const more = version === 5 ? { properties: session } : {};
      const made = await cistern.connected(
        { clientId: `new-${version}`, cleanStart: false, ...more },
        version,
      );
      const reasonCode = version === 5 ? SERVER_UNAVAILABLE : 3;
      expect(made.last('connack'), `${version}`).toMatchObject({ reasonCode });
    }
    device.subscribe(2, ['more/#', 1]);
    await cistern.settle();
    expect(device.last('suback')).toMatchObject({ packetId: 2, reasonCodes: [0x80] });
    // A session that is there needs no flash to be taken up, however often.
    device.drop();
    for (let n = 0; n < 20; n++) {
      const back = await cistern.connected({ clientId: 'device', cleanStart: false });
      expect(back.last('connack')).toMatchObject({ sessionPresent: true, reasonCode: 0 });
      back.drop();
      await cistern.settle(2_000);
    }
    await world.heal();
    await world.restart();
    const found = await world.cistern.connected({ clientId: 'device', cleanStart: false });
    found.publish('commands/a', 'go', { qos: 1, packetId: 1 });
    await world.cistern.settle(100);
    expect(payloads(found)).toEqual(['go']);
  });

  test('a step of QoS 2 is not answered before it is on flash', async () => {
    const { cistern } = await FailingWorld.start();
    const device = await cistern.connected({ clientId: 'device', cleanStart: false });
    device.autoAck = false;
    device.publish('t', 'x', { qos: 2, packetId: 1 });
    await cistern.settle();
    expect(ackedIds(device, PUBREC)).toEqual([1]);
    await world.fail();
    device.ack(6, 1);
    await cistern.settle(5_000);
    expect(ackedIds(device, PUBCOMP)).toEqual([]);
    await world.heal();
    expect(ackedIds(device, PUBCOMP)).toEqual([1]);
  });
});

describe('on_failure = "memory"', () => {
  test('messages are taken and delivered, counted, and flash is used again when it is back', async () => {
    const { cistern } = await FailingWorld.start(MEMORY);
    const online = await lasting('online', 't/#', 2);
    const offline = await lasting('offline', 't/#', 1);
    offline.drop();
    const publisher = await cistern.connected({ clientId: 'p' });
    await world.fail();
    publisher.publish('t/1', 'one', { qos: 1, packetId: 1 });
    publisher.publish('t/2', 'two', { qos: 2, packetId: 2 });
    await cistern.settle();
    expect(ackedIds(publisher, PUBACK)).toEqual([1]);
    expect(ackedIds(publisher, PUBCOMP)).toEqual([2]);
    expect(payloads(online)).toEqual(['one', 'two']);
    const { codes, messages } = world.status();
    expect(codes).toContain('storage.memory_only');
    expect(messages.memoryOnly).toBe(2);
    expect(messages.dropped).toMatchObject({ memory_only_stream: 2, memory_only_session: 2 });
    await world.heal();
    expect(world.status().codes).not.toContain('storage.memory_only');
    publisher.publish('t/3', 'three', { qos: 1, packetId: 3 });
    await cistern.settle(100);
    expect(ackedIds(publisher, PUBACK)).toEqual([1, 3]);
    await world.restart();
    const back = await world.cistern.connected({ clientId: 'offline', cleanStart: false });
    await world.cistern.settle(100);
    expect(payloads(back)).toEqual(['three']);
  });

  test('what waited for flash when it failed is answered, and is on it in the end', async () => {
    const { cistern } = await FailingWorld.start(MEMORY);
    const offline = await lasting('offline', 't', 1);
    offline.drop();
    const publisher = await cistern.connected({ clientId: 'p' });
    world.disk.failAt(world.disk.operations + 1, 'EIO', true);
    publisher.publish('t', 'first', { qos: 1, packetId: 1 });
    publisher.publish('t', 'second', { qos: 2, packetId: 2 });
    await cistern.settle(5_000);
    expect(ackedIds(publisher, PUBACK)).toEqual([1]);
    expect(ackedIds(publisher, PUBCOMP)).toEqual([2]);
    // A session that comes back meanwhile gets live what comes now, and the rest when it is readable.
    const back = await cistern.connected({ clientId: 'offline', cleanStart: false });
    publisher.publish('t', 'third', { qos: 1, packetId: 3 });
    await cistern.settle();
    expect(payloads(back)).toEqual(['third']);
    await world.heal();
    expect(payloads(back)).toEqual(['third', 'first', 'second']);
  });

  test('sessions, subscriptions, wills and retained values made meanwhile become lasting', async () => {
    const { cistern } = await FailingWorld.start(MEMORY);
    const publisher = await cistern.connected({ clientId: 'p' });
    publisher.publish('state/old', 'old', { qos: 1, packetId: 1, retain: true });
    publisher.publish('state/gone', 'gone', { qos: 1, packetId: 2, retain: true });
    await cistern.settle();
    await world.fail();
    const made = await cistern.connected({ clientId: 'made', cleanStart: false });
    expect(made.last('connack')).toMatchObject({ reasonCode: 0 });
    made.subscribe(7, ['t/#', 1]);
    publisher.publish('state/old', 'new', { qos: 1, packetId: 3, retain: true });
    publisher.publish('state/gone', '', { qos: 1, packetId: 4, retain: true });
    await cistern.settle();
    expect(made.last('suback')).toMatchObject({ packetId: 7, reasonCodes: [1] });
    expect(ackedIds(publisher, PUBACK)).toEqual([1, 2, 3, 4]);
    await world.heal();
    await world.restart();
    const reader = await world.cistern.connected({ clientId: 'reader' });
    reader.subscribe(1, ['state/#', 0]);
    const back = await world.cistern.connected({ clientId: 'made', cleanStart: false });
    expect(back.last('connack')).toMatchObject({ sessionPresent: true });
    reader.publish('t/1', 'hello', { qos: 1, packetId: 1 });
    await world.cistern.settle(100);
    expect(payloads(reader)).toEqual(['new']);
    expect(payloads(back)).toEqual(['hello']);
  });

  test('what waits for a slow client is bounded, and what is beyond is counted', async () => {
    const { cistern } = await FailingWorld.start(MEMORY);
    const slow = await lasting('slow', 't', 1);
    slow.autoAck = false;
    const publisher = await cistern.connected({ clientId: 'p' });
    await world.fail();
    for (let n = 1; n <= 3_000; n++) {
      publisher.publish('t', 'x'.repeat(1_000), { qos: 1, packetId: n });
      if (n % 100 === 0) await cistern.settle(5);
    }
    await cistern.settle();
    expect(ackedIds(publisher, PUBACK)).toHaveLength(3_000);
    expect(world.status().messages.dropped['queue_full']).toBeGreaterThan(1_000);
  });
});
