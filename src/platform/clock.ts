/** A pending timer. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/** Time and turns. The only source of both outside `platform/node`, so a simulator can own them. */
export interface Clock {
  /**
   * Milliseconds since an arbitrary start, with a fraction; never goes back. Comparable between
   * processes within one boot, so that times of an earlier process mean something to the next.
   */
  monotonicMs(): number;
  /** Wall clock, whole milliseconds since 1970. May jump either way; a Pi starts without the right one. */
  wallMs(): number;
  /** The kernel's boot id; monotonic times are comparable only within one. */
  readonly bootId: string;
  /** Calls `fn` once after at least `delayMs`. Does not keep the process alive by itself. */
  after(delayMs: number, fn: () => void): Timer;
  /** Calls `fn` once at the end of the current event-loop turn, after the I/O callbacks that are due. */
  atTurnEnd(fn: () => void): void;
}
