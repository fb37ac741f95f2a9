import { describe, expect, test } from 'vitest';
import { gatheringGovernor, RecentWaiters } from '../../../src/ring/governor.ts';

const small = { bodyBytes: 200, sinceLastMs: 1, waiting: 1, active: 1 };

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
