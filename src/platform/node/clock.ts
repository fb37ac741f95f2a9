import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { Clock, Timer } from '../clock.ts';

/** The machine's clock. `atTurnEnd` is the check phase, which follows the poll phase that reads sockets. */
export function createNodeClock(): Clock {
  const turnEnd = new TurnEnd();
  // CLOCK_MONOTONIC counts from the boot, `performance.now()` from the start of the process; to ask
  // for the second is the cheaper.
  const startedMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return {
    monotonicMs: () => startedMs + performance.now(),
    wallMs: () => Date.now(),
    bootId: readBootId(),
    after(delayMs: number, fn: () => void): Timer {
      const timer = setTimeout(fn, delayMs);
      timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
    atTurnEnd(fn: () => void): void {
      turnEnd.add(fn);
    },
  };
}

/** One immediate a turn for all who wait for its end: at one message a turn each costs as much as a message. */
class TurnEnd {
  #waiting: (() => void)[] = [];
  #running: (() => void)[] = [];

  add(fn: () => void): void {
    if (this.#waiting.length === 0) setImmediate(this.#run);
    this.#waiting.push(fn);
  }

  readonly #run = (): void => {
    const due = this.#waiting;
    this.#waiting = this.#running;
    this.#running = due;
    for (const fn of due) fn();
    due.length = 0;
  };
}

/** Differs after each boot; on a system without the kernel's file each process counts as a boot. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return `process-${process.pid}-${performance.timeOrigin}`;
  }
}
