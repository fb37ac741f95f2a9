import { expect, test } from 'vitest';
import { SimBoard } from '../../support/sim-board.ts';

const now = Date.UTC(2026, 10, 20, 8);

test('what a ring holds is dated offline, also from before the time was known', async () => {
  const board = new SimBoard();
  await board.start();
  const publisher = await board.cistern.connected({ clientId: 'publisher' });
  const publish = async (payload: string): Promise<void> => {
    publisher.publish('t', payload, { qos: 1, packetId: 1 });
    await board.cistern.settle();
  };
  await publish('before');
  await board.cistern.settle(60_000);
  board.tellTime(now);
  await board.cistern.settle(2_000);
  await publish('after');
  await board.stop();

  const { records, times } = await board.inspect();
  const dates = new Map<string, number | undefined>();
  for (const { topic, payload, time } of records) {
    if (topic === 't') dates.set(Buffer.from(payload).toString(), times.wallMs(time));
  }
  expect(dates.get('before')).toBeGreaterThan(now - 61_000);
  expect(dates.get('before')).toBeLessThan(now - 59_000);
  expect(dates.get('after')).toBeGreaterThan(now);
  expect(dates.get('after')).toBeLessThan(now + 3_000);
});
