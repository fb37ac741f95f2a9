import type { Compressor, Crc32 } from '../platform/compression.ts';
import type { Logger } from '../platform/logger.ts';
import type { Volume } from '../platform/volume.ts';
import { recoverRing } from './recovery.ts';
import { SLOTS_TO_OPEN } from './segment-opener.ts';
import { SlotFiles, slotOfName } from './slot-files.ts';
import type { PartitionInfo } from './types.ts';

export interface ContentsOptions {
  readonly volume: Volume;
  readonly segmentSizeBytes: number;
  readonly crc32: Crc32;
  readonly compressor: Compressor;
  readonly logger: Logger;
}

/** What a start would find in a ring. */
export interface RingContents {
  readonly partitions: readonly PartitionInfo[];
  /** Of the segments in use. */
  readonly usedBytes: number;
  /**
   * Of the oldest segments, at most what has to go where the ring is to have `slotCount` slots; less
   * what of them is carried on because a quota keeps it.
   */
  bytesBeyond(slotCount: number): number;
}

/**
 * Reads the headers and summaries of a ring as a start does, and writes nothing. Undefined where
 * there is no ring, or none that can be read. Beside a running gateway it is right but for what is
 * being written. Throws RING_FORMAT_UNKNOWN, CONFIG_INVALID and DEVICE_FAILED as a start would.
 */
export async function readContents(options: ContentsOptions): Promise<RingContents | undefined> {
  const { volume, ...rest } = options;
  const names = await volume.list();
  const existing = new Set(names.map(slotOfName).filter((slot) => slot !== undefined));
  const slotCount = Math.max(-1, ...existing) + 1;
  const files = new SlotFiles(volume);
  try {
    const outcome = await recoverRing({ ...rest, files, slotCount, existing });
    if (outcome.kind !== 'recovered') return undefined;
    const { partitions, segments, retiredSlots } = outcome.ring;
    const sizes = segments.map(({ endOffset }) => endOffset);
    const sum = (bytes: readonly number[]): number => bytes.reduce((all, each) => all + each, 0);
    return {
      partitions: partitions.all,
      usedBytes: sum(sizes),
      bytesBeyond(wanted) {
        const retired = retiredSlots.filter((slot) => slot < wanted).length;
        // The start opens one, and shrinking two, for their headers.
        const opened = segments.length + 3;
        const excess = opened + SLOTS_TO_OPEN - (wanted - retired);
        return sum(sizes.slice(0, Math.max(0, excess)));
      },
    };
  } finally {
    await files.close();
  }
}
