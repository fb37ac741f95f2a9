/** What the next commit would be. */
export interface CommitProposal {
  /** Bytes encoded in the open batch. */
  readonly bodyBytes: number;
  /** Milliseconds since its first record. */
  readonly ageMs: number;
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

/** Commits as soon as the previous batch has returned: an ack takes about one flush. */
export const eagerGovernor: CommitGovernor = {
  delayMs: () => 0,
  spent: () => undefined,
  tokens: 0,
};
