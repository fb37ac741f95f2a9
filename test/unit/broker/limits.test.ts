import { describe, expect, test } from 'vitest';
import type { SimCistern } from '../../support/sim-cistern.ts';
import { numbers, payloads, properties, PUBACK, start } from './sim-broker.ts';

function dropped(cistern: SimCistern): Readonly<Record<string, number>> {
  return cistern.running?.status().messages.dropped ?? {};
}

describe('limits of what may come in', () => {
  test('connections: one too many is closed, the others stay', async () => {
    const cistern = await start('[limits]\nconnections = 2');
    const first = await cistern.connected({ clientId: 'a' });
    const second = await cistern.connected({ clientId: 'b' });
    const third = await cistern.connected({ clientId: 'c' });
    expect([first.closed, second.closed, third.closed]).toEqual([false, false, true]);
    expect(cistern.running?.status().clients.turnedAway).toEqual({ connection_limit: 1 });
    expect(dropped(cistern)).toEqual({});
    second.disconnect();
    await cistern.settle();
    expect((await cistern.connected({ clientId: 'd' })).closed).toBe(false);
  });

  test('connections a second: more wait for the next one', async () => {
    const cistern = await start('[limits]\nconnection_rate = "3/s"');
    const clients = [];
    for (const id of numbers(1, 5)) clients.push(await cistern.connected({ clientId: id }));
    expect(clients.map(({ closed }) => closed)).toEqual([false, false, false, true, true]);
    await cistern.settle(1_000);
    expect((await cistern.connected({ clientId: 'late' })).closed).toBe(false);
  });

  test('a packet that is too large ends its connection before it is held in memory', async () => {
    const cistern = await start('[limits]\npacket_size = "2KiB"');
    const client = await cistern.connected({ clientId: 'c' }, 5);
    expect(client.last('connack')).toMatchObject({ properties: { maximumPacketBytes: 2048 } });
    // Only the header of a PUBLISH of 2 MiB.
    client.raw(Uint8Array.of(0x30, 0x80, 0x80, 0x80, 0x01));
    await cistern.settle();
    expect(client.last('disconnect')).toMatchObject({ reasonCode: 0x95 });
  });

  test('topics: levels and bytes, of names and of filters', async () => {
    const cistern = await start('[limits]\ntopic_levels = 3\ntopic_bytes = "16B"');
    const client = await cistern.connected({ clientId: 'c' }, 5);
    client.subscribe(1, ['a/b/c', 0], ['a/b/c/d', 0], ['x'.repeat(17), 0], ['$share/g/a/b/c', 0]);
    await cistern.settle();
    expect(client.last('suback')).toMatchObject({ reasonCodes: [0, 0x8f, 0x8f, 0] });
    for (const topic of ['a/b/c/d', 'x'.repeat(17)]) {
      const publisher = await cistern.connected({ clientId: 'pub' }, 5);
      publisher.publish('a/b/c', 'fits');
      publisher.publish(topic, 'does not');
      await cistern.settle();
      expect(publisher.last('disconnect')).toMatchObject({ reasonCode: 0x90 });
    }
    expect(payloads(client)).toEqual(['fits', 'fits', 'fits', 'fits']);
  });

  test('subscriptions of a client: what is too many is refused, what is there can be changed', async () => {
    const cistern = await start('[limits]\nsubscriptions_per_client = 2');
    const client = await cistern.connected({ clientId: 'c' }, 5);
    client.subscribe(1, ['a', 0], ['$share/g/b', 0], ['c', 0]);
    client.subscribe(2, ['a', 1]);
    await cistern.settle();
    expect(client.packets.filter(({ type }) => type === 'suback')).toMatchObject([
      { reasonCodes: [0, 0, 0x97] },
      { reasonCodes: [1] },
    ]);
  });

  test('output: retained messages at QoS 0 wait for a peer that does not read, however many', async () => {
    const cistern = await start('[limits]\noutput_buffer = "16KiB"');
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 200; id++) {
      publisher.publish(`r/${id}`, 'x'.repeat(500), { qos: 1, packetId: id, retain: true });
    }
    await cistern.settle(100);
    const slow = await cistern.connected({ clientId: 'slow' });
    const gone = await cistern.connected({ clientId: 'gone' });
    for (const client of [slow, gone]) {
      client.stall();
      client.subscribe(1, ['r/#', 0]);
    }
    await cistern.settle(100);
    gone.drop();
    slow.readOn();
    await cistern.settle(500);
    expect(slow.received).toHaveLength(200);
    expect(dropped(cistern)).toEqual({});
  });

  test('retained messages: a new topic too many is routed and not kept, a known one is', async () => {
    const cistern = await start('[limits]\nretained_messages = 1');
    const client = await cistern.connected({ clientId: 'c' });
    client.publish('a', '1', { retain: true });
    client.publish('b', '1', { retain: true });
    client.publish('a', '2', { retain: true });
    await cistern.settle();
    client.subscribe(1, ['#', 0]);
    await cistern.settle();
    expect(payloads(client)).toEqual(['2']);
    expect(dropped(cistern)).toMatchObject({ retained_limit: 1 });
  });

  test('retained messages: a 5.0 client is told that one too many is not taken', async () => {
    const cistern = await start('[limits]\nretained_messages = 1');
    const client = await cistern.connected({ clientId: 'c' }, 5);
    client.subscribe(1, ['#', 0]);
    await cistern.settle();
    client.publish('a', '1', { qos: 1, packetId: 1, retain: true });
    client.publish('b', '1', { qos: 1, packetId: 2, retain: true });
    client.publish('b', '1', { qos: 2, packetId: 3, retain: true });
    client.publish('a', '2', { qos: 2, packetId: 4, retain: true });
    client.publish('b', 'passing', { qos: 1, packetId: 5 });
    await cistern.settle();
    const quotaExceeded = 0x97;
    const first = (id: number) => client.acks.find(({ packetId }) => packetId === id);
    expect([1, 2, 3, 4, 5].map((id) => first(id)?.reasonCode)).toEqual([
      0,
      quotaExceeded,
      quotaExceeded,
      0,
      0,
    ]);
    expect(payloads(client)).toEqual(['1', 'passing', '2']);
    expect(dropped(cistern)).toMatchObject({ retained_limit: 2 });
  });
});

describe('what waits for a session that is away', () => {
  const CASES = [
    ['session_queue_messages = 10', numbers(16, 25)],
    ['session_queue_bytes = "7B"', numbers(23, 25)],
  ] as const;

  for (const [limit, expected] of CASES) {
    test(`${limit}: the oldest go, counted, and stay gone`, async () => {
      const cistern = await start(`[limits]\n${limit}`);
      const first = await cistern.connected({ clientId: 'd', cleanStart: false });
      first.subscribe(1, ['t', 1]);
      await cistern.settle();
      first.drop();
      const publisher = await cistern.connected({ clientId: 'pub' });
      for (let id = 1; id <= 25; id++) publisher.publish('t', `${id}`, { qos: 1, packetId: id });
      for (let id = 26; id <= 60; id++) publisher.publish('other', 'x', { qos: 1, packetId: id });
      await cistern.settle();
      const again = await cistern.connected({ clientId: 'd', cleanStart: false });
      publisher.publish('t', 'new', { qos: 1, packetId: 61 });
      await cistern.settle(100);
      expect(payloads(again)).toEqual([...expected, 'new']);
      expect(dropped(cistern)).toMatchObject({ session_queue_full: 25 - expected.length });
      again.drop();
      await cistern.settle();
      const third = await cistern.connected({ clientId: 'd', cleanStart: false });
      await cistern.settle(100);
      expect(third.received).toEqual([]);
    });
  }

  test('what it has in flight is repeated all the same', async () => {
    const cistern = await start('[limits]\nsession_queue_messages = 5\ninflight = 2');
    const first = await cistern.connected({ clientId: 'd', cleanStart: false });
    first.autoAck = false;
    first.subscribe(1, ['t', 1]);
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 20; id++) publisher.publish('t', `${id}`, { qos: 1, packetId: id });
    await cistern.settle();
    expect(payloads(first)).toEqual(['1', '2']);
    first.drop();
    await cistern.settle();
    const again = await cistern.connected({ clientId: 'd', cleanStart: false });
    await cistern.settle(100);
    expect(payloads(again)).toEqual(['1', '2', ...numbers(16, 20)]);
    expect(again.received.filter(({ dup }) => dup)).toHaveLength(2);
  });

  test('a session that is there and does not acknowledge has no more waiting either', async () => {
    const cistern = await start('[limits]\nsession_queue_messages = 20');
    const slow = await cistern.connected(
      {
        clientId: 'd',
        cleanStart: false,
        properties: properties({ receiveMaximum: 1, sessionExpirySeconds: 100 }),
      },
      5,
    );
    slow.autoAck = false;
    slow.subscribe(1, ['t', 1]);
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 2_500; id++) publisher.publish('t', `${id}`, { qos: 1, packetId: id });
    await cistern.settle(100);
    for (let id = 2_501; id <= 5_000; id++)
      publisher.publish('t', `${id}`, { qos: 1, packetId: id });
    await cistern.settle(100);
    slow.autoAck = true;
    slow.ack(PUBACK, slow.received[0]?.packetId ?? 0);
    await cistern.settle(500);
    const got = payloads(slow);
    expect(got.length).toBeLessThan(1_100);
    expect(got.slice(-20)).toEqual(numbers(4_981, 5_000));
    expect(got.map(Number)).toEqual(got.map(Number).sort((a, b) => a - b));
    expect((dropped(cistern)['session_queue_full'] ?? 0) + got.length).toBe(5_000);
  });

  test('of a session that is not durable the oldest go first, from memory', async () => {
    const cistern = await start('[limits]\nsession_queue_messages = 10\ninflight = 1');
    const slow = await cistern.connected({ clientId: 's' });
    slow.autoAck = false;
    slow.subscribe(1, ['t', 1]);
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 30; id++) publisher.publish('t', `${id}`, { qos: 1, packetId: id });
    await cistern.settle();
    slow.autoAck = true;
    slow.ack(PUBACK, slow.received[0]?.packetId ?? 0);
    await cistern.settle(50);
    expect(payloads(slow)).toEqual(['1', ...numbers(21, 30)]);
    expect(dropped(cistern)).toMatchObject({ queue_full: 19 });
  });

  test('of a session that is not durable the configured bytes alone decide', async () => {
    for (const [bytes, kept] of [
      ['512KiB', 100],
      ['16MiB', 600],
    ] as const) {
      const cistern = await start(`[limits]\nsession_queue_bytes = "${bytes}"\ninflight = 1`);
      const slow = await cistern.connected({ clientId: 's' });
      slow.autoAck = false;
      slow.subscribe(1, ['t', 1]);
      const publisher = await cistern.connected({ clientId: 'pub' });
      for (let id = 1; id <= 601; id++) {
        publisher.publish('t', `${id}`.padEnd(4_000), { qos: 1, packetId: id });
        await cistern.settle(2);
      }
      slow.autoAck = true;
      slow.ack(PUBACK, slow.received[0]?.packetId ?? 0);
      await cistern.settle(100);
      expect(payloads(slow).length - 1, bytes).toBeGreaterThanOrEqual(kept);
      expect(dropped(cistern)['queue_full'] ?? 0).toBe(601 - payloads(slow).length);
    }
  });
});

describe('a client that does not read', () => {
  test('loses QoS 0 beyond its output buffer, has QoS 1 wait, and holds up nobody', async () => {
    const cistern = await start('[limits]\noutput_buffer = "4KiB"');
    const stalled = await cistern.connected({ clientId: 'stalled' });
    const good = await cistern.connected({ clientId: 'good' });
    for (const each of [stalled, good]) each.subscribe(1, ['#', 1]);
    await cistern.settle();
    stalled.stall();
    const publisher = await cistern.connected({ clientId: 'pub' });
    const filler = 'x'.repeat(1_000);
    for (let id = 1; id <= 100; id++) {
      publisher.publish('zero', filler);
      publisher.publish('one', `${id}`, { qos: 1, packetId: id });
      await cistern.settle(1);
    }
    await cistern.settle(50);
    expect(good.received).toHaveLength(200);
    stalled.readOn();
    await cistern.settle(100);
    const zeros = stalled.received.filter(({ topic }) => topic === 'zero').length;
    expect(zeros).toBeLessThan(10);
    expect(dropped(cistern)).toMatchObject({ slow_consumer: 100 - zeros });
    const ones = stalled.received.filter(({ topic }) => topic === 'one');
    expect(ones.map(({ payload }) => payload)).toEqual(numbers(1, 100));
  });

  test('and asks for answers is not read any more, until it has taken them', async () => {
    const cistern = await start('[limits]\noutput_buffer = "4KiB"');
    const stalled = await cistern.connected({ clientId: 'stalled' });
    stalled.stall();
    for (let i = 0; i < 10_000; i++) stalled.raw(Uint8Array.of(0xc0, 0));
    await cistern.settle(100);
    const good = await cistern.connected({ clientId: 'good' });
    good.publish('t', 'x', { qos: 1, packetId: 1 });
    await cistern.settle();
    expect(good.acks).toHaveLength(1);
    stalled.readOn();
    await cistern.settle(500);
    expect(stalled.packets.filter(({ type }) => type === 'pingresp')).toHaveLength(10_000);
  });

  test('and has a keep alive is closed when that is over', async () => {
    const cistern = await start('[limits]\noutput_buffer = "4KiB"');
    const stalled = await cistern.connected({ clientId: 's', keepAliveSeconds: 10 });
    stalled.subscribe(1, ['t', 0]);
    await cistern.settle();
    stalled.stall();
    await cistern.settle(20_000);
    expect(cistern.running?.status().clients.connected).toBe(0);
  });
});

describe('a client that acknowledges out of order', () => {
  test('cannot make the broker remember for ever what it left out', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'd', cleanStart: false });
    client.autoAck = false;
    client.subscribe(1, ['t', 1]);
    await cistern.settle();
    const publisher = await cistern.connected({ clientId: 'pub' });
    let acked = 1;
    for (let round = 0; round < 10; round++) {
      for (let i = 1; i <= 1_000; i++) {
        const id = round * 1_000 + i;
        publisher.publish('t', `${id}`, { qos: 1, packetId: id });
      }
      await cistern.settle(50);
      for (; acked < client.received.length; acked++) {
        client.ack(PUBACK, client.received[acked]?.packetId ?? 0);
      }
      await cistern.settle(50);
    }
    expect(client.received.length).toBeLessThan(6_500);
    client.autoAck = true;
    client.ack(PUBACK, client.received[0]?.packetId ?? 0);
    for (const { packetId } of client.received.slice(acked)) client.ack(PUBACK, packetId);
    await cistern.settle(2_000);
    expect(payloads(client)).toEqual(numbers(1, 10_000));
  });
});

describe('a client that floods', () => {
  test('is read no faster than the device writes, and the others are served meanwhile', async () => {
    const cistern = await start();
    const flooder = await cistern.connected({ clientId: 'flooder' });
    const other = await cistern.connected({ clientId: 'other' });
    const filler = new Uint8Array(8_000).map((_, index) => (index * 7919) >> 3);
    for (let id = 1; id <= 1_000; id++) flooder.publish('flood', filler, { qos: 1, packetId: id });
    await cistern.settle(1);
    // 8 MB were sent at once; what is taken is bounded by the room before the device.
    expect(flooder.acks.length).toBeLessThan(1_000);
    other.publish('t', 'x', { qos: 1, packetId: 1 });
    await cistern.settle(100);
    expect(other.acks).toHaveLength(1);
    await cistern.settle(20_000);
    expect(flooder.acks).toHaveLength(1_000);
  });

  test('and subscribes to everything gets no more than its window and its buffer', async () => {
    const cistern = await start('[limits]\noutput_buffer = "8KiB"\ninflight = 10');
    const greedy = await cistern.connected({ clientId: 'greedy' });
    greedy.autoAck = false;
    greedy.subscribe(1, ['#', 1], ['+/#', 2], ['$SYS/#', 2]);
    await cistern.settle();
    greedy.stall();
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 2_000; id++) {
      publisher.publish(`t/${id}`, 'x'.repeat(100), { qos: 1, packetId: id });
    }
    await cistern.settle(200);
    expect(publisher.acks).toHaveLength(2_000);
    greedy.readOn();
    await cistern.settle(100);
    const inFlight = greedy.received.filter(({ qos }) => qos > 0);
    expect(inFlight).toHaveLength(10);
  });
});
