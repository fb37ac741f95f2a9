import type { Clock } from '../../src/platform/clock.ts';
import type { EventTimes } from '../../src/ring/event-time.ts';

/** Event times where the wall clock is always right. */
export function plainTimes(clock: Clock): EventTimes {
  return {
    isTrusted: true,
    now: () => ({
      bootNumber: 1,
      monotonicMs: clock.monotonicMs(),
      wallMs: clock.wallMs(),
      trusted: true,
    }),
    ageMs: (time) => Math.max(0, clock.wallMs() - time.wallMs),
    wallMs: (time) => time.wallMs,
    estimateMs: (time) => time.wallMs,
  };
}
