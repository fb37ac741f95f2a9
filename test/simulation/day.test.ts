import { describe, expect, test } from 'vitest';
import { Day } from './day.ts';

interface Kept {
  readonly seed: number;
  readonly hours: number;
  /** What it found once, so that it stays mended. */
  readonly found?: string;
}

const KEPT: readonly Kept[] = [
  {
    seed: 1,
    hours: 24,
    found: 'retained values dropped by recycling that began before they were known',
  },
  { seed: 31, hours: 8, found: 'a start with one free slot that let a live segment go' },
  { seed: 2, hours: 5, found: 'an identifier of QoS 2 that was open again without a checkpoint' },
  {
    seed: 57,
    hours: 6,
    found: 'a session that is over, as the clock was set forward by months, taken for a lost one',
  },
];

describe('a simulated day: devices, an upstream with moods, power cuts, a wall clock that jumps', () => {
  test.each(KEPT)(
    'nothing acknowledged is lost, figures add up, order holds; seed $seed, $hours h',
    { timeout: 120_000 },
    async ({ seed, hours }) => {
      const { acknowledged, arrived, cuts } = await Day.run(seed, hours);
      // A day on which nothing happened would prove nothing.
      expect(Math.min(acknowledged, arrived)).toBeGreaterThan(hours * 200);
      expect(cuts).toBeGreaterThan(0);
    },
  );

  test('takes in laps of the ring, repeats of the upstream and starts that are cut', async () => {
    const { lapped, repeated, startsCut, laps } = await Day.run(4, 24);
    expect(Math.min(lapped, repeated, startsCut)).toBeGreaterThan(0);
    expect(laps).toBeGreaterThan(20);
  }, 120_000);
});
