import { DAY_MS, PAGE_BYTES } from './defaults.ts';
import { quotaCapacity, quotaSum } from './stream-rules.ts';
import type { Config, StorageConfig } from './types.ts';
import { describeSize, formatDuration } from './units.ts';

/** Header, summary and the checkpoint that lets an older segment go: of each segment, in pages. */
const PAGES_A_SEGMENT = 6;
/** While clients send, the state changes, and a checkpoint of about 16 KiB is written each minute. */
const CHECKPOINT_BYTES_A_DAY = 24 * 60 * 4 * PAGE_BYTES;

/**
 * Device bytes a day of one page every commit window, with what the ring writes besides: no governor
 * can keep below it while clients send.
 */
export function budgetFloor(
  storage: Pick<StorageConfig, 'maxCommitWindowMs' | 'segmentSizeBytes'>,
): number {
  const { maxCommitWindowMs, segmentSizeBytes } = storage;
  const besides = 1 + (PAGES_A_SEGMENT * PAGE_BYTES) / segmentSizeBytes;
  const pageBytes = (DAY_MS / maxCommitWindowMs) * PAGE_BYTES;
  return Math.round(pageBytes * besides + CHECKPOINT_BYTES_A_DAY);
}

/** What a configuration asks of the flash. Bytes, and bytes a day. */
export interface ConfigCost {
  /** Preallocated at the first start. */
  readonly ringBytes: number;
  readonly segments: number;
  readonly budgetBytesPerDay: number;
  /** Commits of one page a second that the budget would pay for, day after day. */
  readonly pageCommitsPerSecond: number;
  /** What can be written at once after a quiet hour, without a wait. */
  readonly bucketBytes: number;
  /** What one page every `max_commit_window` costs, with headers and checkpoints. */
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
    bucketBytes: budgetBytesPerDay / 24,
    windowBytesPerDay: budgetFloor(storage),
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
    `wear      ${describeSize(cost.budgetBytesPerDay)} a day pays for ${commits} one-page commits a second, for ever; what is not used is kept for`,
    `          an hour, so ${describeSize(cost.bucketBytes)} more can be written at once, and an ack then takes one flush;`,
    `          beyond that, small commits wait for each other, up to ${window} (storage.max_commit_window):`,
    `          one page every ${window} costs ${describeSize(cost.windowBytesPerDay)} a day, the least that a busy gateway can be held to;`,
    '          full pages are never held back: what they cost beyond the budget is an alarm, and never a loss',
  ];
}
