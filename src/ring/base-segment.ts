import type { Candidate, Found } from './recovery-evidence.ts';

/** The segment that a start goes on from. */
export interface Base extends Found {
  /** Slots of the newer segments that were passed over, newest first. */
  readonly passedOver: readonly number[];
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
  const passedOver: number[] = [];
  const written = new Set<number>();
  // A kill leaves what was being written in the page cache alone. All that this start takes as given
  // must outlast a cut in it: the newest segment, whose word the next start needs, and each source.
  if (base !== undefined) await access.sync(base.candidate.slot);
  while (base !== undefined && holdsCopiesAlone(base)) {
    written.add(base.candidate.slot);
    written.add(base.candidate.header?.nextSlot ?? -1);
    const source = await sourceOf(base, candidates, access);
    if (source === undefined || !isUntouched(source.candidate, candidates, written)) break;
    if (!(await access.sync(source.candidate.slot))) break;
    passedOver.push(base.candidate.slot);
    base = source;
  }
  return base === undefined ? undefined : { ...base, passedOver };
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

/**
 * True where nothing fresh was ever written to the segment, as far as can be seen. One without its
 * header was being written when the power went, and so has no second batch. Where none was named as
 * the next slot, the next segment may have been written anywhere.
 */
function holdsCopiesAlone({ candidate, walk }: Found): boolean {
  const { batches, damaged, torn } = walk;
  if (damaged.length > 0 || torn.some(({ header }) => header === undefined)) return false;
  if (batches.some(({ header }) => header.freshCount > 0)) return false;
  const { header } = candidate;
  if (header === undefined) return batches.length === 1 && batches[0]?.sound === true;
  return header.nextSlot < header.slotCount;
}

/** The segment that `copy` was opened behind, if it is whole up to the batch that `copy` goes on from. */
async function sourceOf(
  copy: Found,
  candidates: readonly Candidate[],
  access: SlotAccess,
): Promise<Found | undefined> {
  const first = copy.walk.batches[0]?.header;
  const { epoch, header } = copy.candidate;
  for (const candidate of candidates) {
    if (candidate.epoch >= epoch) continue;
    if (header !== undefined && candidate.epoch !== header.previous.epoch) continue;
    const found = await access.walk(candidate);
    const { batches, damaged } = found.walk;
    const isSource = batches.some(
      (batch) => batch.sound && batch.header.headerCrc === first?.previousCrc,
    );
    if (isSource) return damaged.length === 0 ? found : undefined;
  }
  return undefined;
}

/** True where all that `base` calls live is in its slot still, none of which is among `written`. */
function isUntouched(
  base: Candidate,
  candidates: readonly Candidate[],
  written: ReadonlySet<number>,
): boolean {
  // A segment that lost its header is described by the newest header before it.
  const described = candidates.find(
    ({ epoch, header }) => epoch <= base.epoch && header !== undefined,
  );
  if (described?.header === undefined || written.has(base.slot)) return false;
  const there = new Map(candidates.map(({ slot, epoch }) => [slot, epoch]));
  return described.header.live.every(
    ({ slot, epoch }) => there.get(slot) === epoch && !written.has(slot),
  );
}
