import type { EventTime } from './types.ts';

/** What is known of the clock during one boot. */
export interface BootClock {
  /** Counts the boots this ring has seen, from 1. */
  readonly bootNumber: number;
  /** Wall minus monotonic milliseconds: the right one if `trusted`, else what the machine said first. */
  readonly offsetMs: number;
  readonly trusted: boolean;
  /** How long the power had been on before this boot, since the first one that is known. Milliseconds. */
  readonly poweredMs: number;
}

/** An event time as few bytes of state: boot number, monotonic and wall milliseconds, trusted. */
export type PackedTime = readonly [number, number, number, boolean];

export function packTime({ bootNumber, monotonicMs, wallMs, trusted }: EventTime): PackedTime {
  return [bootNumber, Math.floor(monotonicMs), wallMs, trusted];
}

export function unpackTime([bootNumber, monotonicMs, wallMs, trusted]: PackedTime): EventTime {
  return { bootNumber, monotonicMs, wallMs, trusted };
}

type MonotonicTime = Pick<EventTime, 'bootNumber' | 'monotonicMs'>;

/** A record whose wall time is further ahead than this of what its boot's clock says now was wrong. */
const AHEAD_MS = 1_000;

/**
 * When things happened, in spite of a wall clock that starts in 1970 and jumps. Within a boot the
 * monotonic clock orders everything; a boot whose clock became trusted has one offset that dates all
 * its records. What is left is the boots in which nobody knew the time.
 *
 * Of those it is known that they came in order, and how long each was on for at least. So each has two
 * dates: an estimate, which is what its own clock said, moved no further than needed to lie
 * after the boot before and before the trusted one behind; and the latest that is possible, from which
 * ages count, so that doubt never makes a record older than it is.
 */
export class BootTimes {
  /** By rising boot number. */
  readonly #boots: readonly BootClock[];
  readonly #byNumber = new Map<number, BootClock>();
  /** Wall minus monotonic milliseconds, by boot number. */
  readonly #estimates = new Map<number, number>();
  readonly #latest = new Map<number, number>();

  constructor(boots: readonly BootClock[]) {
    this.#boots = [...boots].sort((a, b) => a.bootNumber - b.bootNumber);
    for (const boot of this.#boots) this.#byNumber.set(boot.bootNumber, boot);
    this.#findLatest();
    this.#findEstimates();
  }

  get boots(): readonly BootClock[] {
    return this.#boots;
  }

  get(bootNumber: number): BootClock | undefined {
    return this.#byNumber.get(bootNumber);
  }

  /** The latest time that a trusted clock is known to have shown before that boot; -Infinity where none. */
  seenBefore(bootNumber: number): number {
    let seenMs = -Infinity;
    for (const boot of this.#boots) {
      if (!boot.trusted || boot.bootNumber >= bootNumber) continue;
      seenMs = Math.max(seenMs, boot.offsetMs + this.#lengthOf(boot));
    }
    return seenMs;
  }

  /** When it happened, if that can be known. Milliseconds since 1970. */
  wallMs(time: EventTime): number | undefined {
    const boot = this.#byNumber.get(time.bootNumber);
    if (boot?.trusted !== true) return time.trusted ? time.wallMs : undefined;
    const corrected = boot.offsetMs + time.monotonicMs;
    // A clock that was set forward since did not make earlier records wrong; one that was set back did.
    return time.trusted && time.wallMs <= corrected + AHEAD_MS ? time.wallMs : corrected;
  }

  /** As {@link wallMs}, or where that is not known a date that keeps the order of boots. */
  estimateMs(time: EventTime): number {
    const known = this.wallMs(time);
    if (known !== undefined) return known;
    const offset = this.#estimates.get(time.bootNumber);
    return offset === undefined ? time.wallMs : offset + time.monotonicMs;
  }

  /**
   * Milliseconds from `time` to `now`, which is of the newest boot. By the wall clock where that is
   * trusted now, else as far as the power was on. At least so much has passed where it cannot be told
   * exactly; undefined where nothing is known. Within a boot no jump of the wall clock has a part in it.
   */
  ageMs(time: EventTime, now: EventTime): number | undefined {
    if (time.bootNumber === now.bootNumber) return Math.max(0, now.monotonicMs - time.monotonicMs);
    const nowMs = this.#wallNow(now);
    if (nowMs === undefined) return this.#poweredAge(time, now);
    const thenMs = this.wallMs(time) ?? this.#latestMs(time);
    return thenMs === undefined ? undefined : Math.max(0, nowMs - thenMs);
  }

  /**
   * The time as it is written into a copy: trusted and final where it is known, so that it outlives
   * what is known of its boot. Never in the future: a clock that was years ahead once must
   * not keep a record for years.
   */
  forCopy(time: EventTime, now: MonotonicTime): EventTime {
    const known = this.wallMs(time);
    if (known === undefined) return time;
    const wallMs = Math.min(known, this.#wallNow(now) ?? known);
    if (time.bootNumber === 0 && time.wallMs === wallMs) return time;
    return { bootNumber: 0, monotonicMs: 0, wallMs, trusted: true };
  }

  #wallNow({ bootNumber, monotonicMs }: MonotonicTime): number | undefined {
    const boot = this.#byNumber.get(bootNumber);
    return boot?.trusted === true ? boot.offsetMs + monotonicMs : undefined;
  }

  #latestMs({ bootNumber, monotonicMs }: EventTime): number | undefined {
    const offset = this.#latest.get(bootNumber);
    return offset === undefined ? undefined : offset + monotonicMs;
  }

  #poweredAge(time: EventTime, now: EventTime): number | undefined {
    const current = this.#byNumber.get(now.bootNumber);
    if (current === undefined) return undefined;
    const boot = this.#byNumber.get(time.bootNumber);
    const then = boot === undefined ? this.#poweredAt(time) : boot.poweredMs + time.monotonicMs;
    if (then === undefined) return undefined;
    return Math.max(0, current.poweredMs + now.monotonicMs - then);
  }

  /** Where a time that is known only by the wall clock lies among the boots. */
  #poweredAt(time: EventTime): number | undefined {
    if (!time.trusted) return undefined;
    const trusted = this.#boots.filter((boot) => boot.trusted);
    const boot = trusted.findLast(({ offsetMs }) => offsetMs <= time.wallMs) ?? trusted[0];
    if (boot === undefined) return undefined;
    const into = Math.max(0, time.wallMs - boot.offsetMs);
    return boot.poweredMs + Math.min(into, this.#lengthOf(boot));
  }

  /** How long the boot lasted at least; Infinity for the newest one. */
  #lengthOf(boot: BootClock): number {
    const next = this.#boots[this.#boots.indexOf(boot) + 1];
    return next === undefined ? Infinity : next.poweredMs - boot.poweredMs;
  }

  /** Backwards: a boot ended before the next one began. */
  #findLatest(): void {
    let next: { readonly startMs: number; readonly poweredMs: number } | undefined;
    for (const { bootNumber, offsetMs, poweredMs, trusted } of this.#boots.toReversed()) {
      if (trusted) next = { startMs: offsetMs, poweredMs };
      else if (next !== undefined) {
        next = { startMs: next.startMs - (next.poweredMs - poweredMs), poweredMs };
      }
      if (next !== undefined) this.#latest.set(bootNumber, next.startMs);
    }
  }

  /** Forwards: a boot began after the one before had ended. */
  #findEstimates(): void {
    let endMs = -Infinity;
    for (const boot of this.#boots) {
      const { bootNumber, offsetMs, trusted } = boot;
      const latest = this.#latest.get(bootNumber) ?? Infinity;
      const startMs = trusted ? offsetMs : Math.min(Math.max(offsetMs, endMs), latest);
      this.#estimates.set(bootNumber, startMs);
      endMs = startMs + this.#lengthOf(boot);
    }
  }
}

/** Where events are in time, as of now: what those ask who read records and let things expire. */
export interface EventTimes {
  /** True once the wall clock can be believed. Until then no age is known but powered time. */
  readonly isTrusted: boolean;
  /** This moment, to be kept and asked about later. */
  now(): EventTime;
  /**
   * Milliseconds since `time`; undefined where nothing is known. Only powered time counts before the
   * clock is trusted. Whoever asks about many at once hands in `now()`.
   */
  ageMs(time: EventTime, now?: EventTime): number | undefined;
  /** When it happened, milliseconds since 1970; undefined where that is not known (yet). */
  wallMs(time: EventTime): number | undefined;
  /** As `wallMs`, or a date that at least keeps the order. */
  estimateMs(time: EventTime): number;
}
