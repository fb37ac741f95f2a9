import type { Clock, Timer } from '../../src/platform/clock.ts';

interface DayTimer extends Timer {
  readonly dueMs: number;
  readonly fn: () => void;
  cancelled: boolean;
}

/** Between two timers so many promises in a row may settle; the ring needs fewer than half of them. */
const TURNS = 12;
const settled = Promise.resolve();

/**
 * Virtual time for millions of timers. Unlike `SimClock` it takes no real turn of the event loop
 * between two of them, so what it drives may await nothing but promises: no real I/O, no streams.
 */
export class DayClock implements Clock {
  readonly bootId = 'day';
  #nowMs = 0;
  readonly #heap: DayTimer[] = [];
  #turnEnd: (() => void)[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return Math.floor(this.#nowMs);
  }

  after(delayMs: number, fn: () => void): Timer {
    const dueMs = this.#nowMs + Math.max(0, delayMs);
    const timer = {
      dueMs,
      fn,
      cancelled: false,
      cancel(): void {
        this.cancelled = true;
      },
    };
    const at = this.#heap.findLastIndex((other) => other.dueMs > dueMs);
    this.#heap.splice(at + 1, 0, timer);
    return timer;
  }

  atTurnEnd(fn: () => void): void {
    this.#turnEnd.push(fn);
  }

  /** Lets time pass until `promise` settles. */
  async runUntil<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const note = (): void => {
      isSettled = true;
    };
    promise.then(note, note);
    while (!isSettled) await this.runFor(1);
    return promise;
  }

  async runFor(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await this.#settle();
    for (;;) {
      const timer = this.#heap.at(-1);
      if (timer === undefined || timer.dueMs > endMs) break;
      this.#heap.pop();
      if (timer.cancelled) continue;
      this.#nowMs = timer.dueMs;
      timer.fn();
      await this.#settle();
    }
    this.#nowMs = endMs;
  }

  async #settle(): Promise<void> {
    do {
      const due = this.#turnEnd;
      this.#turnEnd = [];
      for (const fn of due) fn();
      for (let turn = 0; turn < TURNS; turn++) await settled;
    } while (this.#turnEnd.length > 0);
  }
}
