import { afterEach, describe, expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';

const PUBACK = 4;
const PUBREC = 5;
const PUBREL = 6;
const PUBCOMP = 7;

let opened: SimCistern[] = [];

afterEach(async () => {
  for (const cistern of opened) await cistern.stop();
  opened = [];
});

async function startOn(
  disk: SimDisk,
  checkpoints: MemoryCheckpoint,
  clock: SimClock,
  toml?: string,
): Promise<SimCistern> {
  const cistern = new SimCistern({ volume: disk, checkpoints, clock });
  await cistern.start(toml);
  opened.push(cistern);
  return cistern;
}

async function start(toml?: string): Promise<SimCistern> {
  const clock = new SimClock();
  return startOn(new SimDisk({ clock }), new MemoryCheckpoint(), clock, toml);
}

/** Starts, and can be killed and started again on what survives a process crash. */
async function startMortal() {
  const clock = new SimClock();
  let disk = new SimDisk({ clock });
  const checkpoints = new MemoryCheckpoint();
  let cistern = new SimCistern({ volume: disk, checkpoints, clock });
  await cistern.start();
  return {
    get cistern() {
      return cistern;
    },
    async killAndRestart(): Promise<void> {
      disk.kill(1);
      const nextClock = new SimClock({ startMs: clock.monotonicMs() + 1000 });
      disk = disk.reboot({ clock: nextClock });
      cistern = new SimCistern({
        volume: disk,
        checkpoints: checkpoints.crash(),
        clock: nextClock,
      });
      await cistern.start();
      opened.push(cistern);
    },
  };
}

describe('delivery', () => {
  for (const version of [4, 5] as const) {
    test(`QoS 0, 1 and 2 reach a subscriber at the lower of both QoS, version ${version}`, async () => {
      const cistern = await start();
      const subscriber = await cistern.connected({ clientId: 'sub' }, version);
      subscriber.subscribe(1, ['a/+', 2], ['b/#', 1]);
      await cistern.settle();
      expect(subscriber.last('suback')).toMatchObject({ packetId: 1, reasonCodes: [2, 1] });
      const publisher = await cistern.connected({ clientId: 'pub' }, version);
      publisher.publish('a/0', 'zero');
      publisher.publish('a/1', 'one', { qos: 1, packetId: 1 });
      publisher.publish('a/2', 'two', { qos: 2, packetId: 2 });
      publisher.publish('b/x/y', 'three', { qos: 2, packetId: 3 });
      publisher.publish('c', 'nobody', { qos: 1, packetId: 4 });
      await cistern.settle();
      const got = subscriber.received.map(({ topic, payload, qos }) => [topic, payload, qos]);
      expect(got).toEqual(
        expect.arrayContaining([
          ['a/0', 'zero', 0],
          ['a/1', 'one', 1],
          ['a/2', 'two', 2],
          ['b/x/y', 'three', 1],
        ]),
      );
      expect(got).toHaveLength(4);
      expect(publisher.acks.map(({ type, packetId }) => [type, packetId])).toEqual([
        [PUBACK, 1],
        [PUBREC, 2],
        [PUBREC, 3],
        [PUBACK, 4],
        [PUBCOMP, 2],
        [PUBCOMP, 3],
      ]);
    });
  }

  test('PUBACK leaves only after the synced write', async () => {
    const cistern = await start();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publisher.publish('t', 'x', { qos: 1, packetId: 1 });
    // The simulated flush takes about 2 ms.
    await cistern.settle(0.5);
    expect(cistern.running?.status().messages.received).toBe(1);
    expect(publisher.acks).toEqual([]);
    await cistern.settle();
    expect(publisher.acks).toHaveLength(1);
  });

  test('a subscriber hears of a QoS 1 message before its commit, of a QoS 2 message after it', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'both' });
    client.subscribe(1, ['t', 2]);
    await cistern.settle();
    client.publish('t', 'one', { qos: 1, packetId: 1 });
    client.publish('t', 'two', { qos: 2, packetId: 2 });
    await cistern.settle(0.5);
    expect(client.received.map(({ payload }) => payload)).toEqual(['one']);
    await cistern.settle();
    expect(client.received.map(({ payload }) => payload)).toEqual(['one', 'two']);
  });

  test('a repeated QoS 2 PUBLISH is acknowledged and not delivered again [MQTT-4.3.3-10]', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'c' });
    client.autoAck = false;
    client.subscribe(1, ['t', 0]);
    client.publish('t', 'x', { qos: 2, packetId: 9 });
    await cistern.settle();
    client.publish('t', 'x', { qos: 2, packetId: 9, dup: true });
    await cistern.settle();
    expect(client.acks.map(({ type }) => type)).toEqual([PUBREC, PUBREC]);
    expect(client.received).toHaveLength(1);
    client.ack(PUBREL, 9);
    client.publish('t', 'y', { qos: 2, packetId: 9 });
    await cistern.settle();
    expect(client.received.map(({ payload }) => payload)).toEqual(['x', 'y']);
  });

  test('overlapping subscriptions give one copy at the highest QoS', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'c' });
    client.subscribe(1, ['a/#', 0], ['a/b', 1], ['+/b', 0]);
    client.publish('a/b', 'x', { qos: 1, packetId: 1 });
    await cistern.settle();
    expect(client.received.map(({ qos }) => qos)).toEqual([1]);
  });

  test('no more than the client`s Receive Maximum is in flight', async () => {
    const cistern = await start();
    const subscriber = cistern.client(5);
    subscriber.autoAck = false;
    const properties = { userProperties: [], subscriptionIds: [], receiveMaximum: 2 };
    subscriber.connect({ clientId: 'slow', properties });
    subscriber.subscribe(1, ['t', 1]);
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 5; id++) publisher.publish('t', `${id}`, { qos: 1, packetId: id });
    await cistern.settle();
    expect(subscriber.received).toHaveLength(2);
    subscriber.ack(PUBACK, subscriber.received[0]?.packetId ?? 0);
    await cistern.settle();
    expect(subscriber.received.map(({ payload }) => payload)).toEqual(['1', '2', '3']);
  });
});

describe('retained messages', () => {
  test('the last one per topic follows SUBACK; an empty payload takes it out', async () => {
    const cistern = await start();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publisher.publish('s/1', 'old', { retain: true });
    publisher.publish('s/1', 'new', { retain: true, qos: 1, packetId: 1 });
    publisher.publish('s/2', 'gone', { retain: true });
    publisher.publish('s/2', '', { retain: true });
    await cistern.settle();
    const subscriber = await cistern.connected({ clientId: 'sub' });
    subscriber.subscribe(1, ['s/+', 1]);
    await cistern.settle();
    expect(subscriber.received).toMatchObject([{ topic: 's/1', payload: 'new', retain: true }]);
  });

  test('survive a kill, read from the ring when they are asked for', async () => {
    const mortal = await startMortal();
    const publisher = await mortal.cistern.connected({ clientId: 'pub' });
    publisher.publish('s/1', 'kept', { retain: true, qos: 1, packetId: 1 });
    await mortal.cistern.settle();
    await mortal.killAndRestart();
    const subscriber = await mortal.cistern.connected({ clientId: 'sub' });
    subscriber.subscribe(1, ['s/#', 1]);
    await mortal.cistern.settle();
    expect(subscriber.received).toMatchObject([{ topic: 's/1', payload: 'kept', retain: true }]);
  });

  test('survive many laps of the ring, and a kill after them', async () => {
    const mortal = await startMortal();
    const publisher = await mortal.cistern.connected({ clientId: 'pub' });
    publisher.publish('keep/me', 'forever', { retain: true, qos: 1, packetId: 1 });
    const filler = new Uint8Array(8_000).map((_, index) => (index * 7919) >> 3);
    for (let id = 2; id < 600; id++) {
      publisher.publish('noise', filler, { qos: 1, packetId: id });
      if (id % 20 === 0) await mortal.cistern.settle();
    }
    await mortal.cistern.settle();
    expect(publisher.acks).toHaveLength(599);
    await mortal.killAndRestart();
    const subscriber = await mortal.cistern.connected({ clientId: 'sub' });
    subscriber.subscribe(1, ['keep/#', 1]);
    await mortal.cistern.settle();
    expect(subscriber.received).toMatchObject([{ topic: 'keep/me', payload: 'forever' }]);
  });
});

describe('durable sessions', () => {
  test('get what they missed, in order, then what is new; nothing twice', async () => {
    const cistern = await start();
    const first = await cistern.connected({ clientId: 'd', cleanStart: false });
    first.subscribe(1, ['t/#', 1]);
    await cistern.settle();
    first.disconnect();
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 50; id++)
      publisher.publish(`t/${id % 3}`, `${id}`, { qos: 1, packetId: id });
    publisher.publish('other', 'not for it', { qos: 1, packetId: 51 });
    await cistern.settle();
    const second = await cistern.connected({ clientId: 'd', cleanStart: false });
    publisher.publish('t/live', '51', { qos: 1, packetId: 52 });
    await cistern.settle(200);
    expect(second.last('connack')).toMatchObject({ sessionPresent: true });
    const expected = Array.from({ length: 51 }, (_, index) => `${index + 1}`);
    expect(second.received.map(({ payload }) => payload)).toEqual(expected);
    second.disconnect();
    await cistern.settle();
    const third = await cistern.connected({ clientId: 'd', cleanStart: false });
    await cistern.settle(200);
    expect(third.received).toEqual([]);
  });

  test('are there after a kill, with their subscriptions and their messages', async () => {
    const mortal = await startMortal();
    const first = await mortal.cistern.connected({ clientId: 'd', cleanStart: false });
    first.subscribe(1, ['t', 1]);
    await mortal.cistern.settle();
    first.drop();
    await mortal.cistern.settle();
    const publisher = await mortal.cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 5; id++) publisher.publish('t', `${id}`, { qos: 1, packetId: id });
    await mortal.cistern.settle();
    expect(publisher.acks).toHaveLength(5);
    await mortal.killAndRestart();
    const again = await mortal.cistern.connected({ clientId: 'd', cleanStart: false });
    await mortal.cistern.settle(200);
    expect(again.last('connack')).toMatchObject({ sessionPresent: true });
    expect(again.received.map(({ payload }) => payload)).toEqual(['1', '2', '3', '4', '5']);
  });

  test('a message in flight is repeated with its identifier and DUP [MQTT-4.4.0-1]', async () => {
    const cistern = await start();
    const first = await cistern.connected({ clientId: 'd', cleanStart: false });
    first.autoAck = false;
    first.subscribe(1, ['t', 1]);
    first.publish('t', 'x', { qos: 1, packetId: 1 });
    await cistern.settle();
    const packetId = first.received[0]?.packetId;
    first.drop();
    await cistern.settle();
    const second = await cistern.connected({ clientId: 'd', cleanStart: false });
    await cistern.settle(200);
    expect(second.received).toMatchObject([{ payload: 'x', packetId, dup: true }]);
  });

  for (const [before, after] of [
    [10, 10],
    [10, 3],
  ] as const) {
    test(`a full window of ${before} is repeated to a client that takes ${after} at a time`, async () => {
      const cistern = await start();
      const maximum = (receiveMaximum: number) => ({
        clientId: 'd',
        cleanStart: false,
        properties: {
          userProperties: [],
          subscriptionIds: [],
          receiveMaximum,
          sessionExpirySeconds: 100,
        },
      });
      const first = cistern.client(5);
      first.autoAck = false;
      first.connect(maximum(before));
      await cistern.settle();
      first.subscribe(1, ['t', 1]);
      await cistern.settle();
      const publisher = await cistern.connected({ clientId: 'pub' });
      for (let id = 1; id <= 30; id++) publisher.publish('t', `${id}`, { qos: 1, packetId: id });
      await cistern.settle();
      expect(first.received).toHaveLength(before);
      first.drop();
      await cistern.settle();
      const second = await cistern.connected(maximum(after), 5);
      await cistern.settle(300);
      const expected = Array.from({ length: 30 }, (_, index) => `${index + 1}`);
      expect(second.received.map(({ payload }) => payload)).toEqual(expected);
      expect(second.received.filter(({ dup }) => dup)).toHaveLength(before);
    });
  }

  test('a delivery that has begun is completed though its client unsubscribes [MQTT-3.10.4-3]', async () => {
    const cistern = await start();
    const first = await cistern.connected({ clientId: 'd', cleanStart: false });
    first.autoAck = false;
    first.subscribe(1, ['t', 1]);
    first.publish('t', 'begun', { qos: 1, packetId: 1 });
    await cistern.settle();
    first.unsubscribe(2, 't');
    await cistern.settle();
    first.drop();
    await cistern.settle();
    const second = await cistern.connected({ clientId: 'd', cleanStart: false });
    await cistern.settle(100);
    expect(second.received).toMatchObject([{ payload: 'begun', dup: true }]);
  });

  test('what was in flight and is not in the ring any more blocks nothing', async () => {
    const cistern = await start();
    const first = await cistern.connected({ clientId: 'd', cleanStart: false });
    first.autoAck = false;
    first.subscribe(1, ['t', 2]);
    await cistern.settle();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publisher.publish('t', 'lapped one', { qos: 1, packetId: 1 });
    publisher.publish('t', 'lapped two', { qos: 2, packetId: 2 });
    await cistern.settle();
    const [, two] = first.received;
    first.drop();
    const filler = new Uint8Array(8_000).map((_, index) => (index * 7919) >> 3);
    for (let id = 3; id < 600; id++) {
      publisher.publish('noise', filler, { qos: 1, packetId: id });
      if (id % 20 === 0) await cistern.settle();
    }
    const second = await cistern.connected({ clientId: 'd', cleanStart: false });
    publisher.publish('t', 'new', { qos: 1, packetId: 600 });
    await cistern.settle(200);
    expect(second.received.map(({ payload }) => payload)).toEqual(['new']);
    // The client may have its half of the QoS 2 hand-shake: PUBREL completes it.
    expect(second.acks).toMatchObject([{ type: PUBREL, packetId: two?.packetId }]);
  });

  test('a flood of retained messages costs a session that is behind nothing it has waiting', async () => {
    const cistern = await start();
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 2_500; id++) {
      publisher.publish(`r/${id}`, `${id}`, { qos: 1, packetId: id, retain: true });
    }
    await cistern.settle(100);
    const behind = await cistern.connected({ clientId: 'd', cleanStart: false });
    behind.autoAck = false;
    behind.subscribe(1, ['live', 1]);
    await cistern.settle();
    for (let id = 1; id <= 1_990; id++)
      publisher.publish('live', `${id}`, { qos: 1, packetId: id });
    await cistern.settle(100);
    behind.subscribe(2, ['r/#', 1]);
    await cistern.settle(100);
    behind.autoAck = true;
    for (const { packetId } of [...behind.received]) behind.ack(PUBACK, packetId);
    await cistern.settle(2_000);
    const live = behind.received.filter(({ topic }) => topic === 'live');
    const expected = Array.from({ length: 1_990 }, (_, index) => `${index + 1}`);
    expect(live.map(({ payload }) => payload)).toEqual(expected);
    expect(behind.received.filter(({ retain }) => retain)).toHaveLength(2_500);
  });

  test('QoS 2 to a subscriber is exactly once across a kill at every step', async () => {
    const mortal = await startMortal();
    const before = await mortal.cistern.connected({ clientId: 'd', cleanStart: false });
    before.autoAck = false;
    before.subscribe(1, ['t', 2]);
    await mortal.cistern.settle();
    const publisher = await mortal.cistern.connected({ clientId: 'pub' });
    publisher.publish('t', 'sent', { qos: 2, packetId: 1 });
    publisher.publish('t', 'received', { qos: 2, packetId: 2 });
    publisher.publish('t', 'done', { qos: 2, packetId: 3 });
    await mortal.cistern.settle();
    const ids = before.received.map(({ packetId }) => packetId);
    expect(before.received.map(({ payload }) => payload)).toEqual(['sent', 'received', 'done']);
    before.ack(PUBREC, ids[1] as number);
    before.ack(PUBREC, ids[2] as number);
    await mortal.cistern.settle();
    before.ack(PUBCOMP, ids[2] as number);
    await mortal.cistern.settle();
    await mortal.killAndRestart();
    const after = mortal.cistern.client();
    after.autoAck = false;
    after.connect({ clientId: 'd', cleanStart: false });
    await mortal.cistern.settle(200);
    expect(after.received).toMatchObject([{ payload: 'sent', packetId: ids[0], dup: true }]);
    expect(after.acks).toMatchObject([{ type: PUBREL, packetId: ids[1] }]);
  });

  test('QoS 2 from a publisher is exactly once across a kill before and after PUBREL', async () => {
    const mortal = await startMortal();
    const before = await mortal.cistern.connected({ clientId: 'p', cleanStart: false });
    before.autoAck = false;
    before.publish('t', 'open', { qos: 2, packetId: 1 });
    before.publish('t', 'released', { qos: 2, packetId: 2 });
    await mortal.cistern.settle();
    before.ack(PUBREL, 2);
    await mortal.cistern.settle();
    expect(before.acks.map(({ type, packetId }) => [type, packetId])).toEqual([
      [PUBREC, 1],
      [PUBREC, 2],
      [PUBCOMP, 2],
    ]);
    await mortal.killAndRestart();
    const subscriber = await mortal.cistern.connected({ clientId: 's' });
    subscriber.subscribe(1, ['t', 0]);
    const after = await mortal.cistern.connected({ clientId: 'p', cleanStart: false });
    after.publish('t', 'open', { qos: 2, packetId: 1, dup: true });
    after.publish('t', 'next', { qos: 2, packetId: 2 });
    await mortal.cistern.settle();
    expect(subscriber.received.map(({ payload }) => payload)).toEqual(['next']);
  });

  test('what came behind a CONNECT is handled when its CONNACK has left, and misses nothing from then on', async () => {
    const cistern = await start();
    const publisher = await cistern.connected({ clientId: 'pub' });
    const eager = cistern.client();
    eager.connect({ clientId: 'eager', cleanStart: false });
    eager.subscribe(1, ['t', 1]);
    eager.publish('t', 'own', { qos: 1, packetId: 2 });
    await cistern.settle(0.5);
    expect(eager.last('connack')).toBeUndefined();
    expect(eager.last('suback')).toBeUndefined();
    await cistern.settle(50);
    publisher.publish('t', 'late', { qos: 1, packetId: 1 });
    await cistern.settle(50);
    expect(eager.received.map(({ payload }) => payload)).toEqual(['own', 'late']);
  });

  test('a client that unsubscribes while a QoS 2 message is on its way holds its cursor back by nothing', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'd', cleanStart: false });
    client.subscribe(1, ['t', 2], ['u', 1]);
    await cistern.settle();
    client.publish('t', 'two', { qos: 2, packetId: 1 });
    client.unsubscribe(2, 't');
    client.publish('u', 'one', { qos: 1, packetId: 2 });
    await cistern.settle();
    client.drop();
    await cistern.settle();
    const again = await cistern.connected({ clientId: 'd', cleanStart: false });
    await cistern.settle(100);
    expect(client.received.map(({ payload }) => payload)).toEqual(['one']);
    expect(again.received).toEqual([]);
  });

  test('end with a clean start, and their messages with them', async () => {
    const cistern = await start();
    const first = await cistern.connected({ clientId: 'd', cleanStart: false });
    first.subscribe(1, ['t', 1]);
    await cistern.settle();
    first.disconnect();
    await cistern.settle();
    const clean = await cistern.connected({ clientId: 'd', cleanStart: true });
    expect(clean.last('connack')).toMatchObject({ sessionPresent: false });
    clean.publish('t', 'x', { qos: 1, packetId: 1 });
    await cistern.settle();
    expect(clean.received).toEqual([]);
    expect(cistern.running?.status().clients).toMatchObject({ connected: 1, sessions: 1 });
  });

  test('5.0: end after their expiry', async () => {
    const cistern = await start();
    const properties = { userProperties: [], subscriptionIds: [], sessionExpirySeconds: 10 };
    const first = await cistern.connected({ clientId: 'd', properties }, 5);
    first.drop();
    await cistern.settle(9_000);
    expect(cistern.running?.status().clients.sessions).toBe(1);
    await cistern.settle(3_000);
    expect(cistern.running?.status().clients.sessions).toBe(0);
  });

  test('a slow one that overflows its queue in memory is read from the ring, in order', async () => {
    const cistern = await start();
    const subscriber = await cistern.connected({ clientId: 'slow', cleanStart: false });
    subscriber.autoAck = false;
    subscriber.subscribe(1, ['t', 1]);
    const publisher = await cistern.connected({ clientId: 'pub' });
    await cistern.settle();
    for (let id = 1; id <= 4_000; id++) publisher.publish('t', `${id}`, { qos: 1, packetId: id });
    await cistern.settle(100);
    subscriber.autoAck = true;
    for (const { packetId } of [...subscriber.received]) subscriber.ack(PUBACK, packetId);
    await cistern.settle(500);
    const expected = Array.from({ length: 4_000 }, (_, index) => `${index + 1}`);
    expect(subscriber.received.map(({ payload }) => payload)).toEqual(expected);
  });
});

describe('connections', () => {
  test('the same client id takes over; 5.0 is told why [MQTT-3.1.4-3]', async () => {
    const cistern = await start();
    const first = await cistern.connected({ clientId: 'same' }, 5);
    await cistern.connected({ clientId: 'same' }, 5);
    await cistern.settle();
    expect(first.last('disconnect')).toMatchObject({ reasonCode: 0x8e });
    expect(first.closed).toBe(true);
    expect(cistern.running?.status().clients.connected).toBe(1);
  });

  test('a client that is silent for one and a half keep alives is closed [MQTT-3.1.2-22]', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'quiet', keepAliveSeconds: 10 }, 5);
    await cistern.settle(14_000);
    expect(client.closed).toBe(false);
    await cistern.settle(3_000);
    expect(client.last('disconnect')).toMatchObject({ reasonCode: 0x8d });
    expect(client.closed).toBe(true);
  });

  test('a will is published when the link breaks, not after DISCONNECT [MQTT-3.1.2-8, -10]', async () => {
    const cistern = await start();
    const watcher = await cistern.connected({ clientId: 'watcher' });
    watcher.subscribe(1, ['will/#', 1]);
    const will = (topic: string) => ({
      topic,
      payload: Buffer.from('gone'),
      qos: 1 as const,
      retain: false,
      properties: { userProperties: [], subscriptionIds: [] },
    });
    const broken = await cistern.connected({ clientId: 'a', will: will('will/a') });
    const polite = await cistern.connected({ clientId: 'b', will: will('will/b') });
    broken.drop();
    polite.disconnect();
    await cistern.settle();
    expect(watcher.received.map(({ topic }) => topic)).toEqual(['will/a']);
  });

  test('a will survives a kill and is published unless its client returns in time', async () => {
    const mortal = await startMortal();
    const will = (topic: string) => ({
      topic,
      payload: Buffer.from('gone'),
      qos: 1 as const,
      retain: false,
      properties: { userProperties: [], subscriptionIds: [] },
    });
    await mortal.cistern.connected({ clientId: 'a', will: will('will/a') });
    await mortal.cistern.connected({ clientId: 'b', will: will('will/b') });
    await mortal.killAndRestart();
    const watcher = await mortal.cistern.connected({ clientId: 'watcher' });
    watcher.subscribe(1, ['will/#', 1]);
    await mortal.cistern.connected({ clientId: 'b', will: will('will/b') });
    await mortal.cistern.settle(35_000);
    expect(watcher.received.map(({ topic }) => topic)).toEqual(['will/a']);
  });

  test('garbage closes its connection and disturbs nobody else', async () => {
    const cistern = await start();
    const good = await cistern.connected({ clientId: 'good' });
    good.subscribe(1, ['t', 0]);
    const early = cistern.client(5);
    early.raw(Uint8Array.of(0xff, 0x80, 0x80, 0x80, 0x80, 0x80));
    const late = await cistern.connected({ clientId: 'late' }, 5);
    late.raw(Uint8Array.of(0x36, 0x00));
    await cistern.settle(100);
    good.publish('t', 'still here');
    await cistern.settle();
    expect([early.closed, late.closed, good.closed]).toEqual([true, true, false]);
    expect(late.last('disconnect')).toMatchObject({ reasonCode: 0x81 });
    expect(good.received).toHaveLength(1);
  });

  test('at stop 5.0 clients hear that the server goes [0x8B], and sessions are kept', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'c' }, 5);
    await cistern.stop();
    await cistern.settle();
    expect(client.last('disconnect')).toMatchObject({ reasonCode: 0x8b });
  });
});
