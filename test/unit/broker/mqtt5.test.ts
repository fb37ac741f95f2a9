import { describe, expect, test } from 'vitest';
import type { SimCistern } from '../../support/sim-cistern.ts';
import type { SimClient } from '../../support/sim-client.ts';
import {
  numbers,
  payloads,
  properties,
  PUBACK,
  PUBCOMP,
  PUBREC,
  PUBREL,
  start,
  startMortal,
} from './sim-broker.ts';

async function client5(
  cistern: SimCistern,
  clientId: string,
  some: Parameters<typeof properties>[0] = {},
  cleanStart = true,
): Promise<SimClient> {
  return cistern.connected({ clientId, cleanStart, properties: properties(some) }, 5);
}

describe('topic aliases', () => {
  test('of a client stand for their topic from the message on that tells them', async () => {
    const cistern = await start();
    const client = await client5(cistern, 'c');
    client.subscribe(1, ['#', 1]);
    client.publish('a/long/topic', 'one', { properties: { topicAlias: 32 } });
    client.publish('', 'two', { qos: 1, packetId: 1, properties: { topicAlias: 32 } });
    client.publish('b', 'three', { properties: { topicAlias: 32 } });
    client.publish('', 'four', { properties: { topicAlias: 32 } });
    await cistern.settle();
    expect(client.received.map(({ topic, payload }) => [topic, payload])).toEqual([
      ['a/long/topic', 'one'],
      ['a/long/topic', 'two'],
      ['b', 'three'],
      ['b', 'four'],
    ]);
    const told = client.received.map(({ properties: { topicAlias } }) => topicAlias);
    expect(told).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('above the maximum of CONNACK, or meaning nothing, end the connection', async () => {
    const cistern = await start();
    const above = await client5(cistern, 'above');
    expect(above.last('connack')).toMatchObject({ properties: { topicAliasMaximum: 32 } });
    above.publish('t', 'x', { properties: { topicAlias: 33 } });
    const unknown = await client5(cistern, 'unknown');
    unknown.publish('', 'x', { properties: { topicAlias: 1 } });
    const missing = await client5(cistern, 'missing');
    missing.publish('', 'x', { properties: { contentType: 'text' } });
    await cistern.settle();
    expect(above.last('disconnect')).toMatchObject({ reasonCode: 0x94 });
    expect(unknown.last('disconnect')).toMatchObject({ reasonCode: 0x82 });
    expect(missing.last('disconnect')).toMatchObject({ reasonCode: 0x82 });
  });

  test('to a client keep inside its maximum, and a busy topic among rare ones keeps one', async () => {
    const cistern = await start();
    const client = await client5(cistern, 'c', { topicAliasMaximum: 2 });
    client.subscribe(1, ['#', 0]);
    await cistern.settle();
    const publisher = await cistern.connected({ clientId: 'pub' });
    const topics = ['first/topic', 'second/topic', ...numbers(1, 20).map((n) => `rare/${n}`)];
    for (const topic of topics) publisher.publish(topic, topic);
    for (let i = 0; i < 10; i++) publisher.publish('rare/20', 'rare/20');
    await cistern.settle();
    const known = new Map<number, string>();
    let short = 0;
    for (const { topic, payload, properties: sent } of client.received) {
      const alias = sent.topicAlias ?? 0;
      expect(alias).toBeLessThanOrEqual(2);
      if (topic !== '') known.set(alias, topic);
      else short++;
      expect(topic === '' ? known.get(alias) : topic).toBe(payload);
    }
    expect(client.received).toHaveLength(32);
    expect(short).toBeGreaterThanOrEqual(2);
  });

  test('to a client are told anew on its next connection', async () => {
    const cistern = await start();
    const some = { topicAliasMaximum: 5, sessionExpirySeconds: 100 };
    const first = await client5(cistern, 'c', some);
    first.autoAck = false;
    first.subscribe(1, ['a/topic', 1]);
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (const id of [1, 2]) publisher.publish('a/topic', `${id}`, { qos: 1, packetId: id });
    await cistern.settle();
    expect(first.received.map(({ topic }) => topic)).toEqual(['a/topic', '']);
    first.drop();
    await cistern.settle();
    const second = await client5(cistern, 'c', some, false);
    await cistern.settle(100);
    expect(second.received.map(({ topic, dup }) => [topic, dup])).toEqual([
      ['a/topic', true],
      ['', true],
    ]);
  });
});

describe('flow control', () => {
  test('a client with more unacknowledged messages than the Receive Maximum gets 0x93', async () => {
    const cistern = await start('[limits]\ninflight = 3');
    const good = await client5(cistern, 'good');
    expect(good.last('connack')).toMatchObject({ properties: { receiveMaximum: 3 } });
    const bad = await client5(cistern, 'bad');
    for (const id of [1, 2, 3]) good.publish('t', 'x', { qos: 1, packetId: id });
    for (const id of [1, 2, 3, 4]) bad.publish('t', 'x', { qos: 2, packetId: id });
    await cistern.settle();
    expect(bad.last('disconnect')).toMatchObject({ reasonCode: 0x93 });
    for (let round = 0; round < 5; round++) {
      for (const id of [1, 2, 3]) good.publish('t', 'x', { qos: 2, packetId: id });
      await cistern.settle();
    }
    expect(good.closed).toBe(false);
    expect(good.acks.filter(({ type }) => type === PUBCOMP)).toHaveLength(15);
  });

  test('a QoS 2 hand-shake holds its place until PUBCOMP', async () => {
    const cistern = await start('[limits]\ninflight = 2');
    const client = await client5(cistern, 'c');
    client.autoAck = false;
    client.publish('t', 'x', { qos: 2, packetId: 1 });
    client.publish('t', 'x', { qos: 2, packetId: 2 });
    await cistern.settle();
    client.ack(PUBREL, 1);
    await cistern.settle();
    client.publish('t', 'x', { qos: 1, packetId: 3 });
    await cistern.settle();
    expect(client.acks.map(({ type }) => type)).toEqual([PUBREC, PUBREC, PUBCOMP, PUBACK]);
    client.publish('t', 'x', { qos: 2, packetId: 4 });
    client.publish('t', 'x', { qos: 1, packetId: 5 });
    await cistern.settle();
    expect(client.last('disconnect')).toMatchObject({ reasonCode: 0x93 });
  });

  test('a client is sent nothing larger than it takes; what is left out holds up nothing', async () => {
    const cistern = await start();
    const client = await client5(cistern, 'c', { maximumPacketBytes: 60, receiveMaximum: 1 });
    client.subscribe(1, ['t', 1]);
    await cistern.settle();
    const publisher = await cistern.connected({ clientId: 'pub' });
    publisher.publish('t', 'x'.repeat(100), { qos: 1, packetId: 1 });
    publisher.publish('t', 'small', { qos: 1, packetId: 2 });
    await cistern.settle();
    expect(payloads(client)).toEqual(['small']);
    const dropped = cistern.running?.status().messages.dropped;
    expect(dropped).toMatchObject({ packet_too_large: 1 });
  });

  test('a client too small for its CONNACK is not let in', async () => {
    const cistern = await start();
    const client = cistern.client(5);
    client.connect({ clientId: 'c', properties: properties({ maximumPacketBytes: 8 }) });
    await cistern.settle();
    expect(client.packets).toEqual([]);
    expect(client.closed).toBe(true);
    expect(cistern.running?.status().clients.connected).toBe(0);
  });
});

describe('message expiry', () => {
  const expiring = (seconds: number) => ({ properties: { messageExpirySeconds: seconds } });

  test('[MQTT-3.3.2-5, -6] goes out with what is left, or not at all', async () => {
    const cistern = await start();
    const some = { sessionExpirySeconds: 1_000 };
    (await client5(cistern, 'd', some)).subscribe(1, ['t', 1]);
    await cistern.settle();
    (await client5(cistern, 'd', some, false)).drop();
    const publisher = await client5(cistern, 'pub');
    publisher.publish('t', 'short', { qos: 1, packetId: 1, ...expiring(5) });
    publisher.publish('t', 'long', { qos: 1, packetId: 2, ...expiring(100) });
    publisher.publish('t', 'ever', { qos: 1, packetId: 3 });
    await cistern.settle(10_000);
    const again = await client5(cistern, 'd', some, false);
    await cistern.settle(100);
    expect(payloads(again)).toEqual(['long', 'ever']);
    expect(again.received[0]?.properties.messageExpirySeconds).toBe(90);
    expect(cistern.running?.status().messages.dropped).toMatchObject({ expired: 1 });
    again.drop();
    await cistern.settle();
    const third = await client5(cistern, 'd', some, false);
    await cistern.settle(100);
    expect(third.received).toEqual([]);
  });

  test('counts while a message waits for room in the window, and in a group', async () => {
    const cistern = await start();
    const slow = await client5(cistern, 'slow', { receiveMaximum: 1 });
    const shared = await client5(cistern, 'shared', { receiveMaximum: 1 });
    for (const each of [slow, shared]) each.autoAck = false;
    slow.subscribe(1, ['t', 1]);
    shared.subscribe(1, ['$share/g/t', 1]);
    await cistern.settle();
    const publisher = await client5(cistern, 'pub');
    publisher.publish('t', 'one', { qos: 1, packetId: 1, ...expiring(60) });
    publisher.publish('t', 'two', { qos: 1, packetId: 2, ...expiring(2) });
    publisher.publish('t', 'three', { qos: 1, packetId: 3, ...expiring(60) });
    await cistern.settle(5_000);
    for (const each of [slow, shared]) {
      each.ack(PUBACK, each.received[0]?.packetId ?? 0);
      await cistern.settle();
      expect(payloads(each)).toEqual(['one', 'three']);
      expect(each.received[1]?.properties.messageExpirySeconds).toBeLessThanOrEqual(55);
    }
  });

  test('of a retained message is told to a new subscriber; an expired one is gone', async () => {
    const cistern = await start();
    const publisher = await client5(cistern, 'pub');
    publisher.publish('r/1', 'kept', { retain: true, ...expiring(100) });
    publisher.publish('r/2', 'gone', { retain: true, ...expiring(5) });
    await cistern.settle(20_000);
    const subscriber = await client5(cistern, 'sub');
    subscriber.subscribe(1, ['r/#', 1]);
    await cistern.settle();
    expect(payloads(subscriber)).toEqual(['kept']);
    expect(subscriber.received[0]?.properties.messageExpirySeconds).toBe(80);
  });
});

describe('sessions', () => {
  test('live no longer for a restart: the time that the power is on counts', async () => {
    const mortal = await startMortal();
    const some = { sessionExpirySeconds: 100 };
    (await client5(mortal.cistern, 'd', some)).drop();
    await mortal.cistern.settle(80_000);
    await mortal.stopAndRestart();
    await mortal.cistern.settle(10_000);
    expect(mortal.cistern.running?.status().clients.sessions).toBe(1);
    await mortal.cistern.settle(15_000);
    expect(mortal.cistern.running?.status().clients.sessions).toBe(0);
  });

  test('a message of their own is heard by the subscriptions without no local, and by their rules', async () => {
    const cistern = await start();
    const client = await client5(cistern, 'c');
    const subscribe = (packetId: number, filter: string, qos: 0 | 1, noLocal: boolean) => {
      const options = { retainAsPublished: false, retainHandling: 0 as const };
      client.send({
        type: 'subscribe',
        packetId,
        subscriptions: [{ filter, qos, noLocal, ...options }],
        properties: { subscriptionIds: [packetId] },
      });
    };
    subscribe(1, 't/#', 1, true);
    subscribe(2, 't/x', 0, false);
    client.publish('t/x', 'own', { qos: 1, packetId: 1 });
    client.publish('t/y', 'own too', { qos: 1, packetId: 2 });
    const other = await cistern.connected({ clientId: 'other' });
    other.publish('t/x', 'other', { qos: 1, packetId: 1 });
    await cistern.settle();
    const got = client.received.map(({ payload, qos, properties: { subscriptionIds } }) => [
      payload,
      qos,
      [...subscriptionIds].sort((a, b) => a - b),
    ]);
    expect(got).toEqual([
      ['own', 0, [2]],
      ['other', 1, [1, 2]],
    ]);
  });

  test('[MQTT-3.2.0-1] PINGRESP does not come before CONNACK', async () => {
    const cistern = await start();
    const client = cistern.client(5);
    client.connect({ clientId: 'c', properties: properties({ sessionExpirySeconds: 10 }) });
    client.send({ type: 'pingreq' });
    await cistern.settle();
    expect(client.packets.map(({ type }) => type)).toEqual(['connack', 'pingresp']);
  });
});
