const HOUR_MS = 3_600_000;
const HOURS = 24;
/** Before that a rate says more of how the process started than of its load. */
const LEAST_MS = 60_000;

/** Bytes written in the last 24 hours, by the hour, so that memory is bounded. Times are monotonic. */
export class LastDay {
  readonly #hours = new Float64Array(HOURS);
  readonly #startedMs: number;
  #hour = 0;

  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  add(byteCount: number, nowMs: number): void {
    this.#turnTo(nowMs);
    const index = this.#hour % HOURS;
    this.#hours[index] = (this.#hours[index] ?? 0) + byteCount;
  }

  /** What a day like the last one costs, or what there was of it; undefined in the first minute. */
  bytesPerDay(nowMs: number): number | undefined {
    this.#turnTo(nowMs);
    const ranMs = nowMs - this.#startedMs;
    if (ranMs < LEAST_MS) return undefined;
    const coveredMs = Math.min(ranMs, (HOURS - 1) * HOUR_MS + (ranMs % HOUR_MS));
    const sum = this.#hours.reduce((total, bytes) => total + bytes, 0);
    return (sum / coveredMs) * HOURS * HOUR_MS;
  }

  #turnTo(nowMs: number): void {
    const hour = Math.floor((nowMs - this.#startedMs) / HOUR_MS);
    const from = Math.max(this.#hour + 1, hour - HOURS + 1);
    for (let passed = from; passed <= hour; passed++) this.#hours[passed % HOURS] = 0;
    this.#hour = Math.max(this.#hour, hour);
  }
}
