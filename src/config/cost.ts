import { DAY_MS, PAGE_BYTES } from './defaults.ts';
import { quotaCapacity, quotaSum } from './stream-rules.ts';
import type { Config } from './types.ts';
import { describeSize, formatDuration } from './units.ts';

/** What a configuration asks of the flash. Bytes, and bytes a day. */
export interface ConfigCost {
  /** Preallocated at the first start. */
  readonly ringBytes: number;
  readonly segments: number;
  readonly budgetBytesPerDay: number;
  /** Commits of one page a second that the budget would pay for, day after day. */
  readonly pageCommitsPerSecond: number;
  /** What one page every `max_commit_window` would cost. */
  readonly windowBytesPerDay: number;
  readonly windowMs: number;
  readonly quotaSumBytes: number;
  /** The most that the quotas may sum up to. */
  readonly quotaCapacityBytes: number;
}

export function costOf(config: Config): ConfigCost {
  const { storage, streams } = config;
  const { budgetBytesPerDay } = storage.wear;
  return {
    ringBytes: storage.sizeBytes,
    segments: storage.sizeBytes / storage.segmentSizeBytes,
    budgetBytesPerDay,
    pageCommitsPerSecond: budgetBytesPerDay / (DAY_MS / 1000) / PAGE_BYTES,
    windowBytesPerDay: (DAY_MS / storage.maxCommitWindowMs) * PAGE_BYTES,
    windowMs: storage.maxCommitWindowMs,
    quotaSumBytes: quotaSum(streams),
    quotaCapacityBytes: quotaCapacity(storage),
  };
}

/** The same in sentences, one a line. */
export function describeCost(cost: ConfigCost): string[] {
  const commits = Number(cost.pageCommitsPerSecond.toPrecision(2));
  const window = formatDuration(cost.windowMs);
  const quotas =
    cost.quotaSumBytes === 0
      ? 'no stream has a quota: all share the ring, and the oldest goes first'
      : `${describeSize(cost.quotaSumBytes)} of the ${describeSize(cost.quotaCapacityBytes)} ` +
        'that quotas may use; streams without one share what is left';
  return [
    `ring      ${describeSize(cost.ringBytes)} on flash, in ${cost.segments} segments, made at the first start`,
    `quotas    ${quotas}`,
    'wear      the budget is not kept to in this version: what waits for an ack is written at once, what waits',
    `          for none within ${window} (storage.max_commit_window), and the status counts the bytes`,
    `          ${describeSize(cost.budgetBytesPerDay)} a day would be ${commits} one-page commits a second, the whole day;`,
    `          one page every ${window} would be ${describeSize(cost.windowBytesPerDay)} a day`,
  ];
}
