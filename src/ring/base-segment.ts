import { BATCH_PROVISIONAL } from './format.ts';
import { type Candidate, type Found, liveTable } from './recovery-evidence.ts';

/** The segment that a start goes on from. */
export interface Base extends Found {
  /**
   * Slots of all newer segments, newest first: those that were passed over, and those that nothing led
   * to. What they name may have been written, so none of them is to vanish while another slot is free.
   */
  readonly passedOver: readonly number[];
  /** True where something behind the copies cannot be read that may have been fresh. */
  readonly isSuspect: boolean;
}

/** What the search may do with the slots. */
export interface SlotAccess {
  walk(candidate: Candidate): Promise<Found>;
  /** Makes durable what is in the page cache alone; false where the device refuses. */
  sync(slot: number): Promise<boolean>;
}

/**
 * Finds the base: the newest segment with a sound batch, unless it holds nothing but copies whose
 * originals are all where they were. Such a one is passed over, since its slot is as good as free:
 * else every start would take a slot, and only a running ring lets slots go.
 *
 * What has been written since `base` was the newest lies in the slots of the segments passed over
 * and in those that they name as the next ones. Where the base calls none of these live, all that it
 * calls live is untouched, and so are the originals of all copies, which lie there and in the base.
 *
 * `candidates` are in order of falling epoch. Undefined where there is none at all.
 */
export async function findBase(
  candidates: readonly Candidate[],
  access: SlotAccess,
): Promise<Base | undefined> {
  let base = await newestSound(candidates, access);
  const written = new Set<number>();
  let isSuspect = false;
  // A kill leaves what was being written in the page cache alone. All that this start takes as given
  // must outlast a cut in it: the newest segment, whose word the next start needs, and each source.
  if (base !== undefined) await access.sync(base.candidate.slot);
  while (base !== undefined && isProvisional(base)) {
    written.add(base.candidate.slot);
    written.add(base.candidate.header?.nextSlot ?? -1);
    const source = await sourceOf(base, candidates, access);
    if (source === undefined) break;
    if (!(await isUntouched(source.candidate, candidates, written, access))) break;
    if (!(await access.sync(source.candidate.slot))) break;
    isSuspect ||= base.walk.torn.some(({ header }) => header === undefined);
    base = source;
  }
  if (base === undefined) return undefined;
  const { slot: baseSlot, epoch: baseEpoch } = base.candidate;
  const newer = candidates.filter(({ slot, epoch }) => epoch > baseEpoch && slot !== baseSlot);
  return { ...base, passedOver: [...new Set(newer.map(({ slot }) => slot))], isSuspect };
}

// A header is written together with its first batch, so a cut between the two leaves a segment that
// is valid and empty. It proves nothing, not even which slots were let go: walk back past it.
async function newestSound(
  candidates: readonly Candidate[],
  access: SlotAccess,
): Promise<Found | undefined> {
  let fallback: Found | undefined;
  for (const candidate of candidates) {
    const found = await access.walk(candidate);
    if (found.walk.batches.some(({ sound }) => sound)) return found;
    fallback ??= found;
  }
  return fallback;
}

/** True where nothing would be lost without this segment, as its batches say of themselves. */
function isProvisional({ candidate, walk }: Found): boolean {
  const sound = walk.batches.filter((batch) => batch.sound);
  if (candidate.header === undefined || sound.length === 0) return false;
  return sound.every(({ header }) => (header.flags & BATCH_PROVISIONAL) !== 0);
}

/** The segment that `copy` was opened behind, if it is whole up to the batch that `copy` goes on from. */
async function sourceOf(
  copy: Found,
  candidates: readonly Candidate[],
  access: SlotAccess,
): Promise<Found | undefined> {
  const previous = copy.candidate.header?.previous;
  for (const candidate of candidates) {
    if (candidate.epoch !== previous?.epoch) continue;
    const found = await access.walk(candidate);
    const { batches, damaged } = found.walk;
    const isSource = batches.some(
      (batch) => batch.sound && batch.header.headerCrc === previous.lastCrc,
    );
    if (isSource) return damaged.length === 0 ? found : undefined;
  }
  return undefined;
}

/** True where all that `base` calls live is in its slot still, none of which is among `written`. */
async function isUntouched(
  base: Candidate,
  candidates: readonly Candidate[],
  written: ReadonlySet<number>,
  access: SlotAccess,
): Promise<boolean> {
  // A segment that lost its header is described by the newest header before it.
  const described = candidates.find(
    ({ epoch, header }) => epoch <= base.epoch && header !== undefined,
  );
  if (described?.header === undefined || written.has(base.slot)) return false;
  const { walk } = await access.walk(described);
  const there = new Map(candidates.map(({ slot, epoch }) => [slot, epoch]));
  return liveTable(described.header, walk).every(
    ({ slot, epoch }) => there.get(slot) === epoch && !written.has(slot),
  );
}
