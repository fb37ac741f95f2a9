import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock, Timer } from '../../src/platform/clock.ts';

interface SimTimer extends Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly fn: () => void;
  cancelled: boolean;
}

/**
 * Virtual time. Nothing happens until someone calls {@link advance} or {@link runUntil}; between two
 * timers one real event-loop turn passes, so that every promise that can settle has settled.
 *
 * Invariants:
 * - Timers fire in the order of (due time, order of creation), whatever the machine's speed.
 * - Everything queued by `atTurnEnd` runs before the next timer does.
 */
export class SimClock implements Clock {
  readonly bootId: string;
  #nowMs: number;
  #wallOffsetMs: number;
  #timers: SimTimer[] = [];
  #timersMade = 0;
  #turnEnd: (() => void)[] = [];

  constructor(options: { bootId?: string; startMs?: number; wallMs?: number } = {}) {
    this.bootId = options.bootId ?? 'sim-boot-1';
    this.#nowMs = options.startMs ?? 1000;
    this.#wallOffsetMs = (options.wallMs ?? Date.UTC(2026, 0, 1)) - this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return Math.floor(this.#nowMs + this.#wallOffsetMs);
  }

  /** Moves the wall clock without moving time, as an NTP step or a user does. */
  stepWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  after(delayMs: number, fn: () => void): Timer {
    const timer: SimTimer = {
      dueMs: this.#nowMs + Math.max(0, delayMs),
      order: this.#timersMade,
      fn,
      cancelled: false,
      cancel: () => {
        timer.cancelled = true;
      },
    };
    this.#timersMade += 1;
    this.#insert(timer);
    return timer;
  }

  atTurnEnd(fn: () => void): void {
    this.#turnEnd.push(fn);
  }

  /** Timers that have neither fired nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.filter((timer) => !timer.cancelled).length;
  }

  /** Lets `ms` pass: every timer due by then fires, those it makes included. */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#nowMs + ms;
    await this.settle();
    let timer = this.#next();
    while (timer !== undefined && timer.dueMs <= targetMs) {
      await this.#fire(timer);
      timer = this.#next();
    }
    this.#nowMs = targetMs;
  }

  /**
   * Lets time pass, as fast as it can, until `promise` settles, and gives its result. Rejects when
   * nothing is scheduled any more (a deadlock) or `limitMs` of virtual time have gone by.
   */
  async runUntil<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    const deadlineMs = this.#nowMs + limitMs;
    let settled = false;
    const watch = promise.then(
      () => {
        settled = true;
      },
      () => {
        settled = true;
      },
    );
    await this.settle();
    while (!settled) {
      const timer = this.#next();
      if (timer === undefined) throw new Error('deadlock: nothing is scheduled on the clock');
      if (timer.dueMs > deadlineMs) throw new Error(`not settled within ${limitMs} virtual ms`);
      await this.#fire(timer);
    }
    await watch;
    return promise;
  }

  /** One or more real turns, until no promise can settle and the turn-end queue is empty. */
  async settle(): Promise<void> {
    await nextTurn();
    while (this.#turnEnd.length > 0) {
      const due = this.#turnEnd;
      this.#turnEnd = [];
      for (const fn of due) fn();
      await nextTurn();
    }
  }

  async #fire(timer: SimTimer): Promise<void> {
    this.#timers.shift();
    this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
    timer.fn();
    await this.settle();
  }

  #next(): SimTimer | undefined {
    while (this.#timers[0]?.cancelled === true) this.#timers.shift();
    return this.#timers[0];
  }

  #insert(timer: SimTimer): void {
    let index = this.#timers.length;
    while (index > 0 && (this.#timers[index - 1] as SimTimer).dueMs > timer.dueMs) index -= 1;
    this.#timers.splice(index, 0, timer);
  }
}
