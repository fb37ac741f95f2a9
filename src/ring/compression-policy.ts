import type { Clock } from '../platform/clock.ts';
import type { Compressor } from '../platform/compression.ts';
import { PAGE_BYTES } from './format.ts';

/** After so many fruitless tries in a row, one batch of this many is tried. */
const MAX_SKIPPED = 64;
/** The share of the event loop's time that compression may take. */
const TIME_SHARE = 0.05;
/** Time saved up while little was written, so that a burst is compressed whole. */
const MAX_SAVED_MS = 50;

/**
 * Which batches are worth a try. One of a page or less has nothing to save; random payloads save
 * nothing, so after each fruitless try more batches are let through; and where messages come faster
 * than a core can compress them, only so many are compressed as fit in a twentieth of the time. That
 * is far beyond a gateway's day (tens of thousands of messages a second on the development machine),
 * and there pages are full anyway; without it QoS 1 ingest of compressible payloads reached 0.6 of
 * its rate.
 */
export class CompressionPolicy {
  readonly #compressor: Compressor;
  readonly #clock: Clock;
  #toSkip = 0;
  #fruitless = 0;
  #savedMs = MAX_SAVED_MS;
  #countedMs: number;

  constructor(compressor: Compressor, clock: Clock) {
    this.#compressor = compressor;
    this.#clock = clock;
    this.#countedMs = clock.monotonicMs();
  }

  /** The compressed body where it takes fewer pages than the body itself; undefined otherwise. */
  compress(body: Uint8Array): Uint8Array | undefined {
    if (body.length <= PAGE_BYTES) return undefined;
    if (this.#toSkip > 0) {
      this.#toSkip--;
      return undefined;
    }
    const startMs = this.#clock.monotonicMs();
    const earnedMs = (startMs - this.#countedMs) * TIME_SHARE;
    this.#savedMs = Math.min(MAX_SAVED_MS, this.#savedMs + earnedMs);
    this.#countedMs = startMs;
    if (this.#savedMs <= 0) return undefined;
    const packed = this.#compressor.compress(body);
    this.#savedMs -= this.#clock.monotonicMs() - startMs;
    if (pagesOf(packed) < pagesOf(body)) {
      this.#fruitless = 0;
      return packed;
    }
    this.#toSkip = Math.min(2 ** this.#fruitless, MAX_SKIPPED);
    this.#fruitless++;
    return undefined;
  }
}

function pagesOf({ length }: Uint8Array): number {
  return Math.ceil(length / PAGE_BYTES);
}
