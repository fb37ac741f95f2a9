import { describe, expect, test } from 'vitest';
import type { SimCistern } from '../../support/sim-cistern.ts';
import type { SimClient } from '../../support/sim-client.ts';
import {
  numbers,
  payloads,
  PUBACK,
  PUBCOMP,
  properties,
  PUBREC,
  PUBREL,
  start,
  startMortal,
} from './sim-broker.ts';

const SHARE = '$share/g/t/#';

async function member(
  cistern: SimCistern,
  clientId: string,
  options: {
    version?: 3 | 4 | 5;
    qos?: 0 | 1 | 2;
    durable?: boolean;
    receiveMaximum?: number;
  } = {},
): Promise<SimClient> {
  const { version = 5, qos = 2, durable = false, receiveMaximum } = options;
  const client = cistern.client(version);
  client.autoAck = false;
  client.connect({
    clientId,
    cleanStart: !durable,
    properties: properties({
      ...(durable && { sessionExpirySeconds: 1_000 }),
      ...(receiveMaximum !== undefined && { receiveMaximum }),
    }),
  });
  client.subscribe(1, [SHARE, qos]);
  await cistern.settle();
  return client;
}

function publishMany(client: SimClient, from: number, to: number, qos: 1 | 2 = 1): void {
  for (let id = from; id <= to; id++) client.publish('t/x', `${id}`, { qos, packetId: id });
}

function ackAll(client: SimClient): void {
  for (const { packetId, qos } of client.received)
    client.ack(qos === 1 ? PUBACK : PUBREC, packetId);
}

describe('a shared subscription', () => {
  for (const version of [3, 4, 5] as const) {
    test(`gives each message to one member in turn, version ${version}`, async () => {
      const cistern = await start();
      const members = [];
      for (const id of ['a', 'b', 'c']) members.push(await member(cistern, id, { version }));
      for (const each of members) each.autoAck = true;
      const publisher = await cistern.connected({ clientId: 'pub' });
      for (const qos of [0, 1, 2] as const) {
        for (let i = 1; i <= 6; i++) {
          publisher.publish('t/x', `${qos}/${i}`, { qos, packetId: qos === 0 ? 0 : qos * 10 + i });
        }
        await cistern.settle();
      }
      expect(members.map(({ received }) => received.length)).toEqual([6, 6, 6]);
      const all = members.flatMap((each) => payloads(each));
      expect(new Set(all).size).toBe(18);
    });
  }

  test('stands beside an ordinary one of the same client, and beside other groups', async () => {
    const cistern = await start();
    const both = await member(cistern, 'both');
    both.subscribe(2, ['t/#', 0]);
    const other = cistern.client(5);
    other.connect({ clientId: 'other' });
    other.subscribe(1, ['$share/h/t/#', 0]);
    await cistern.settle();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publisher.publish('t/x', 'once each');
    await cistern.settle();
    expect([both.received.length, other.received.length]).toEqual([2, 1]);
  });

  test('says its own options and identifier, not those of others', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'c' }, 5);
    const options = { noLocal: false, retainHandling: 0 as const };
    client.send({
      type: 'subscribe',
      packetId: 1,
      subscriptions: [{ filter: SHARE, qos: 1, retainAsPublished: true, ...options }],
      properties: { subscriptionIds: [7] },
    });
    client.send({
      type: 'subscribe',
      packetId: 2,
      subscriptions: [{ filter: 't/+', qos: 0, retainAsPublished: false, ...options }],
      properties: { subscriptionIds: [9] },
    });
    client.publish('t/x', 'x', { qos: 1, packetId: 1, retain: true });
    await cistern.settle();
    const got = client.received.map(({ qos, retain, properties: { subscriptionIds } }) => [
      qos,
      retain,
      subscriptionIds,
    ]);
    expect(got).toEqual(
      expect.arrayContaining([
        [1, true, [7]],
        [0, false, [9]],
      ]),
    );
    expect(got).toHaveLength(2);
  });

  test('gets no retained messages when it is made', async () => {
    const cistern = await start();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publisher.publish('t/x', 'old', { retain: true });
    await cistern.settle();
    const client = await member(cistern, 'a');
    expect(client.received).toEqual([]);
  });

  test('with a malformed name is refused, with no local it is a protocol error', async () => {
    const cistern = await start();
    for (const version of [4, 5] as const) {
      const client = await cistern.connected({ clientId: `c${version}` }, version);
      client.subscribe(1, ['$share/g', 0], ['$share//t', 0], ['$share/g/', 0], ['$share/g/t', 0]);
      await cistern.settle();
      const bad = version === 5 ? 0x8f : 0x80;
      expect(client.last('suback')).toMatchObject({ reasonCodes: [bad, bad, bad, 0] });
    }
    const rude = await cistern.connected({ clientId: 'rude' }, 5);
    rude.send({
      type: 'subscribe',
      packetId: 1,
      subscriptions: [
        { filter: SHARE, qos: 1, noLocal: true, retainAsPublished: false, retainHandling: 0 },
      ],
    });
    await cistern.settle();
    expect(rude.last('disconnect')).toMatchObject({ reasonCode: 0x82 });
  });

  test('passes over a member whose window is full, and waits when all are', async () => {
    const cistern = await start();
    const a = await member(cistern, 'a', { receiveMaximum: 1 });
    const b = await member(cistern, 'b', { receiveMaximum: 3 });
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 6);
    await cistern.settle();
    expect([a.received.length, b.received.length]).toEqual([1, 3]);
    b.autoAck = true;
    ackAll(b);
    await cistern.settle();
    expect(a.received).toHaveLength(1);
    expect(payloads(b)).toHaveLength(5);
  });

  test('[MQTT-4.8.2-6] a message that its member refuses is for nobody else', async () => {
    const cistern = await start();
    const a = await member(cistern, 'a', { receiveMaximum: 1 });
    const publisher = await cistern.connected({ clientId: 'pub' });
    publisher.publish('t/x', 'one', { qos: 1, packetId: 1 });
    publisher.publish('t/x', 'two', { qos: 2, packetId: 2 });
    await cistern.settle();
    const b = await member(cistern, 'b');
    a.ackWithReason(PUBACK, a.received[0]?.packetId ?? 0, 0x83);
    await cistern.settle();
    a.received.slice(1).forEach(({ packetId }) => a.ackWithReason(PUBREC, packetId, 0x97));
    await cistern.settle();
    expect([...payloads(a), ...payloads(b)].sort()).toEqual(['one', 'two']);
  });

  test('QoS 1 that was not acknowledged goes to another member when its session ends', async () => {
    const cistern = await start();
    const a = await member(cistern, 'a');
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 4);
    await cistern.settle();
    const b = await member(cistern, 'b');
    a.ack(PUBACK, a.received[1]?.packetId ?? 0);
    await cistern.settle();
    a.drop();
    await cistern.settle();
    expect(payloads(b)).toEqual(['1', '3', '4']);
    expect(b.received.every(({ dup }) => !dup)).toBe(true);
  });

  test('[MQTT-4.8.2-5] QoS 2 that has begun is for nobody else when the session ends', async () => {
    const cistern = await start();
    const a = await member(cistern, 'a');
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 2, 2);
    await cistern.settle();
    const b = await member(cistern, 'b');
    a.drop();
    await cistern.settle(100);
    expect(payloads(a)).toEqual(['1', '2']);
    expect(b.received).toEqual([]);
  });

  test('[MQTT-4.8.2-4] a session that lives gets what it had in flight when it returns', async () => {
    const cistern = await start();
    const a = await member(cistern, 'a', { durable: true });
    const publisher = await cistern.connected({ clientId: 'pub' });
    publisher.publish('t/x', 'one', { qos: 1, packetId: 1 });
    publisher.publish('t/x', 'two', { qos: 2, packetId: 2 });
    await cistern.settle();
    const b = await member(cistern, 'b', { durable: true });
    a.drop();
    await cistern.settle(100);
    expect(b.received).toEqual([]);
    const again = await member(cistern, 'a', { durable: true });
    await cistern.settle(100);
    const had = a.received.map(({ payload, packetId, qos }) => ({ payload, packetId, qos }));
    expect(again.received).toMatchObject(had.map((each) => ({ ...each, dup: true })));
    expect(again.received).toHaveLength(2);
    expect(b.received).toEqual([]);
  });

  test('of a durable session that expires, QoS 1 goes to the others', async () => {
    const cistern = await start();
    const a = cistern.client(5);
    a.autoAck = false;
    a.connect({
      clientId: 'a',
      cleanStart: false,
      properties: properties({ sessionExpirySeconds: 5 }),
    });
    a.subscribe(1, [SHARE, 1]);
    await cistern.settle();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 3);
    await cistern.settle();
    const b = await member(cistern, 'b');
    a.drop();
    publishMany(publisher, 4, 5);
    await cistern.settle(100);
    expect(payloads(b)).toEqual(['4', '5']);
    await cistern.settle(7_000);
    expect(payloads(b)).toEqual(['4', '5', '1', '2', '3']);
  });
});

describe('a group with a durable member', () => {
  test('loses nothing while nobody is connected, and shares it out when they return', async () => {
    const cistern = await start();
    for (const id of ['a', 'b']) (await member(cistern, id, { durable: true })).disconnect();
    await cistern.settle();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 40);
    await cistern.settle();
    const a = await member(cistern, 'a', { durable: true, receiveMaximum: 10 });
    const b = await member(cistern, 'b', { durable: true, receiveMaximum: 10 });
    await cistern.settle(100);
    expect([a.received.length, b.received.length]).toEqual([10, 10]);
    for (const each of [a, b]) {
      each.autoAck = true;
      ackAll(each);
    }
    publishMany(publisher, 41, 50);
    await cistern.settle(300);
    const all = [...payloads(a), ...payloads(b)].map(Number).sort((x, y) => x - y);
    expect(all.map(String)).toEqual(numbers(1, 50));
    expect(payloads(a).map(Number)).toEqual(
      payloads(a)
        .map(Number)
        .sort((x, y) => x - y),
    );
  });

  test('gives what it has to whoever joins', async () => {
    const cistern = await start();
    (await member(cistern, 'a', { durable: true })).disconnect();
    await cistern.settle();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 5);
    await cistern.settle();
    const fresh = await member(cistern, 'fresh');
    await cistern.settle(100);
    expect(payloads(fresh)).toEqual(numbers(1, 5));
  });

  for (const how of ['killAndRestart', 'stopAndRestart'] as const) {
    test(`is there after ${how}: QoS 1 at least once, QoS 2 once and to whom it had begun with`, async () => {
      const mortal = await startMortal();
      const { cistern } = mortal;
      const a = await member(cistern, 'a', { durable: true, receiveMaximum: 3 });
      const publisher = await cistern.connected({ clientId: 'pub' });
      publisher.publish('t/x', 'begun', { qos: 2, packetId: 1 });
      publisher.publish('t/x', 'half', { qos: 2, packetId: 2 });
      publisher.publish('t/x', 'done', { qos: 2, packetId: 3 });
      await cistern.settle();
      const ids = a.received.map(({ packetId }) => packetId);
      expect(payloads(a)).toEqual(['begun', 'half', 'done']);
      a.ack(PUBREC, ids[1] as number);
      a.ack(PUBREC, ids[2] as number);
      await cistern.settle();
      a.ack(PUBCOMP, ids[2] as number);
      await cistern.settle();
      const b = await member(cistern, 'b', { durable: true });
      publisher.publish('t/x', 'later', { qos: 1, packetId: 4 });
      await cistern.settle();
      b.disconnect();
      publisher.publish('t/x', 'last', { qos: 1, packetId: 5 });
      await cistern.settle();
      await mortal[how]();
      const b2 = await member(mortal.cistern, 'b', { durable: true });
      b2.autoAck = true;
      await mortal.cistern.settle(200);
      const a2 = await member(mortal.cistern, 'a', { durable: true });
      await mortal.cistern.settle(200);
      expect(payloads(b2)).not.toEqual(expect.arrayContaining(['begun']));
      expect(new Set([...payloads(b2), ...payloads(a), ...payloads(b)])).toEqual(
        new Set(['begun', 'half', 'done', 'later', 'last']),
      );
      expect(a2.received.filter(({ qos }) => qos === 2)).toMatchObject([
        { payload: 'begun', packetId: ids[0], dup: true },
      ]);
      expect(a2.acks).toMatchObject([{ type: PUBREL, packetId: ids[1] }]);
    });
  }

  test('a hand-shake that ends after a kill, before the ring is read so far, is not begun anew', async () => {
    const mortal = await startMortal();
    const b = await member(mortal.cistern, 'b', { durable: true });
    const publisher = await mortal.cistern.connected({ clientId: 'pub' });
    publisher.publish('t/x', 'earlier', { qos: 1, packetId: 1 });
    await mortal.cistern.settle();
    b.drop();
    const a = await member(mortal.cistern, 'a', { durable: true, receiveMaximum: 1 });
    publisher.publish('t/x', 'begun', { qos: 2, packetId: 2 });
    await mortal.cistern.settle();
    expect([payloads(b), payloads(a)]).toEqual([['earlier'], ['begun']]);
    ackAll(a);
    await mortal.cistern.settle();
    // The group's cursor of before lies below both, since neither was done with.
    await mortal.killAndRestart();
    const again = mortal.cistern.client(5);
    again.connect({
      clientId: 'a',
      cleanStart: false,
      properties: properties({ sessionExpirySeconds: 1_000, receiveMaximum: 1 }),
    });
    await mortal.cistern.settle(200);
    expect(again.acks).toMatchObject([{ type: PUBREL }]);
    expect(payloads(again)).toEqual(['earlier']);
  });

  for (const when of ['before', 'after'] as const) {
    test(`[MQTT-4.8.2-5] QoS 2 is for nobody else, its session ended just ${when} a kill`, async () => {
      const mortal = await startMortal();
      await member(mortal.cistern, 'b', { durable: true });
      const a = await member(mortal.cistern, 'a', { durable: true });
      const publisher = await mortal.cistern.connected({ clientId: 'pub' });
      publishMany(publisher, 1, 6, 2);
      await mortal.cistern.settle();
      expect(a.received).toHaveLength(3);
      if (when === 'after') await mortal.killAndRestart();
      const properties5 = properties({ sessionExpirySeconds: 1_000 });
      const anew = mortal.cistern.client(5);
      anew.connect({ clientId: 'a', cleanStart: true, properties: properties5 });
      await mortal.cistern.settle();
      expect(anew.last('connack')).toMatchObject({ sessionPresent: false });
      if (when === 'before') await mortal.killAndRestart();
      const b = await member(mortal.cistern, 'b', { durable: true });
      await mortal.cistern.settle(200);
      expect(b.received).toHaveLength(3);
      expect(b.received.every(({ dup }) => dup)).toBe(true);
    });
  }

  test('what waited before it became durable is given out, though the ring has it for others', async () => {
    const mortal = await startMortal();
    const { cistern } = mortal;
    const keeper = await member(cistern, 'keeper', { durable: true });
    keeper.unsubscribe(2, SHARE);
    keeper.subscribe(3, ['t/#', 2]);
    const a = await member(cistern, 'a', { receiveMaximum: 1 });
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 4, 2);
    await cistern.settle();
    expect(payloads(a)).toEqual(['1']);
    const b = await member(cistern, 'b', { durable: true });
    await cistern.settle(200);
    expect(payloads(b)).toEqual(['2', '3', '4']);
    // A hand-shake without a place in the ring leaves no mark in the group's cursor.
    for (const lost of [['b'], []]) {
      await mortal.killAndRestart();
      const again = await member(mortal.cistern, 'b', { durable: true });
      await mortal.cistern.settle(200);
      for (const { packetId } of again.acks) again.ack(PUBCOMP, packetId);
      await mortal.cistern.settle();
      const told = mortal.cistern.logger.entries.filter(({ event }) => event === 'session.lapped');
      expect(told.map(({ fields }) => fields['client'])).toEqual(lost);
    }
  });

  test('QoS 2 that is being committed while it becomes durable is given out', async () => {
    const cistern = await start();
    const keeper = await member(cistern, 'keeper', { durable: true });
    keeper.unsubscribe(2, SHARE);
    keeper.subscribe(3, ['t/#', 2]);
    const a = await member(cistern, 'a');
    const b = await cistern.connected(
      {
        clientId: 'b',
        cleanStart: true,
        properties: properties({ sessionExpirySeconds: 1_000 }),
      },
      5,
    );
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 4, 2);
    b.subscribe(1, [SHARE, 2]);
    await cistern.settle(200);
    expect(keeper.received).toHaveLength(4);
    expect([...payloads(a), ...payloads(b)].sort()).toEqual(numbers(1, 4));
  });

  test('ends with its last member, and begins anew', async () => {
    const mortal = await startMortal();
    const a = await member(mortal.cistern, 'a', { durable: true });
    a.unsubscribe(2, SHARE);
    await mortal.cistern.settle();
    a.publish('t/x', 'for nobody', { qos: 1, packetId: 1 });
    await mortal.cistern.settle();
    await mortal.killAndRestart();
    const again = await member(mortal.cistern, 'a', { durable: true });
    again.publish('t/x', 'new', { qos: 1, packetId: 1 });
    await mortal.cistern.settle(200);
    expect(payloads(again)).toEqual(['new']);
  });

  test('whose members are all slow reads the rest from the ring, in order', async () => {
    const cistern = await start();
    const a = await member(cistern, 'a', { durable: true, receiveMaximum: 5 });
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 3_000);
    await cistern.settle(100);
    expect(a.received).toHaveLength(5);
    a.autoAck = true;
    ackAll(a);
    publishMany(publisher, 3_001, 3_100);
    await cistern.settle(1_000);
    expect(payloads(a)).toEqual(numbers(1, 3_100));
  });

  test('keeps no more waiting than a session may: the oldest go, counted', async () => {
    const cistern = await start('[limits]\nsession_queue_messages = 10');
    (await member(cistern, 'a', { durable: true })).disconnect();
    await cistern.settle();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publishMany(publisher, 1, 25);
    await cistern.settle();
    const a = await member(cistern, 'a', { durable: true });
    await cistern.settle(100);
    expect(payloads(a)).toEqual(numbers(16, 25));
    expect(cistern.running?.status().messages.dropped).toMatchObject({ session_queue_full: 15 });
  });
});
