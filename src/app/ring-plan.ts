import type { StorageConfig } from '../config/types.ts';
import type { FileFacts } from '../platform/disk-survey.ts';
import { slotOfName } from '../ring/slot-files.ts';

/** What a start is going to do with the files of the ring, as far as their sizes tell. */
export interface RingPlan {
  /**
   * `makes`: there is nothing, or the first part of a ring; `keeps`: all is there. Where some of the
   * slots are there, only the ring itself tells whether it grows or its making goes on.
   */
  readonly kind: 'makes' | 'keeps' | 'grows' | 'shrinks';
  /** Of the slots that are there. */
  readonly foundBytes: number;
  /** Of the slots that were left out or cut short: files that the start writes. */
  readonly unmadeBytes: number;
  /** What the file system must still give for the ring, holes in its files included. */
  readonly neededBytes: number;
  /** The segment size that the ring was made with, where it is another one than is configured. */
  readonly otherSegmentBytes: number | undefined;
}

export function planRing(
  files: readonly FileFacts[],
  { sizeBytes, segmentSizeBytes }: Pick<StorageConfig, 'sizeBytes' | 'segmentSizeBytes'>,
): RingPlan {
  const slotCount = sizeBytes / segmentSizeBytes;
  let [madeBytes, allocatedBytes, foundSlots] = [0, 0, 0];
  for (const file of files) {
    const slot = slotOfName(file.name);
    if (slot === undefined) continue;
    foundSlots = Math.max(foundSlots, slot + 1);
    if (slot >= slotCount) continue;
    madeBytes += Math.min(file.sizeBytes, segmentSizeBytes);
    allocatedBytes += Math.min(file.allocatedBytes, segmentSizeBytes);
  }
  const kinds = ['grows', 'keeps', 'shrinks'] as const;
  const kind = kinds[Math.sign(foundSlots - slotCount) + 1] ?? 'keeps';
  return {
    kind: foundSlots === 0 ? 'makes' : kind,
    foundBytes: foundSlots * segmentSizeBytes,
    unmadeBytes: sizeBytes - madeBytes,
    neededBytes: sizeBytes - allocatedBytes,
    otherSegmentBytes: otherSegment(files, segmentSizeBytes),
  };
}

// The size that most files have: the newest one of a ring whose making was cut short is shorter, and
// anyone may have been harmed.
function otherSegment(files: readonly FileFacts[], segmentBytes: number): number | undefined {
  const counts = new Map<number, number>();
  for (const { name, sizeBytes } of files) {
    if (slotOfName(name) !== undefined) counts.set(sizeBytes, (counts.get(sizeBytes) ?? 0) + 1);
  }
  const [usual] = [...counts].toSorted(([, a], [, b]) => b - a);
  if (usual === undefined || counts.has(segmentBytes)) return undefined;
  const [size, count] = usual;
  return size > segmentBytes || count > 1 ? size : undefined;
}
