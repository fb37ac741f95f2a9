const WINDOW_SECONDS = 10;

/** Events a second, smoothed over about {@link WINDOW_SECONDS}. Times are monotonic milliseconds. */
export class RateMeter {
  #perSecond = 0;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  add(count: number, nowMs: number): void {
    this.#perSecond = this.perSecond(nowMs) + count / WINDOW_SECONDS;
    this.#atMs = nowMs;
  }

  perSecond(nowMs: number): number {
    const elapsedSeconds = (nowMs - this.#atMs) / 1000;
    return this.#perSecond * Math.exp(-elapsedSeconds / WINDOW_SECONDS);
  }
}
