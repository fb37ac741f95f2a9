import { describe, expect, test } from 'vitest';
import type { SimCistern } from '../../support/sim-cistern.ts';
import type { SimClient } from '../../support/sim-client.ts';
import { payloads, properties, start } from './sim-broker.ts';

async function mortal(
  cistern: SimCistern,
  options: { delaySeconds: number; expirySeconds: number; cleanStart?: boolean; payload?: string },
): Promise<SimClient> {
  const { delaySeconds, expirySeconds, cleanStart = false, payload = 'gone' } = options;
  return cistern.connected(
    {
      clientId: 'mortal',
      cleanStart,
      properties: properties({ sessionExpirySeconds: expirySeconds }),
      will: {
        topic: 'will',
        payload: Buffer.from(payload),
        qos: 1,
        retain: false,
        properties: properties({ willDelaySeconds: delaySeconds, messageExpirySeconds: 60 }),
      },
    },
    5,
  );
}

async function watched(): Promise<{ cistern: SimCistern; watcher: SimClient }> {
  const cistern = await start();
  const watcher = await cistern.connected({ clientId: 'watcher' }, 5);
  watcher.subscribe(1, ['will', 1]);
  await cistern.settle();
  return { cistern, watcher };
}

describe('a delayed will', () => {
  test('[MQTT-3.1.3-9] is not sent where the client is back before its time', async () => {
    const { cistern, watcher } = await watched();
    (await mortal(cistern, { delaySeconds: 10, expirySeconds: 100 })).drop();
    await cistern.settle(8_000);
    await mortal(cistern, { delaySeconds: 10, expirySeconds: 100 });
    await cistern.settle(20_000);
    expect(watcher.received).toEqual([]);
  });

  test('is sent when its time has come, with an expiry that counts from then', async () => {
    const { cistern, watcher } = await watched();
    (await mortal(cistern, { delaySeconds: 10, expirySeconds: 100 })).drop();
    await cistern.settle(8_000);
    expect(watcher.received).toEqual([]);
    await cistern.settle(4_000);
    expect(payloads(watcher)).toEqual(['gone']);
    expect(watcher.received[0]?.properties.messageExpirySeconds).toBe(60);
  });

  test('is sent when the session ends, where that is sooner', async () => {
    const { cistern, watcher } = await watched();
    (await mortal(cistern, { delaySeconds: 1_000, expirySeconds: 5 })).drop();
    await cistern.settle(3_000);
    expect(watcher.received).toEqual([]);
    await cistern.settle(4_000);
    expect(payloads(watcher)).toEqual(['gone']);
  });

  test('is sent at once where a clean start ends the session, and the new one is another', async () => {
    const { cistern, watcher } = await watched();
    const options = { delaySeconds: 50, expirySeconds: 100 };
    (await mortal(cistern, { ...options, payload: 'old' })).drop();
    await cistern.settle(5_000);
    const next = await mortal(cistern, { ...options, cleanStart: true, payload: 'new' });
    await cistern.settle();
    expect(payloads(watcher)).toEqual(['old']);
    next.disconnect();
    await cistern.settle(200_000);
    expect(payloads(watcher)).toEqual(['old']);
  });

  test('is sent at once where another connection takes over and the old will has no delay', async () => {
    const { cistern, watcher } = await watched();
    await mortal(cistern, { delaySeconds: 0, expirySeconds: 100, payload: 'first' });
    await mortal(cistern, { delaySeconds: 0, expirySeconds: 100, payload: 'second' });
    await cistern.settle();
    expect(payloads(watcher)).toEqual(['first']);
  });
});
