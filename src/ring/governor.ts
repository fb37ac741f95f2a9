import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import { BATCH_FIXED_BYTES } from './batch-header.ts';
import { PAGE_BYTES, toPages } from './format.ts';
import { LastDay } from './last-day.ts';
import { type KeptTokens, TokenBucket } from './token-bucket.ts';

/** What the next commit would be. */
export interface CommitProposal {
  /** Bytes encoded in the open batch. */
  readonly bodyBytes: number;
  /** What they are likely to shrink to, once there is more than a page of them. */
  readonly packedShare: number;
  /** Milliseconds since the last commit began. */
  readonly sinceLastMs: number;
  /** Clients that wait for it to be durable. */
  readonly waiting: number;
  /** Clients that have waited for a commit lately, those of this one included. */
  readonly active: number;
}

/** How the budget stands. */
export interface WearGauge {
  readonly budgetBytesPerDay: number;
  /** Device bytes in hand; negative: a debt. */
  readonly tokens: number;
  /** How many there can be. */
  readonly bucketBytes: number;
  /** Milliseconds that commits of one page are apart now, while somebody waits; 0 for none. */
  readonly commitWindowMs: number;
  /** Monotonic time since which more is written than the budget allows; undefined where it is not. */
  readonly exceededSinceMs: number | undefined;
  /** Device bytes of a day like the last one; undefined in the first minute. */
  readonly bytesPerDay: number | undefined;
}

/**
 * Decides how long the open batch waits before it is committed. The one place where the wear budget
 * has its say; a batch is never held back longer than the commit window.
 */
export interface CommitGovernor {
  /** Milliseconds to wait still; 0 commits now. Only asked while no batch is in flight. */
  delayMs(proposal: CommitProposal): number;
  /** Tells what was written, of data, headers, summaries and checkpoints alike. */
  spent(deviceBytes: number): void;
  /** Goes on where the process before ended. */
  resume(kept: KeptTokens): void;
  /** Kept in the segment headers over a restart; 0 where nobody counts. */
  readonly tokens: number;
  /** Undefined where there is no budget. */
  gauge(): WearGauge | undefined;
}

const GATHER_MS = 5;
/** A batch of so many bytes is worth a commit of its own. */
const FULL_BYTES = 3_584;

/**
 * Commits as soon as the previous batch has returned, so that an ack takes about one flush; but where
 * many clients send a little each, not more often than every 5 ms, for the sake of the processor: a
 * commit costs as much as handling a hundred messages. A lone client never waits, nor do those who
 * all wait already, since nothing more will come before they are answered.
 */
export const gatheringGovernor: CommitGovernor = {
  delayMs: gatheringDelayMs,
  spent: () => undefined,
  resume: () => undefined,
  tokens: 0,
  gauge: () => undefined,
};

function gatheringDelayMs(proposal: CommitProposal): number {
  if (proposal.bodyBytes >= FULL_BYTES || isLast(proposal)) return 0;
  return Math.max(0, GATHER_MS - proposal.sinceLastMs);
}

/** Half of those who waited lately wait now: before they are answered, little more will come. */
function isLast({ waiting, active }: CommitProposal): boolean {
  return 2 * waiting >= active;
}

/** Commits are stretched while less than this part of the bucket is left. */
const LOW_SHARE = 1 / 4;
/** A debt is over when this part is there again: less than what a steady load settles at. */
const PAID_SHARE = 1 / 16;
/** A batch with less padding gains nothing by waiting. */
const PADDING_SHARE = 1 / 8;
/** Nor does one with less than this, where nothing more will come: it would slow down a load that waits. */
const LAST_PADDING_SHARE = 1 / 2;
const LARGE_BYTES = 64 * 1024;
/** Of a batch with a few runs; beside its body it decides how many pages there will be. */
const USUAL_HEADER_BYTES = BATCH_FIXED_BYTES + 24;

/**
 * Keeps device bytes within a budget a day, by letting small commits wait for each other.
 *
 * While a quarter of the bucket is there it does what {@link gatheringGovernor} does. Below, the gap
 * between commits grows in a straight line: 0 at a quarter; at an eighth what the batch's pages take
 * to come back at the budget's rate, which is where a steady load settles and keeps a reserve; twice
 * that when the bucket is empty, and more in debt, so that debts are paid. Never more than
 * `maxCommitWindowMs`, and only while waiting saves pages: a load that fills them is never slowed
 * down, and one client that sends window after window is not, once they are half full. What packs
 * well waits until it fills a page packed: that is where waiting saves most.
 */
export class WearGovernor implements CommitGovernor {
  readonly #bucket: TokenBucket;
  readonly #lastDay: LastDay;
  readonly #clock: Clock;
  readonly #budgetBytesPerDay: number;
  readonly #maxCommitWindowMs: number;
  readonly #logger: Logger;
  readonly #lowTokens: number;
  #exceededSinceMs: number | undefined;

  constructor(options: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly budgetBytesPerDay: number;
    readonly maxCommitWindowMs: number;
  }) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#budgetBytesPerDay = options.budgetBytesPerDay;
    this.#maxCommitWindowMs = options.maxCommitWindowMs;
    this.#bucket = new TokenBucket(options.clock, options.budgetBytesPerDay);
    this.#lastDay = new LastDay(options.clock.monotonicMs());
    this.#lowTokens = this.#bucket.depthBytes * LOW_SHARE;
  }

  get tokens(): number {
    return this.#bucket.tokens;
  }

  delayMs(proposal: CommitProposal): number {
    const gatherMs = gatheringDelayMs(proposal);
    const { tokens } = this.#bucket;
    if (tokens >= this.#lowTokens) return gatherMs;
    const bytes = proposal.bodyBytes * proposal.packedShare + USUAL_HEADER_BYTES;
    const pageBytes = toPages(bytes);
    const isLarge = proposal.bodyBytes >= LARGE_BYTES - PAGE_BYTES;
    const share = isLast(proposal) ? LAST_PADDING_SHARE : PADDING_SHARE;
    if (pageBytes - bytes <= pageBytes * share || isLarge) return gatherMs;
    // Whole milliseconds, as `sinceLastMs` is: a clock that counts in less would be asked for ever.
    const wearMs = Math.ceil(this.#gapMs(pageBytes, tokens) - proposal.sinceLastMs);
    return Math.max(gatherMs, wearMs);
  }

  spent(deviceBytes: number): void {
    this.#bucket.spend(deviceBytes);
    this.#lastDay.add(deviceBytes, this.#clock.monotonicMs());
    this.#judge();
  }

  resume(kept: KeptTokens): void {
    this.#bucket.resume(kept);
  }

  gauge(): WearGauge {
    this.#judge();
    const { tokens, depthBytes } = this.#bucket;
    return {
      budgetBytesPerDay: this.#budgetBytesPerDay,
      tokens,
      bucketBytes: depthBytes,
      commitWindowMs: this.#gapMs(PAGE_BYTES, tokens),
      exceededSinceMs: this.#exceededSinceMs,
      bytesPerDay: this.#lastDay.bytesPerDay(this.#clock.monotonicMs()),
    };
  }

  #gapMs(pageBytes: number, tokens: number): number {
    if (tokens >= this.#lowTokens) return 0;
    const pressure = 2 * (1 - tokens / this.#lowTokens);
    return Math.min(this.#maxCommitWindowMs, (pressure * pageBytes) / this.#bucket.bytesPerMs);
  }

  #judge(): void {
    const { tokens, depthBytes } = this.#bucket;
    if (tokens <= 0 && this.#exceededSinceMs === undefined) {
      this.#exceededSinceMs = this.#clock.monotonicMs();
      this.#logger.warn('wear.budget_exceeded', { budgetBytesPerDay: this.#budgetBytesPerDay });
    } else if (tokens >= depthBytes * PAID_SHARE && this.#exceededSinceMs !== undefined) {
      this.#exceededSinceMs = undefined;
      this.#logger.info('wear.within_budget');
    }
  }
}

const FORGET_MS = 1_000;

/** Who has waited for a commit in the last second or two. Holds no more than have. */
export class RecentWaiters {
  #now = new Set<object>();
  #before = new Set<object>();
  #sinceMs = 0;

  get size(): number {
    return Math.max(this.#now.size, this.#before.size);
  }

  note(waiter: object, nowMs: number): void {
    if (nowMs - this.#sinceMs >= FORGET_MS) {
      const isRecent = nowMs - this.#sinceMs < 2 * FORGET_MS;
      this.#before = isRecent ? this.#now : new Set();
      this.#now = new Set();
      this.#sinceMs = nowMs;
    }
    this.#now.add(waiter);
  }
}
