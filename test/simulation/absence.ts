/** A broker does not believe a clock that is earlier than the program; `SimCistern` says this one. */
const EARLIEST_MS = Date.UTC(2025, 0, 1);
/**
 * The broker may have saved neither that somebody came less than a minute ago, nor that the clock was
 * set, when the power goes.
 */
const UNSAVED_MS = 60_000;

interface Moment {
  /** Of the day, which no clock of the gateway shows. */
  readonly atMs: number;
  /** The boot. */
  readonly life: number;
}

interface Setting {
  readonly atMs: number;
  /** The wall clock minus the time of the day, until the next setting. */
  readonly aheadMs: number;
}

/**
 * How long somebody has been away, as a broker may believe that has only the gateway's clock. Within a
 * boot it knows. Over boots, all that the clock was set forward may be time that has passed.
 */
export class Absence {
  readonly #settings: Setting[] = [];
  #cameAtMs: number | undefined;
  #since: Moment = { atMs: 0, life: 0 };

  /** The wall clock was set, or a boot began with it. */
  noteClock(atMs: number, wallMs: number): void {
    if (wallMs >= EARLIEST_MS) this.#settings.push({ atMs, aheadMs: wallMs - atMs });
  }

  /** To be called often: whether somebody is there. */
  look(now: Moment, isThere: boolean): void {
    if (!isThere) {
      this.#cameAtMs = undefined;
      return;
    }
    this.#cameAtMs ??= now.atMs;
    if (now.atMs - this.#cameAtMs >= UNSAVED_MS) this.#since = now;
  }

  /** The longest that the absence may be taken for. */
  longestMs(now: Moment): number {
    const { atMs, life } = this.#since;
    return now.atMs - atMs + (now.life === life ? 0 : this.#setForwardSince(atMs - UNSAVED_MS));
  }

  /** Between any two moments since then. */
  #setForwardSince(sinceMs: number): number {
    const first = this.#settings.findLastIndex(({ atMs }) => atMs <= sinceMs);
    let lowestMs = Infinity;
    let mostMs = 0;
    for (const { aheadMs } of this.#settings.slice(Math.max(0, first))) {
      lowestMs = Math.min(lowestMs, aheadMs);
      mostMs = Math.max(mostMs, aheadMs - lowestMs);
    }
    return mostMs;
  }
}
