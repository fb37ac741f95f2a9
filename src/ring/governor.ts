/** What the next commit would be. */
export interface CommitProposal {
  /** Bytes encoded in the open batch. */
  readonly bodyBytes: number;
  /** Milliseconds since the last commit began. */
  readonly sinceLastMs: number;
  /** Clients that wait for it to be durable. */
  readonly waiting: number;
  /** Clients that have waited for a commit lately, those of this one included. */
  readonly active: number;
}

/**
 * Decides how long the open batch waits before it is committed. The one place where the wear budget
 * has its say; a batch is never held back longer than `maxCommitWindowMs`.
 */
export interface CommitGovernor {
  /** Milliseconds to wait still; 0 commits now. Only asked while no batch is in flight. */
  delayMs(proposal: CommitProposal): number;
  /** Tells what was written, of data, headers and summaries alike. */
  spent(deviceBytes: number): void;
  /** Kept in the segment headers over a restart. */
  readonly tokens: number;
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
  delayMs({ bodyBytes, sinceLastMs, waiting, active }) {
    if (bodyBytes >= FULL_BYTES || 2 * waiting >= active) return 0;
    return Math.max(0, GATHER_MS - sinceLastMs);
  },
  spent: () => undefined,
  tokens: 0,
};

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
