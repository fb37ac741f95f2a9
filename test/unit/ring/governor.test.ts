import { describe, expect, test } from 'vitest';
import { gatheringGovernor, RecentWaiters, WearGovernor } from '../../../src/ring/governor.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimClock } from '../../support/sim-clock.ts';

const small = { bodyBytes: 200, packedShare: 1, sinceLastMs: 1, waiting: 1, active: 1 };

describe('when the open batch is committed', () => {
  test('at once for a lone client, however soon after the last commit', () => {
    expect(gatheringGovernor.delayMs({ ...small, sinceLastMs: 0 })).toBe(0);
  });

  test('at once where nothing was committed in the last 5 ms', () => {
    expect(gatheringGovernor.delayMs({ ...small, active: 1000, sinceLastMs: 5 })).toBe(0);
  });

  test('5 ms after the last one where one of a thousand clients waits', () => {
    expect(gatheringGovernor.delayMs({ ...small, active: 1000 })).toBe(4);
  });

  test('at once where half of them wait: the others may be waiting for something else', () => {
    expect(gatheringGovernor.delayMs({ ...small, active: 1000, waiting: 499 })).toBe(4);
    expect(gatheringGovernor.delayMs({ ...small, active: 1000, waiting: 500 })).toBe(0);
  });

  test('at once where the batch fills a page', () => {
    expect(gatheringGovernor.delayMs({ ...small, active: 1000, bodyBytes: 4000 })).toBe(0);
  });
});

describe('clients that have waited lately', () => {
  test('are counted once each, and forgotten after two seconds of silence', () => {
    const recent = new RecentWaiters();
    const clients = Array.from({ length: 10 }, () => ({}));
    for (const client of [...clients, ...clients]) recent.note(client, 100);
    expect(recent.size).toBe(10);
    recent.note(clients[0] as object, 1_200);
    expect(recent.size).toBe(10);
    recent.note(clients[0] as object, 5_000);
    expect(recent.size).toBe(1);
  });
});

const MIB = 2 ** 20;
const DAY_MS = 86_400_000;
/** A hundred bytes a millisecond: a page comes back in 41 ms, the bucket is 360 MB deep. */
const BUDGET = 100 * DAY_MS;
const BUCKET = 360_000_000;
const PAGE_BACK_MS = 4096 / 100;

function makeGovernor(): {
  governor: WearGovernor;
  clock: SimClock;
  logger: MemoryLogger;
  leave: (tokens: number) => void;
} {
  const clock = new SimClock();
  const logger = new MemoryLogger();
  const governor = new WearGovernor({
    clock,
    logger,
    budgetBytesPerDay: BUDGET,
    maxCommitWindowMs: 500,
  });
  const leave = (tokens: number): void => governor.spent(governor.tokens - tokens);
  return { governor, clock, logger, leave };
}

describe('the budget', () => {
  const lone = { bodyBytes: 200, packedShare: 1, sinceLastMs: 0, waiting: 1, active: 1 };

  test('is not felt while a quarter of the hour is there: a lone client waits for one flush', () => {
    const { governor, leave } = makeGovernor();
    expect(governor.tokens).toBe(BUCKET);
    leave(BUCKET / 4);
    expect(governor.delayMs(lone)).toBe(0);
    expect(governor.delayMs({ ...lone, active: 1000 })).toBe(5);
    expect(governor.gauge().commitWindowMs).toBe(0);
  });

  test.each([
    ['just below a quarter, hardly', 0.249, 0.008],
    ['at 3/16, half of what a page takes to come back', 3 / 16, 0.5],
    ['at an eighth, what it takes', 1 / 8, 1],
    ['when it is empty, twice that', 0, 2],
    ['in debt, more', -1 / 8, 3],
  ])('puts commits apart %s', (_, share, pages) => {
    const { governor, leave } = makeGovernor();
    leave(share * BUCKET);
    expect(governor.delayMs(lone)).toBe(Math.ceil(pages * PAGE_BACK_MS));
    const twoPages = { ...lone, bodyBytes: 5000, active: 3 };
    expect(governor.delayMs(twoPages)).toBe(Math.ceil(2 * pages * PAGE_BACK_MS));
    expect(governor.gauge().commitWindowMs).toBeCloseTo(pages * PAGE_BACK_MS, 6);
  });

  test('counts from the commit before, and never holds back beyond the window', () => {
    const { governor, leave } = makeGovernor();
    leave(BUCKET / 8);
    expect(governor.delayMs({ ...lone, sinceLastMs: 30 })).toBe(Math.ceil(PAGE_BACK_MS - 30));
    expect(governor.delayMs({ ...lone, sinceLastMs: 41 })).toBe(0);
    leave(-BUCKET);
    expect(governor.delayMs(lone)).toBe(410);
    expect(governor.delayMs({ ...lone, bodyBytes: 9000, active: 3 })).toBe(500);
    expect(governor.delayMs({ ...lone, bodyBytes: 9000, active: 3, sinceLastMs: 480 })).toBe(20);
  });

  test('holds nothing back that has little padding, or is large: waiting would save nothing', () => {
    const { governor, leave } = makeGovernor();
    leave(-BUCKET);
    const some = { ...lone, sinceLastMs: 5, active: 3 };
    for (const bodyBytes of [3500, 2 * 3600, 8 * 4096 + 100, 16 * 4096 - 3000, 500_000]) {
      expect(governor.delayMs({ ...some, bodyBytes })).toBe(0);
    }
    expect(governor.delayMs({ ...some, bodyBytes: 3300 })).toBeGreaterThan(0);
    expect(governor.delayMs({ ...some, bodyBytes: 4 * 4096 + 100 })).toBeGreaterThan(0);
  });

  test('lets what packs well fill a page packed', () => {
    const { governor, leave } = makeGovernor();
    leave(-BUCKET);
    const packs = { ...lone, sinceLastMs: 5, active: 3, packedShare: 0.25 };
    expect(governor.delayMs({ ...packs, bodyBytes: 3500 })).toBe(410 - 5);
    expect(governor.delayMs({ ...packs, bodyBytes: 13_500 })).toBe(405);
    expect(governor.delayMs({ ...packs, bodyBytes: 15_000 })).toBe(0);
    expect(governor.delayMs({ ...packs, packedShare: 0.1, bodyBytes: 62_000 })).toBe(0);
  });

  test('does not slow down a client that sends window after window, once pages are half full', () => {
    const { governor, leave } = makeGovernor();
    leave(-BUCKET);
    expect(governor.delayMs({ ...lone, bodyBytes: 2100 })).toBe(0);
    expect(governor.delayMs({ ...lone, bodyBytes: 1900 })).toBeGreaterThan(0);
    expect(governor.delayMs({ ...lone, bodyBytes: 2100, active: 3 })).toBeGreaterThan(0);
  });

  test('comes back with time, up to an hour of it', async () => {
    const { governor, clock, leave } = makeGovernor();
    leave(0);
    await clock.advance(60_000);
    expect(governor.tokens).toBe(6_000_000);
    await clock.advance(2 * 3_600_000);
    expect(governor.tokens).toBe(BUCKET);
  });

  test('is owed what could not be held back, but no more than an hour of it', async () => {
    const { governor, clock, leave } = makeGovernor();
    leave(0);
    governor.spent(100 * MIB);
    expect(governor.tokens).toBe(-100 * MIB);
    governor.spent(100 * BUCKET);
    expect(governor.tokens).toBe(-BUCKET);
    await clock.advance(3_600_000);
    expect(governor.tokens).toBe(0);
  });

  test('exceeded, is an alarm until a sixteenth of an hour is there again', async () => {
    const { governor, clock, logger, leave } = makeGovernor();
    const warnings = (): number => logger.entries.filter(({ level }) => level === 'warn').length;
    leave(1);
    expect(governor.gauge().exceededSinceMs).toBeUndefined();
    leave(0);
    const sinceMs = clock.monotonicMs();
    await clock.advance(3_600_000 / 16 - 1);
    governor.spent(0);
    expect(governor.gauge().exceededSinceMs).toBe(sinceMs);
    expect(warnings()).toBe(1);
    await clock.advance(1);
    expect(governor.gauge().exceededSinceMs).toBeUndefined();
  });

  test('tells what a day like the last 24 hours costs', async () => {
    const { governor, clock } = makeGovernor();
    await clock.advance(30_000);
    governor.spent(1000);
    expect(governor.gauge().bytesPerDay).toBeUndefined();
    await clock.advance(30_000);
    expect(governor.gauge().bytesPerDay).toBe(1000 * 1440);
    await clock.advance(DAY_MS / 2 - 60_000);
    expect(governor.gauge().bytesPerDay).toBe(2000);
    await clock.advance(DAY_MS);
    expect(governor.gauge().bytesPerDay).toBe(0);
  });
});
