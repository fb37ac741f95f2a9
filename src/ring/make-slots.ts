import { CisternError } from '../base/errors.ts';
import { makeSlot, type SlotFiles, slotName, slotOfName } from './slot-files.ts';
import type { RingOptions } from './types.ts';

/** Slots without a file of full length; `isEmpty` where no slot holds anything yet. */
export async function missingSlots(
  { segmentSizeBytes }: RingOptions,
  files: SlotFiles,
  slotCount: number,
  existing: ReadonlySet<number>,
  isEmpty: boolean,
): Promise<number[]> {
  const missing: number[] = [];
  for (let slot = 0; slot < slotCount; slot++) {
    const isWhole = existing.has(slot) && (await files.sizeOf(slot)) >= segmentSizeBytes;
    if (!isWhole) missing.push(slot);
  }
  // The last one that is there may have its length already, but not its zeros.
  const newestSlot = Math.max(...existing);
  if (isEmpty && existing.size > 0 && !missing.includes(newestSlot)) missing.push(newestSlot);
  return missing;
}

/** Makes what is missing: a new ring, one whose making was cut short, or one that grows. */
export async function completeSlots(
  options: RingOptions,
  missing: readonly number[],
  existing: ReadonlySet<number>,
  isEmpty: boolean,
): Promise<void> {
  const { volume, segmentSizeBytes, onProgress } = options;
  if (missing.length === 0) return;
  const totalBytes = missing.length * segmentSizeBytes;
  let doneBytes = 0;
  for (const slot of missing) {
    // Of a ring that holds something, a slot that was cut short keeps what is left of it.
    const keptBytes = !isEmpty && existing.has(slot) ? await sizeOf(options, slot) : 0;
    doneBytes += keptBytes;
    const range = { fromBytes: keptBytes, toBytes: segmentSizeBytes };
    const onBytes = (byteCount: number): void => {
      doneBytes += byteCount;
      onProgress?.(doneBytes, totalBytes);
    };
    try {
      await makeSlot(volume, slot, range, existing.has(slot), onBytes);
    } catch (error) {
      if (error instanceof CisternError && error.code === 'DEVICE_FULL') {
        await giveBack(options, isEmpty ? new Set() : existing);
      }
      throw error;
    }
  }
  await volume.syncDirectory();
}

/**
 * A start that finds no room takes none: what it has made goes again, the last slot first, so that a
 * cut in between leaves a ring whose making was cut short. Others on the disk need the room, too.
 */
async function giveBack(options: RingOptions, kept: ReadonlySet<number>): Promise<void> {
  const { volume, logger } = options;
  try {
    const slots = (await volume.list()).map(slotOfName).filter((slot) => slot !== undefined);
    for (const slot of slots.sort((a, b) => b - a)) {
      if (!kept.has(slot)) await volume.remove(slotName(slot));
    }
    await volume.syncDirectory();
  } catch (error) {
    // That there is no room is what the user must know.
    if (!(error instanceof CisternError)) throw error;
    logger.warn('ring.not_given_back', { error: error.message });
  }
}

async function sizeOf({ volume }: RingOptions, slot: number): Promise<number> {
  const file = await volume.open(slotName(slot), 'read');
  try {
    return await file.size();
  } finally {
    await file.close();
  }
}

/** Removes the slots from `slotCount` on. */
export async function removeSlots(
  { volume }: RingOptions,
  slotCount: number,
  existing: Set<number>,
): Promise<void> {
  for (const slot of [...existing].filter((each) => each >= slotCount)) {
    await volume.remove(slotName(slot));
    existing.delete(slot);
  }
  await volume.syncDirectory();
}
