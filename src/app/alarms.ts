import type { AlarmStatus } from '../admin/status.ts';
import type { Clock } from '../platform/clock.ts';

/** A condition found now. */
export interface Condition {
  readonly code: string;
  readonly message: string;
  /** Monotonic time at which it began, where that is known; else it is as old as its message. */
  readonly sinceMs?: number;
}

/** Remembers since when each condition has been there. */
export class Alarms {
  readonly #clock: Clock;
  readonly #since = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The conditions that hold now, with their age. One that is not named any more is over. */
  update(conditions: readonly Condition[]): AlarmStatus[] {
    const now = this.#clock.monotonicMs();
    const codes = new Set(conditions.map(({ code, message }) => `${code} ${message}`));
    for (const known of this.#since.keys()) if (!codes.has(known)) this.#since.delete(known);
    return conditions.map(({ code, message, sinceMs }) => {
      const key = `${code} ${message}`;
      const since = sinceMs ?? this.#since.get(key) ?? now;
      this.#since.set(key, since);
      return { code, message, sinceSeconds: Math.round((now - since) / 1000) };
    });
  }
}
