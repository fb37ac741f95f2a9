import { expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { SimRandom } from '../../support/sim-random.ts';

const STREAM = '[[stream]]\nname = "telemetry"\ntopics = ["t/#"]\n';

async function start(): Promise<SimCistern> {
  const clock = new SimClock();
  const volume = new SimDisk({ clock });
  const cistern = new SimCistern({ volume, checkpoints: new MemoryCheckpoint(), clock });
  await cistern.start(STREAM);
  return cistern;
}

/** About three laps of the ring. */
async function turn(cistern: SimCistern): Promise<void> {
  const publisher = await cistern.connected({ clientId: 'telemetry' });
  const random = new SimRandom(7);
  for (let n = 1; n <= 400; n++) {
    publisher.publish('t/1', random.bytes(8_000), { qos: 1, packetId: n });
    if (n % 10 === 0) await cistern.settle();
  }
  await cistern.settle();
  publisher.disconnect();
}

test('what only an absent session waits for outlives the stream that turns the ring, in order', async () => {
  const cistern = await start();
  const away = await cistern.connected({ clientId: 'away', cleanStart: false });
  away.subscribe(1, ['cmd/#', 1]);
  await cistern.settle();
  away.disconnect();
  const operator = await cistern.connected({ clientId: 'operator' });
  for (let n = 1; n <= 30; n++) {
    operator.publish('cmd/open', `early ${n}`, { qos: 1, packetId: n });
    operator.publish('other/1', 'wanted by nobody', { qos: 1, packetId: 1_000 + n });
  }
  await turn(cistern);
  for (let n = 1; n <= 30; n++) operator.publish('cmd/open', `late ${n}`, { qos: 1, packetId: n });
  await turn(cistern);
  const back = await cistern.connected({ clientId: 'away', cleanStart: false });
  await cistern.settle(500);
  const numbers = Array.from({ length: 30 }, (_, n) => n + 1);
  expect(back.received.map(({ payload }) => payload)).toEqual([
    ...numbers.map((n) => `early ${n}`),
    ...numbers.map((n) => `late ${n}`),
  ]);
  expect(cistern.running?.status().messages.dropped).toEqual({});
  const carried = cistern.running?.status().wear.carriedBytes ?? 0;
  expect(carried).toBeGreaterThan(0);
  await turn(cistern);
  const later = cistern.running?.status().wear.carriedBytes ?? 0;
  expect(later - carried).toBeLessThan(3_000);
  await cistern.stop();
});

test('takes no more of the ring than its share: then the oldest goes, counted', async () => {
  const cistern = await start();
  const away = await cistern.connected({ clientId: 'away', cleanStart: false });
  away.subscribe(1, ['cmd/#', 1]);
  await cistern.settle();
  away.disconnect();
  const operator = await cistern.connected({ clientId: 'operator' });
  const random = new SimRandom(9);
  for (let n = 1; n <= 300; n++) {
    operator.publish('cmd/open', random.bytes(1_000), { qos: 1, packetId: n });
    if (n % 20 === 0) await cistern.settle();
  }
  await turn(cistern);
  await turn(cistern);
  const back = await cistern.connected({ clientId: 'away', cleanStart: false });
  await cistern.settle(500);
  const { lapped = 0 } = cistern.running?.status().messages.dropped ?? {};
  expect(back.received.length).toBeGreaterThan(100);
  expect(back.received.length).toBeLessThan(135);
  expect(back.received.length + lapped).toBe(300);
  await cistern.stop();
});
