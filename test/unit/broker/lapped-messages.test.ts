import { describe, expect, test } from 'vitest';
import type { SimCistern } from '../../support/sim-cistern.ts';
import type { SimClient } from '../../support/sim-client.ts';
import { SimRandom } from '../../support/sim-random.ts';
import { properties, start, startMortal } from './sim-broker.ts';

/** More than the ring of a simulated broker holds, in messages of 8 kB. */
const MORE_THAN_FITS = 300;

let lastPacketId = 0;

async function publish(cistern: SimCistern, topic: string, count: number): Promise<void> {
  const publisher = await cistern.connected({ clientId: 'pub' });
  // What compresses would all fit.
  const random = new SimRandom(lastPacketId);
  for (let i = 1; i <= count; i++) {
    lastPacketId = (lastPacketId % 60_000) + 1;
    publisher.publish(topic, random.bytes(8_000), { qos: 1, packetId: lastPacketId });
    if (i % 20 === 0) await cistern.settle();
  }
  await cistern.settle();
  publisher.disconnect();
  await cistern.settle();
}

async function durable(cistern: SimCistern, clientId: string, filter?: string): Promise<SimClient> {
  const client = await cistern.connected({ clientId, cleanStart: false });
  if (filter !== undefined) client.subscribe(1, [filter, 1]);
  await cistern.settle();
  return client;
}

async function leave(cistern: SimCistern, client: SimClient): Promise<void> {
  client.disconnect();
  await cistern.settle();
}

function lapped(cistern: SimCistern): number {
  return cistern.running?.status().messages.dropped['lapped'] ?? 0;
}

function alarms(cistern: SimCistern) {
  return cistern.running?.status().alarms.filter(({ code }) => code === 'session.lapped');
}

function warnings(cistern: SimCistern) {
  return cistern.logger
    .atLeast('warn')
    .filter(({ event }) => event === 'session.lapped')
    .map(({ fields }) => fields);
}

describe('a durable session that is away while the ring goes round', () => {
  test('is counted message by message, raises an alarm, and is named when it is back', async () => {
    const cistern = await start();
    await leave(cistern, await durable(cistern, 'd', 't/#'));
    await publish(cistern, 't/1', MORE_THAN_FITS);
    const lostWhileAway = lapped(cistern);
    expect(lostWhileAway).toBeGreaterThan(100);
    expect(alarms(cistern)).toMatchObject([
      { message: expect.stringContaining(`at least ${lostWhileAway} messages before 1 session`) },
    ]);
    expect(warnings(cistern)).toEqual([]);
    const back = await durable(cistern, 'd');
    await cistern.settle(300);
    expect(back.received.length + lapped(cistern)).toBe(MORE_THAN_FITS);
    expect(warnings(cistern)).toEqual([{ client: 'd', lostAtLeast: lostWhileAway }]);
    await leave(cistern, back);
    await durable(cistern, 'd');
    expect(warnings(cistern)).toHaveLength(1);
  });

  test('the alarm tells since when, and is over an hour after the last loss', async () => {
    const cistern = await start();
    await leave(cistern, await durable(cistern, 'd', 't'));
    await publish(cistern, 't', MORE_THAN_FITS);
    await leave(cistern, await durable(cistern, 'd'));
    await cistern.clock.advance(3_500_000);
    expect(alarms(cistern)?.[0]?.sinceSeconds).toBeGreaterThanOrEqual(3_500);
    await cistern.clock.advance(200_000);
    expect(alarms(cistern)).toEqual([]);
  });

  test('loses nothing with what was not for it, had been delivered, or was over', async () => {
    const cistern = await start();
    const had = await durable(cistern, 'd', 't');
    await publish(cistern, 't', 10);
    expect(had.received).toHaveLength(10);
    await leave(cistern, had);
    const publisher = await cistern.connected({ clientId: 'brief' }, 5);
    publisher.publish('t', 'over', {
      qos: 1,
      packetId: 1,
      properties: properties({ messageExpirySeconds: 1 }),
    });
    await cistern.settle(2_000);
    // Somebody wants the other topic, and gets it.
    const other = await durable(cistern, 'e', 'noise');
    await publish(cistern, 'noise', MORE_THAN_FITS);
    expect(other.received).toHaveLength(MORE_THAN_FITS);
    expect(lapped(cistern)).toBe(0);
    expect(alarms(cistern)).toEqual([]);
  });

  test('is told of after a restart too', async () => {
    const mortal = await startMortal();
    await leave(mortal.cistern, await durable(mortal.cistern, 'd', 't'));
    await leave(mortal.cistern, await durable(mortal.cistern, 'm', '$share/g/s'));
    await publish(mortal.cistern, 's', 20);
    await publish(mortal.cistern, 't', MORE_THAN_FITS);
    await mortal.stopAndRestart();
    const back = await durable(mortal.cistern, 'd');
    await durable(mortal.cistern, 'm');
    await mortal.cistern.settle(300);
    // What goes while the broker stops or starts (the ring makes room for its own) is counted too.
    const lost = warnings(mortal.cistern)
      .filter(({ client }) => client === 'd')
      .reduce((sum, { lostAtLeast }) => sum + Number(lostAtLeast), 0);
    expect(back.received.length + lost).toBe(MORE_THAN_FITS);
    const ofOthers = warnings(mortal.cistern).filter(({ client }) => client !== 'd');
    expect(ofOthers).toEqual([{ client: '$share/g/s', lostAtLeast: 20 }]);
  });
});

test('a client that is there and too slow is counted by what it does not get in the end', async () => {
  const cistern = await start();
  const slow = await cistern.connected(
    {
      clientId: 'd',
      properties: properties({ sessionExpirySeconds: 1_000, receiveMaximum: 5 }),
    },
    5,
  );
  slow.subscribe(1, ['t', 1]);
  slow.autoAck = false;
  await cistern.settle();
  await publish(cistern, 't', MORE_THAN_FITS);
  slow.autoAck = true;
  for (const { packetId } of [...slow.received]) slow.ack(4, packetId);
  await cistern.settle(500);
  expect(lapped(cistern)).toBeGreaterThan(50);
  expect(slow.received.length + lapped(cistern)).toBe(MORE_THAN_FITS);
  expect(warnings(cistern).length).toBeGreaterThan(0);
});

test('a group whose members are all away is counted, and named when one is back', async () => {
  const cistern = await start();
  await leave(cistern, await durable(cistern, 'm', '$share/g/t'));
  await publish(cistern, 't', MORE_THAN_FITS);
  const lost = lapped(cistern);
  expect(lost).toBeGreaterThan(100);
  expect(alarms(cistern)).toHaveLength(1);
  const back = await durable(cistern, 'm');
  await cistern.settle(300);
  expect(back.received.length + lapped(cistern)).toBe(MORE_THAN_FITS);
  expect(warnings(cistern)).toEqual([{ client: '$share/g/t', lostAtLeast: lost }]);
});
