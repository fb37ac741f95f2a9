import type { Clock } from '../platform/clock.ts';
import type { EventTimes } from '../ring/event-time.ts';
import type { Publication } from './publication.ts';

/**
 * Whether messages live on [MQTT-3.3.2-5]. The interval counts from when a message came in, by event
 * times, so that a wall clock that jumps ends no message and keeps none.
 */
export class MessageExpiry {
  readonly #clock: Clock;
  readonly #times: EventTimes;

  constructor(clock: Clock, times: EventTimes) {
    this.#clock = clock;
    this.#times = times;
  }

  /** Milliseconds it has left, at least 0; Infinity where it has no expiry. */
  leftMs({ expirySeconds, time, receivedMs }: Publication): number {
    if (expirySeconds < 0) return Infinity;
    // Of a record whose age nobody can tell, the time since it was read would be no better a guess.
    const age =
      time === undefined ? this.#clock.monotonicMs() - receivedMs : (this.#times.ageMs(time) ?? 0);
    return Math.max(0, expirySeconds * 1000 - age);
  }

  isExpired(publication: Publication): boolean {
    return publication.expirySeconds >= 0 && this.leftMs(publication) === 0;
  }
}
