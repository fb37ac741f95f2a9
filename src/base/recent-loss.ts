/** A loss is recent for so long after the last of it. */
const RECENT_MS = 3_600_000;

/** What was lost since a quiet hour, so that an alarm can say how much, and since when. */
export class RecentLoss {
  #count = 0;
  #firstMs = 0;
  #lastMs = 0;

  note(count: number, nowMs: number): void {
    if (this.at(nowMs) === undefined) {
      this.#count = 0;
      this.#firstMs = nowMs;
    }
    this.#count += count;
    this.#lastMs = nowMs;
  }

  /** Undefined where nothing was lost within the last hour. Times are monotonic. */
  at(nowMs: number): { readonly count: number; readonly sinceMs: number } | undefined {
    if (this.#count === 0 || nowMs - this.#lastMs > RECENT_MS) return undefined;
    return { count: this.#count, sinceMs: this.#firstMs };
  }
}
