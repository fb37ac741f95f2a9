import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type BootClock, BootTimes } from '../../src/ring/event-time.ts';
import type { EventTime } from '../../src/ring/types.ts';

const DAY = 86_400_000;
const birth = Date.UTC(2026, 10, 1);

/** A boot as it truly was: how long the power was off before, how long on, and what its clock showed. */
const boot = fc.record({
  offMs: fc.nat({ max: 30 * DAY }),
  onMs: fc.integer({ min: 1, max: 3 * DAY }),
  told: fc.boolean(),
  /** Without being told: 1970, a time saved earlier, or nonsense. */
  shows: fc.oneof(
    fc.constant(0),
    fc.integer({ min: birth - DAY, max: birth + 400 * DAY }),
    fc.integer({ min: 0, max: birth + 9_000 * DAY }),
  ),
  /** When records came in, as parts of `onMs`. */
  records: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
});

interface Truth {
  readonly trueMs: number;
  readonly poweredMs: number;
  readonly time: EventTime;
}

/** What a machine with this history has written down, and what was the case. */
function live(history: readonly (typeof boot extends fc.Arbitrary<infer T> ? T : never)[]) {
  const boots: BootClock[] = [];
  const events: Truth[] = [];
  let trueMs = birth;
  let poweredMs = 0;
  for (const [index, { offMs, onMs, told, shows, records }] of history.entries()) {
    const bootNumber = index + 1;
    trueMs += offMs;
    boots.push({ bootNumber, offsetMs: told ? trueMs : shows, trusted: told, poweredMs });
    for (const part of [...records].sort((a, b) => a - b)) {
      const monotonicMs = Math.floor(part * onMs);
      const time = { bootNumber, monotonicMs, wallMs: shows + monotonicMs, trusted: false };
      events.push({ trueMs: trueMs + monotonicMs, poweredMs: poweredMs + monotonicMs, time });
    }
    trueMs += onMs;
    poweredMs += onMs;
  }
  const last = history.at(-1);
  const now: EventTime = {
    bootNumber: history.length,
    monotonicMs: last?.onMs ?? 0,
    wallMs: 0,
    trusted: last?.told ?? false,
  };
  return { times: new BootTimes(boots), events, now, trueMs, poweredMs };
}

test('whatever the clocks showed, nothing is older than it is, nor younger than powered time', () => {
  fc.assert(
    fc.property(fc.array(boot, { minLength: 1, maxLength: 8 }), (history) => {
      const { times, events, now, trueMs, poweredMs } = live(history);
      for (const event of events) {
        const age = times.ageMs(event.time, now);
        expect(age).toBeLessThanOrEqual(trueMs - event.trueMs);
        expect(age).toBeGreaterThanOrEqual(poweredMs - event.poweredMs);
        const copy = times.forCopy(event.time, now);
        if (times.wallMs(event.time) === undefined) expect(copy).toEqual(event.time);
        else expect(copy.wallMs).toBe(event.trueMs);
      }
    }),
  );
});

test('estimates keep the order, and dates that are known are right', () => {
  fc.assert(
    fc.property(fc.array(boot, { minLength: 1, maxLength: 8 }), (history) => {
      const { times, events } = live(history);
      let beforeMs = -Infinity;
      for (const { time, trueMs } of events) {
        const known = times.wallMs(time);
        if (known !== undefined) expect(known).toBe(trueMs);
        const estimateMs = times.estimateMs(time);
        expect(estimateMs).toBeGreaterThanOrEqual(beforeMs);
        beforeMs = estimateMs;
      }
    }),
  );
});

test('a copy with nothing but its date ages like the record it was made of', () => {
  fc.assert(
    fc.property(fc.array(boot, { minLength: 2, maxLength: 8 }), (history) => {
      const { times, events, now, trueMs, poweredMs } = live(history);
      for (const { time, trueMs: thenMs, poweredMs: thenPoweredMs } of events) {
        const copy = times.forCopy(time, now);
        if (copy.bootNumber !== 0) continue;
        const age = times.ageMs(copy, now);
        expect(age).toBeLessThanOrEqual(trueMs - thenMs);
        expect(age).toBeGreaterThanOrEqual(poweredMs - thenPoweredMs);
      }
    }),
  );
});
