import type { Clock } from '../platform/clock.ts';
import type { Compressor } from '../platform/compression.ts';
import { PAGE_BYTES } from './format.ts';

/** After so many fruitless tries in a row, one batch of this many is tried. */
const MAX_SKIPPED = 64;
/** The share of the event loop's time that compression may take. */
const TIME_SHARE = 0.05;
/** Time saved up while little was written, so that a burst is compressed whole. */
const MAX_SAVED_MS = 50;
/** Kept for quick tries, which save more in less time. */
const SAVED_FOR_QUICK_MS = 25;
/** A thorough try seldom makes telemetry smaller by more than this share of the quick one. */
const THOROUGH_GAIN = 1 / 6;
/** A thorough try of more takes milliseconds, and saves a small share of that many pages. */
const MAX_THOROUGH_BYTES = 64 * 1024;
/** What is hoped for before anything was tried. */
const HOPED_SHARE = 0.5;

/**
 * Which batches are worth a try. One that fits a page has nothing to save; random payloads save
 * nothing, so after each fruitless try more batches are let through; and where messages come faster
 * than a core can compress them, only so many are compressed as fit in a twentieth of the time. That
 * is far beyond a gateway's day (tens of thousands of messages a second on the development machine),
 * and there pages are full anyway; without it QoS 1 ingest of compressible payloads reached 0.6 of
 * its rate.
 *
 * Only pages count. So a batch is compressed quickly first, and thoroughly only where the quick
 * result reaches a little into its last page: on telemetry that takes most of the pages that
 * compressing all batches thoroughly would, at a third of the time.
 */
export class CompressionPolicy {
  readonly #compressor: Compressor;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #quick = new Tries();
  readonly #thorough = new Tries();
  #packedShare = HOPED_SHARE;
  #savedMs = MAX_SAVED_MS;
  #countedMs: number;

  constructor(compressor: Compressor, clock: Pick<Clock, 'monotonicMs'>) {
    this.#compressor = compressor;
    this.#clock = clock;
    this.#countedMs = clock.monotonicMs();
  }

  /** What a body of a few pages is likely to shrink to, by the last one that was tried; 1: it is not. */
  get packedShare(): number {
    return this.#packedShare;
  }

  /**
   * The compressed body where it takes fewer pages than the body itself; undefined otherwise.
   * `headerBytes` go before either in the same pages.
   */
  compress(body: Uint8Array, headerBytes: number): Uint8Array | undefined {
    const pages = pagesOf(headerBytes + body.length);
    if (pages === 1 || !this.#quick.isDue()) return undefined;
    const startMs = this.#clock.monotonicMs();
    const earnedMs = (startMs - this.#countedMs) * TIME_SHARE;
    this.#savedMs = Math.min(MAX_SAVED_MS, this.#savedMs + earnedMs);
    this.#countedMs = startMs;
    if (this.#savedMs <= 0) return undefined;
    const packed = this.#smallest(body, headerBytes);
    this.#savedMs -= this.#clock.monotonicMs() - startMs;
    const isSmaller = pagesOf(headerBytes + packed.length) < pages;
    this.#quick.note(isSmaller);
    this.#packedShare = isSmaller ? packed.length / body.length : 1;
    return isSmaller ? packed : undefined;
  }

  /**
   * As `compress`, whatever the time: what was compressed once must not need more room as a copy, or
   * the ring could not turn.
   */
  compressCopies(body: Uint8Array, headerBytes: number): Uint8Array | undefined {
    const pages = pagesOf(headerBytes + body.length);
    if (pages === 1) return undefined;
    const packed = this.#compressor.compress(body, 'quick');
    return pagesOf(headerBytes + packed.length) < pages ? packed : undefined;
  }

  #smallest(body: Uint8Array, headerBytes: number): Uint8Array {
    const quick = this.#compressor.compress(body, 'quick');
    const pages = pagesOf(headerBytes + quick.length);
    const inLastPage = headerBytes + quick.length - (pages - 1) * PAGE_BYTES;
    if (pages === 1 || body.length > MAX_THOROUGH_BYTES) return quick;
    // What does not shrink at all does not shrink more for trying harder.
    if (inLastPage > quick.length * THOROUGH_GAIN || quick.length >= body.length) return quick;
    if (this.#savedMs < SAVED_FOR_QUICK_MS || !this.#thorough.isDue()) return quick;
    const thorough = this.#compressor.compress(body, 'thorough');
    this.#thorough.note(pagesOf(headerBytes + thorough.length) < pages);
    return thorough;
  }
}

/** After each fruitless try twice as many chances are let pass, up to a bound. */
class Tries {
  #toSkip = 0;
  #fruitless = 0;

  isDue(): boolean {
    if (this.#toSkip === 0) return true;
    this.#toSkip--;
    return false;
  }

  note(hasHelped: boolean): void {
    if (hasHelped) {
      this.#fruitless = 0;
      return;
    }
    this.#toSkip = Math.min(2 ** this.#fruitless, MAX_SKIPPED);
    this.#fruitless++;
  }
}

function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}
