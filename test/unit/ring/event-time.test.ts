import { describe, expect, it } from 'vitest';
import { type BootClock, BootTimes } from '../../../src/ring/event-time.ts';
import type { EventTime } from '../../../src/ring/types.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const noon = Date.UTC(2026, 10, 1, 12);

const trustedBoot = (bootNumber: number, startMs: number, poweredMs: number): BootClock => ({
  bootNumber,
  offsetMs: startMs,
  trusted: true,
  poweredMs,
});
const doubtedBoot = (bootNumber: number, startMs: number, poweredMs: number): BootClock => ({
  ...trustedBoot(bootNumber, startMs, poweredMs),
  trusted: false,
});
const at = (
  bootNumber: number,
  monotonicMs: number,
  wallMs: number,
  trusted = false,
): EventTime => ({ bootNumber, monotonicMs, wallMs, trusted });

describe('when it happened', () => {
  it('is corrected for records from before the clock of their boot was right', () => {
    const times = new BootTimes([trustedBoot(1, noon, 0)]);
    expect(times.wallMs(at(1, 5_000, 15_000))).toBe(noon + 5_000);
    expect(times.estimateMs(at(1, 5_000, 15_000))).toBe(noon + 5_000);
  });

  it('is not known while no clock was right, but keeps its order', () => {
    const times = new BootTimes([doubtedBoot(1, 0, 0), doubtedBoot(2, 0, HOUR)]);
    const first = at(1, HOUR - 1, HOUR - 1);
    const second = at(2, 10, 10);
    expect(times.wallMs(first)).toBeUndefined();
    expect(times.estimateMs(first)).toBeLessThan(times.estimateMs(second));
  });

  it('lies between the boots that are dated, where its own clock says nothing', () => {
    const times = new BootTimes([
      trustedBoot(1, noon, 0),
      doubtedBoot(2, 0, HOUR),
      doubtedBoot(3, 0, 2 * HOUR),
      trustedBoot(4, noon + DAY, 3 * HOUR),
    ]);
    expect(times.estimateMs(at(2, 7, 7))).toBe(noon + HOUR + 7);
    expect(times.estimateMs(at(3, 7, 7))).toBe(noon + 2 * HOUR + 7);
  });

  it('is what a saved clock said, where that is possible, and no later than is possible', () => {
    const boots = (startMs: number) =>
      new BootTimes([
        trustedBoot(1, noon, 0),
        doubtedBoot(2, startMs, HOUR),
        trustedBoot(3, noon + DAY, 3 * HOUR),
      ]);
    expect(boots(noon + 9 * HOUR).estimateMs(at(2, 7, 7))).toBe(noon + 9 * HOUR + 7);
    expect(boots(noon + 99 * DAY).estimateMs(at(2, 7, 7))).toBe(noon + 22 * HOUR + 7);
  });

  it('stays as it was written when a right clock is set forward, not when it is set back', () => {
    const sleptSince = new BootTimes([trustedBoot(1, noon + 8 * HOUR, 0)]);
    expect(sleptSince.wallMs(at(1, 5, noon + 5, true))).toBe(noon + 5);
    const yearsAhead = new BootTimes([trustedBoot(1, noon, 0)]);
    expect(yearsAhead.wallMs(at(1, 5, noon + 5_000 * DAY, true))).toBe(noon + 5);
  });
});

describe('an age', () => {
  const away = [trustedBoot(1, noon, 0), doubtedBoot(2, 0, HOUR)];
  const then = at(1, HOUR / 2, noon + HOUR / 2, true);

  it('counts powered time until the clock is trusted, and all time from then on', () => {
    const now = at(2, 60_000, 60_000);
    expect(new BootTimes(away).ageMs(then, now)).toBe(HOUR / 2 + 60_000);
    const told = new BootTimes([trustedBoot(1, noon, 0), trustedBoot(2, noon + 3 * DAY, HOUR)]);
    expect(told.ageMs(then, now)).toBe(3 * DAY - HOUR / 2 + 60_000);
  });

  it('is the same for a record of which only the date is known', () => {
    const now = at(2, 60_000, 60_000);
    const copy = { bootNumber: 0, monotonicMs: 0, wallMs: noon + HOUR / 2, trusted: true };
    expect(new BootTimes(away).ageMs(copy, now)).toBe(HOUR / 2 + 60_000);
  });

  it('counts no time without power before a date that lies in it', () => {
    const now = at(2, 60_000, 60_000);
    const between = { bootNumber: 0, monotonicMs: 0, wallMs: noon + 9 * HOUR, trusted: true };
    expect(new BootTimes(away).ageMs(between, now)).toBe(60_000);
  });

  it('does not change within a boot, whatever the wall clock does', () => {
    const now = at(1, 70_000, 0);
    const jumped = new BootTimes([trustedBoot(1, noon + 9 * DAY, 0)]);
    expect(jumped.ageMs(at(1, 10_000, noon, true), now)).toBe(60_000);
    expect(new BootTimes([]).ageMs(at(1, 10_000, 0), now)).toBe(60_000);
  });

  it('is no more than can be proved, of a boot that nobody can date', () => {
    const times = new BootTimes([
      trustedBoot(1, noon, 0),
      doubtedBoot(2, 0, HOUR),
      trustedBoot(3, noon + 9 * DAY, 2 * HOUR),
    ]);
    expect(times.ageMs(at(2, HOUR / 4, 0), at(3, 1_000, 0))).toBe((HOUR * 3) / 4 + 1_000);
  });

  it('is not known where nothing is', () => {
    expect(new BootTimes(away).ageMs(at(7, 5, 5), at(2, 60_000, 60_000))).toBeUndefined();
    const told = new BootTimes([trustedBoot(2, noon, 0)]);
    expect(told.ageMs(at(1, 5, 5), at(2, 60_000, 60_000))).toBeUndefined();
  });
});

describe('the time in a copy', () => {
  const now = at(2, 1_000, 0);

  it('is final once it is known, and never in the future', () => {
    const times = new BootTimes([trustedBoot(1, noon, 0), trustedBoot(2, noon + DAY, HOUR)]);
    const copy = times.forCopy(at(1, 5_000, 5_000), now);
    expect(copy).toEqual({ bootNumber: 0, monotonicMs: 0, wallMs: noon + 5_000, trusted: true });
    const future = { bootNumber: 0, monotonicMs: 0, wallMs: noon + 5_000 * DAY, trusted: true };
    expect(times.forCopy(future, now).wallMs).toBe(noon + DAY + 1_000);
  });

  it('stays open until it is known', () => {
    const times = new BootTimes([doubtedBoot(1, 0, 0), doubtedBoot(2, 0, HOUR)]);
    expect(times.forCopy(at(1, 5_000, 5_000), now)).toEqual(at(1, 5_000, 5_000));
  });
});
