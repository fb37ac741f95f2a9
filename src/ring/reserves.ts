import { BATCH_FIXED_BYTES } from './batch-header.ts';
import { toPages } from './format.ts';
import type { Partition } from './partitions.ts';
import { MAX_RECORD_PREFIX_BYTES } from './record-format.ts';

/** At most what a partition and its head take in a batch's header, or its number and index there. */
export const MAX_HEAD_BYTES = 32;
/** Of a segment; a summary that is longer is not written. */
const MAX_SUMMARY_SHARE = 1 / 8;

/**
 * At most what a batch takes that lets a segment go, in whole pages: all heads, and the names of the
 * partitions that were made since the header was written, which is those from `namedCount` on.
 */
export function letGoBytes(partitions: readonly Partition[], namedCount: number): number {
  const heads = MAX_HEAD_BYTES * (partitions.length + 1);
  const names = partitions
    .slice(namedCount)
    .map(({ stream }) => MAX_HEAD_BYTES + 3 * stream.length);
  const fixed = BATCH_FIXED_BYTES + MAX_RECORD_PREFIX_BYTES;
  return toPages(names.reduce((sum, bytes) => sum + bytes, fixed + heads));
}

/** What is left free for a summary of about so many bytes. */
export function summaryReserve(summaryBytes: number, segmentSizeBytes: number): number {
  return Math.min(toPages(summaryBytes + 128), segmentSizeBytes * MAX_SUMMARY_SHARE);
}
