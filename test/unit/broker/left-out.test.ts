import { expect, test } from 'vitest';
import { payloads, PUBACK, startMortal } from './sim-broker.ts';

test('a client that left one message out for thousands of others gets it, and the rest, when it is back', async () => {
  const mortal = await startMortal('[limits]\ninflight = 100');
  let away = await mortal.cistern.connected({ clientId: 'd', cleanStart: false });
  away.autoAck = false;
  away.subscribe(1, ['t', 1]);
  let publisher = await mortal.cistern.connected({ clientId: 'p' });
  let acked = 0;
  for (let id = 1; id <= 5_000; id++) {
    publisher.publish('t', `${id}`, { qos: 1, packetId: id });
    if (id % 50 !== 0) continue;
    await mortal.cistern.settle(10);
    // All but the first.
    for (; acked < away.received.length; acked++) {
      const { payload, packetId } = away.received[acked] as { payload: string; packetId: number };
      if (payload !== '1') away.ack(PUBACK, packetId);
    }
  }
  await mortal.cistern.settle(20_000);
  expect(away.received.length).toBeGreaterThanOrEqual(4_096);
  await mortal.killAndRestart();
  away = await mortal.cistern.connected({ clientId: 'd', cleanStart: false });
  await mortal.cistern.settle(1_000);
  publisher = await mortal.cistern.connected({ clientId: 'p' });
  publisher.publish('t', 'newest', { qos: 1, packetId: 1 });
  await mortal.cistern.settle(1_000);
  const got = payloads(away);
  expect(got[0]).toBe('1');
  expect(got.slice(-2)).toEqual(['5000', 'newest']);
});
