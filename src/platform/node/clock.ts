import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { Clock, Timer } from '../clock.ts';

/** The machine's clock. `atTurnEnd` is the check phase, which follows the poll phase that reads sockets. */
export function createNodeClock(): Clock {
  return {
    monotonicMs: () => performance.now(),
    wallMs: () => Date.now(),
    bootId: readBootId(),
    after(delayMs: number, fn: () => void): Timer {
      const timer = setTimeout(fn, delayMs);
      timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
    atTurnEnd(fn: () => void): void {
      setImmediate(fn);
    },
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
