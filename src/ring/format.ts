import type { Crc32 } from '../platform/compression.ts';
import { viewOf, writeU64 } from './bytes.ts';

/** Every write to a slot starts and ends at a multiple of this. FORMAT.md has every byte. */
export const PAGE_BYTES = 4096;

/** The newest format this code writes and reads. A newer one is refused, an older one is read. */
export const FORMAT_VERSION = 1;

export const SEGMENT_MAGIC = 0x47455343;
export const BATCH_MAGIC = 0x54414243;
export const SUMMARY_MAGIC = 0x4d555343;

/** Bits of a batch's flags; the low four are the union of its records' `RecordFlag`. */
export const RECORD_FLAGS_MASK = 0x0f;
export const BATCH_COMPRESSED = 0x100;
/** Some of its records are copies that keep their own sequence. */
export const BATCH_HAS_CARRIED = 0x200;
/** It is recovery's copy of the last batch of the segment before. */
export const BATCH_RECOVERY_COPY = 0x400;
export const BATCH_CLOCK_TRUSTED = 0x800;
/** Empty, and the last of a ring that was closed in order: nothing durable lies behind it. */
export const BATCH_CLOSED = 0x1000;
/**
 * Copies alone, as in all batches of its segment before it, none of which lets a segment go: their
 * originals are live still, so nothing would be lost without this segment.
 */
export const BATCH_PROVISIONAL = 0x4000;
/** Empty: a segment that this segment's header calls live has been let go. */
export const BATCH_LETS_GO = 0x2000;

/** An offset jumps by this where recovery cannot prove which ones were given out. */
export const UNCERTAIN_TAIL_JUMP = 2 ** 20;

/** Rounds up to whole pages. */
export function toPages(byteCount: number): number {
  return Math.ceil(byteCount / PAGE_BYTES) * PAGE_BYTES;
}

/**
 * The seed of every CRC in one segment, except its header's. It holds the ring's secret salt, so
 * that a payload cannot pass for a header, and the epoch, so that last lap's pages fail.
 */
export function segmentSeed(crc32: Crc32, salt: number, epoch: number): number {
  const bytes = new Uint8Array(8);
  writeU64(viewOf(bytes), 0, epoch);
  return crc32(bytes, salt);
}

export function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}
