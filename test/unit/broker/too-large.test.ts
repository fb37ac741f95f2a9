import { expect, test } from 'vitest';
import { properties, start } from './sim-broker.ts';

/** With this client id, a packet that is allowed makes a record that the ring does not take. */
const LONG_ID = `c${'x'.repeat(7_800)}`;
const LONG_TOPIC = `t/${'y'.repeat(4_000)}`;
const PACKET_TOO_LARGE = 0x95;

test('a QoS 2 message that the ring cannot take is not answered as a repeat when it comes again', async () => {
  const cistern = await start();
  const lasting = properties({ sessionExpirySeconds: 1_000 });
  for (const dup of [false, true, true]) {
    const client = await cistern.connected(
      { clientId: LONG_ID, cleanStart: false, properties: lasting },
      5,
    );
    client.publish(LONG_TOPIC, 'z'.repeat(3_000), { qos: 2, packetId: 7, dup });
    await cistern.settle();
    expect(client.acks).toEqual([]);
    expect(client.last('disconnect')).toMatchObject({ reasonCode: PACKET_TOO_LARGE });
  }
});

test('a will with long names is published like any other', async () => {
  const cistern = await start();
  const watcher = await cistern.connected({ clientId: 'watcher' }, 5);
  watcher.subscribe(1, ['t/#', 1]);
  const will = {
    topic: LONG_TOPIC,
    payload: Buffer.from('gone'),
    qos: 2 as const,
    retain: true,
    properties: properties({}),
  };
  const client = await cistern.connected({ clientId: `c${'x'.repeat(3_900)}`, will }, 5);
  client.drop();
  await cistern.settle(1_000);
  expect(watcher.received.map(({ payload }) => payload)).toEqual(['gone']);
});
