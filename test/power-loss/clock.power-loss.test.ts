import { describe, expect, test } from 'vitest';
import { properties } from '../unit/broker/sim-broker.ts';
import { SimBoard } from '../support/sim-board.ts';
import { CUT_MODES, type CutMode } from '../support/sim-disk-image.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const now = Date.UTC(2026, 10, 20, 8);
const hour = properties({ sessionExpirySeconds: 3600 });

/** A session and messages that live for an hour, some from before the time is known and some from after. */
async function live(board: SimBoard, until: () => boolean): Promise<void> {
  const { cistern } = board;
  const publisher = await cistern.connected({ clientId: 'publisher', cleanStart: true }, 5);
  const publish = async (payload: string): Promise<void> => {
    publisher.publish(`t/${payload}`, payload, {
      qos: 1,
      packetId: 1,
      retain: true,
      properties: { messageExpirySeconds: 3600 },
    });
    for (let i = 0; i < 5 && !until(); i += 1) await cistern.settle(4);
  };
  await publish('before');
  board.tellTime(now);
  for (let i = 0; i < 6 && !until(); i += 1) await cistern.settle(250);
  await publish('after');
  await publish('later');
}

async function prepared(): Promise<SimBoard> {
  const board = new SimBoard();
  await board.start();
  const away = await board.cistern.connected(
    { clientId: 'away', cleanStart: false, properties: hour },
    5,
  );
  away.subscribe(1, ['t/#', 1]);
  await board.cistern.settle();
  away.drop();
  await board.cistern.settle();
  return board;
}

async function retained({ cistern }: SimBoard): Promise<string[]> {
  const reader = await cistern.connected({ clientId: 'reader', cleanStart: true }, 5);
  reader.subscribe(1, ['t/#', 1]);
  await cistern.settle();
  reader.disconnect();
  await cistern.settle();
  return reader.received.map(({ payload }) => payload);
}

async function verify(board: SimBoard): Promise<void> {
  const { cistern } = board;
  const sessions = () => cistern.running?.status().clients.sessions;
  await cistern.settle(2_000);
  const found = await retained(board);
  expect(sessions(), 'nothing is over while nobody knows the time').toBe(1);
  await dated(board);

  board.tellTime(now + 30 * MINUTE);
  await cistern.settle(3_000);
  expect(sessions(), 'nor within the hour').toBe(1);
  expect(await retained(board)).toEqual(found);
  await dated(board);
  await cistern.settle(35 * MINUTE);
  // Where the boot before was not told the time, it is not known how long it has been.
  await cistern.settle(30 * MINUTE);
  expect(sessions(), 'all is over after the hour').toBe(0);
  expect(await retained(board)).toEqual([]);
}

/** No batch is marked as trusted without the record of what is trusted, and the order is kept. */
async function dated(board: SimBoard): Promise<void> {
  const { records, times } = await board.inspect();
  records.sort((a, b) => a.sequence - b.sequence);
  let lastMs = -Infinity;
  for (const { time, topic } of records) {
    if (time.trusted && time.bootNumber !== 0) {
      expect(times.get(time.bootNumber)?.trusted, 'a trusted batch has its record').toBe(true);
    }
    if (!topic.startsWith('t/')) continue;
    const atMs = times.estimateMs(time);
    expect(atMs, `${topic} keeps its place`).toBeGreaterThanOrEqual(lastMs - 1_000);
    expect(atMs).toBeLessThan(now + DAY);
    lastMs = atMs;
  }
}

async function countOperations(): Promise<{ first: number; last: number }> {
  const board = await prepared();
  const first = board.disk.operations + 1;
  await live(board, () => false);
  await board.cistern.settle(100);
  const last = board.disk.operations;
  await board.stop();
  return { first, last };
}

describe('power cuts while the time becomes known', () => {
  test.each(CUT_MODES)('mode %s', async (mode: CutMode) => {
    const { first, last } = await countOperations();
    expect(last - first).toBeGreaterThanOrEqual(3);
    for (let operation = first; operation <= last; operation += 1) {
      const board = await prepared();
      board.disk.crashAt(operation, operation, mode);
      await live(board, () => board.disk.isCut);
      await board.powerCycle();
      await verify(board);
      await board.stop();
    }
  });
});
