import { RecentLoss } from '../base/recent-loss.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { PartitionCursor } from './partition-cursor.ts';

/** Records that an uplink lost to rotation since a quiet hour. */
export interface UplinkLapse {
  readonly name: string;
  readonly records: number;
  /** Monotonic time at which the first of them was missed. */
  readonly sinceMs: number;
}

/** An uplink that is down reads nothing, so it is not by reading that it learns what it loses. */
const LOOK_EVERY_MS = 10_000;

/** Says in the log, while it happens, that rotation takes records before an uplink has read them. */
export class LapWatch {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #cursors: () => readonly PartitionCursor[];
  readonly #lappedOf: (cursor: PartitionCursor) => number;
  readonly #recent = new RecentLoss();
  readonly #known = new Map<PartitionCursor, number>();
  #timer: Timer | undefined;

  constructor(options: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly cursors: () => readonly PartitionCursor[];
    /** Records of a partition lost since the start. */
    readonly lappedOf: (cursor: PartitionCursor) => number;
  }) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#cursors = options.cursors;
    this.#lappedOf = options.lappedOf;
  }

  /** Looks now, and then every few seconds: a warning each time that more are gone. */
  start(): void {
    this.look();
    this.#timer = this.#clock.after(LOOK_EVERY_MS, () => this.start());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  look(): void {
    for (const cursor of this.#cursors()) {
      const lappedInAll = this.#lappedOf(cursor);
      const lapped = lappedInAll - (this.#known.get(cursor) ?? 0);
      // It falls where the destination turns out to have what the ring has not.
      if (lapped !== 0) this.#known.set(cursor, lappedInAll);
      if (lapped <= 0) continue;
      this.#recent.note(lapped, this.#clock.monotonicMs());
      const { stream, index: partition } = cursor.partition;
      this.#logger.warn('uplink.lapped', { stream, partition, lapped, lappedInAll });
    }
  }

  /** Undefined where nothing was lost within the last hour. */
  recent(): ReturnType<RecentLoss['at']> {
    this.look();
    return this.#recent.at(this.#clock.monotonicMs());
  }
}
