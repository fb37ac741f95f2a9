import type { Random } from '../platform/random.ts';

export interface BackoffLimits {
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * Exponential backoff with full jitter: each delay is uniform between 0 and a limit that doubles
 * up to the cap, so that gateways which lost one upstream together do not return together.
 */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: Random;
  #limitMs: number;

  constructor(limits: BackoffLimits, random: Random) {
    this.#limits = limits;
    this.#random = random;
    this.#limitMs = limits.baseMs;
  }

  nextDelayMs(): number {
    const delayMs = this.#random.fraction() * Math.min(this.#limitMs, this.#limits.capMs);
    this.#limitMs = Math.min(this.#limitMs * 2, this.#limits.capMs);
    return delayMs;
  }

  /** To be called when an attempt proved good. */
  reset(): void {
    this.#limitMs = this.#limits.baseMs;
  }
}
