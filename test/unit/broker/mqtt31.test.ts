import { describe, expect, test } from 'vitest';
import { numbers, payloads, PUBACK, start } from './sim-broker.ts';

describe('MQTT 3.1', () => {
  test('is spoken from CONNECT to DISCONNECT', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'c' }, 3);
    expect(client.last('connack')).toMatchObject({ reasonCode: 0, sessionPresent: false });
    client.subscribe(1, ['t/#', 2]);
    for (const qos of [0, 1, 2] as const) {
      client.publish('t/x', `${qos}`, { qos, packetId: qos === 0 ? 0 : qos });
      await cistern.settle();
    }
    expect(client.received.map(({ qos }) => qos)).toEqual([0, 1, 2]);
    client.disconnect();
    await cistern.settle();
    expect(client.closed).toBe(true);
  });

  test('has durable sessions, and a CONNACK that says nothing of them', async () => {
    const cistern = await start();
    const first = await cistern.connected({ clientId: 'd', cleanStart: false }, 3);
    first.subscribe(1, ['t', 1]);
    await cistern.settle();
    first.drop();
    const publisher = await cistern.connected({ clientId: 'pub' }, 3);
    for (const id of [1, 2, 3]) publisher.publish('t', `${id}`, { qos: 1, packetId: id });
    await cistern.settle();
    const again = await cistern.connected({ clientId: 'd', cleanStart: false }, 3);
    await cistern.settle(100);
    expect(again.last('connack')).toMatchObject({ sessionPresent: false });
    expect(payloads(again)).toEqual(numbers(1, 3));
  });

  test('takes client ids of more than 23 characters, and none that is empty', async () => {
    const cistern = await start();
    const long = await cistern.connected({ clientId: 'x'.repeat(60) }, 3);
    const empty = await cistern.connected({ clientId: '' }, 3);
    expect(long.last('connack')).toMatchObject({ reasonCode: 0 });
    expect(empty.last('connack')).toMatchObject({ reasonCode: 2 });
    expect(empty.closed).toBe(true);
  });

  test('a repeated SUBSCRIBE, UNSUBSCRIBE or PUBREL may have the DUP flag, as it has no more in 3.1.1', async () => {
    const cistern = await start();
    for (const version of [3, 4] as const) {
      const client = await cistern.connected({ clientId: `c${version}` }, version);
      // SUBSCRIBE with DUP, identifier 1, filter "t", QoS 0.
      client.raw(Uint8Array.of(0x8a, 6, 0, 1, 0, 1, 0x74, 0));
      client.publish('t', 'x', { qos: 1, packetId: 9 });
      await cistern.settle();
      expect(client.closed).toBe(version === 4);
      if (version === 3) expect(client.acks).toMatchObject([{ type: PUBACK, packetId: 9 }]);
    }
  });

  test('a filter that is refused is answered with the QoS it asked for: there is no other answer', async () => {
    const cistern = await start('[limits]\nsubscriptions_per_client = 1');
    const client = await cistern.connected({ clientId: 'c' }, 3);
    client.subscribe(1, ['a', 1], ['b', 2]);
    client.publish('b', 'not for it');
    await cistern.settle();
    expect(client.last('suback')).toMatchObject({ reasonCodes: [1, 2] });
    expect(client.received).toEqual([]);
  });
});
