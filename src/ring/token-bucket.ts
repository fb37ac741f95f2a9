import type { Clock } from '../platform/clock.ts';
import type { BatchHeader } from './batch-header.ts';
import type { Segment } from './segment.ts';
import type { SegmentHeader } from './segment-header.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What the flash says of the bucket of the process before. */
export interface KeptTokens {
  /** In the newest segment header. */
  readonly tokens: number;
  /** Written since that header. */
  readonly spentBytes: number;
  /** For how long, at least, that process went on after it. */
  readonly ranMs: number;
}

/**
 * Device bytes that may be written. Filled at the budget's rate, one hour deep; so deep may the debt
 * be, too: what cannot be held back is written all the same, and paid for later.
 *
 * Invariant: `-depthBytes <= tokens <= depthBytes`.
 */
export class TokenBucket {
  readonly depthBytes: number;
  readonly bytesPerMs: number;
  readonly #clock: Clock;
  #tokens: number;
  #filledMs: number;

  constructor(clock: Clock, budgetBytesPerDay: number) {
    this.#clock = clock;
    this.bytesPerMs = budgetBytesPerDay / DAY_MS;
    this.depthBytes = this.bytesPerMs * HOUR_MS;
    this.#tokens = this.depthBytes;
    this.#filledMs = clock.monotonicMs();
  }

  get tokens(): number {
    const nowMs = this.#clock.monotonicMs();
    this.#set(this.#tokens + (nowMs - this.#filledMs) * this.bytesPerMs);
    this.#filledMs = nowMs;
    return this.#tokens;
  }

  spend(deviceBytes: number): void {
    this.#set(this.tokens - deviceBytes);
  }

  /** Goes on with what was kept. Nobody knows how long the power was off, so that counts for nothing. */
  resume({ tokens, spentBytes, ranMs }: KeptTokens): void {
    this.#set(tokens + ranMs * this.bytesPerMs - spentBytes);
    this.#filledMs = this.#clock.monotonicMs();
  }

  #set(tokens: number): void {
    this.#tokens = Math.max(-this.depthBytes, Math.min(this.depthBytes, tokens));
  }
}

/**
 * Undefined where no governor wrote that header. The running time is that between the first and the
 * last batch of the newest segment, all of them from one process: without it, a gateway that writes
 * little and is switched off each night would pay each day, and never be credited.
 */
export function keptTokens(
  newest: SegmentHeader,
  segments: readonly Segment[],
  batches: readonly { readonly header: BatchHeader }[],
): KeptTokens | undefined {
  if (newest.governorTokens === 0) return undefined;
  const written = segments.filter(({ epoch }) => epoch >= newest.epoch);
  const first = batches[0]?.header.clock;
  const last = batches.at(-1)?.header.clock;
  const isOneBoot = first !== undefined && first.bootNumber === last?.bootNumber;
  return {
    tokens: newest.governorTokens,
    spentBytes: written.reduce((sum, { endOffset }) => sum + endOffset, 0),
    ranMs: isOneBoot ? Math.max(0, last.monotonicMs - first.monotonicMs) : 0,
  };
}
