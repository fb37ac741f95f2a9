import { describe, expect, test } from 'vitest';
import { BacklogTally } from '../../../src/broker/backlog-tally.ts';

function cutOf(limits: { messages: number; bytes: number }, count: number, bytesEach = 1) {
  const tally = new BacklogTally(limits);
  for (let sequence = 1; sequence <= count; sequence++) tally.add(sequence * 10, bytesEach);
  return tally.cut();
}

describe('BacklogTally', () => {
  test('lets nothing go within the limits', () => {
    expect(cutOf({ messages: 5, bytes: 5 }, 5)).toEqual({ from: 10, dropped: 0 });
    expect(cutOf({ messages: 5, bytes: 5 }, 0)).toEqual({ from: 0, dropped: 0 });
  });

  test('lets exactly the oldest go beyond a small limit, by messages or by bytes', () => {
    expect(cutOf({ messages: 3, bytes: 1_000 }, 10)).toEqual({ from: 80, dropped: 7 });
    expect(cutOf({ messages: 1_000, bytes: 45 }, 10, 10)).toEqual({ from: 70, dropped: 6 });
  });

  test('keeps one message that is larger than the limit', () => {
    expect(cutOf({ messages: 10, bytes: 5 }, 3, 100)).toEqual({ from: 30, dropped: 2 });
  });

  test('lets at most a thousandth more go beyond a large limit', () => {
    const { from, dropped } = cutOf({ messages: 100_000, bytes: 1e9 }, 250_000);
    expect(dropped).toBeGreaterThanOrEqual(150_000);
    expect(dropped).toBeLessThanOrEqual(150_100);
    expect(from).toBe((dropped + 1) * 10);
  });
});
