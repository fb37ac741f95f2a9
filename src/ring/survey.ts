import { CisternError } from '../base/errors.ts';
import type { Compressor, Crc32 } from '../platform/compression.ts';
import type { Volume, VolumeFile } from '../platform/volume.ts';
import { claimedEpoch, decodeBatchHeader, looksLikeBatch } from './batch-header.ts';
import { isZero, PAGE_BYTES, segmentSeed } from './format.ts';
import { headsOf, liveTable } from './recovery-evidence.ts';
import { decodeSegmentHeader, type SegmentHeader } from './segment-header.ts';
import { slotName, slotOfName } from './slot-files.ts';
import { type Walk, walkBatches } from './walk.ts';

export interface InspectOptions {
  readonly volume: Volume;
  readonly crc32: Crc32;
  readonly compressor: Compressor;
}

/** What the headers of a ring say: enough to read each segment by itself, once. */
export interface Survey {
  /** Those that have a file, in order. */
  readonly slots: readonly number[];
  /** The header with the highest epoch that has a sound batch behind it, and what is live by now. */
  readonly newest: SegmentHeader | undefined;
  /** Names of streams by partition id. */
  readonly streams: ReadonlyMap<number, string>;
  /** Heads by partition id. */
  readonly heads: ReadonlyMap<number, number>;
  /** Where segments end, in bytes, by epoch, as the headers of their successors say. */
  readonly ends: ReadonlyMap<number, number>;
  /** Slots that are not called live and begin with what is no header: perhaps a newer one was there. */
  readonly unknownSlots: readonly number[];
}

export interface ReadSegment {
  readonly slot: number;
  readonly bytes: Uint8Array;
  readonly header: SegmentHeader | undefined;
  readonly startOffset: number;
  /** Of its pages, those that the device refuses to read; they are zeros in `bytes`. */
  readonly unreadablePages: number;
}

/** Reads the headers of a ring, and its newest segment. Writes nothing. */
export async function surveyRing(options: InspectOptions): Promise<Survey> {
  const names = await options.volume.list();
  const slots = names.map(slotOfName).filter((slot) => slot !== undefined);
  slots.sort((a, b) => a - b);
  const headers: SegmentHeader[] = [];
  const damaged: number[] = [];
  for (const slot of slots) {
    const header = await readHeader(options, slot);
    if (header === 'damaged') damaged.push(slot);
    else if (header !== undefined) headers.push(header);
  }
  headers.sort((a, b) => b.epoch - a.epoch);
  for (const header of headers) {
    const segment = await readSegment(options, header.slot);
    const walk = walkOf(segment, undefined, options);
    if (!walk.batches.some(({ sound }) => sound)) continue;
    const live = liveTable(header, walk).map((entry) => whereItIs(entry, headers));
    const liveEpochs = new Set(live.map(({ epoch }) => epoch));
    const named = headers.filter(({ epoch }) => liveEpochs.has(epoch));
    const definitions = walk.batches.flatMap(({ header: { partitions } }) => partitions);
    return {
      slots,
      newest: { ...header, live },
      streams: new Map(
        [...header.partitions, ...definitions].map(({ id, stream }) => [id, stream]),
      ),
      heads: headsOf(header, walk),
      ends: new Map(named.map(({ previous }) => [previous.epoch, previous.endOffset])),
      unknownSlots: damaged.filter((slot) => live.every((entry) => entry.slot !== slot)),
    };
  }
  const none = new Map<number, never>();
  const nothing = { newest: undefined, streams: none, heads: none, ends: none };
  return { slots, ...nothing, unknownSlots: damaged };
}

/** A ring that shrinks moves segments as they are; the table may be older than the move. */
function whereItIs(
  entry: SegmentHeader['live'][number],
  headers: readonly SegmentHeader[],
): SegmentHeader['live'][number] {
  const found = headers.filter(({ epoch }) => epoch === entry.epoch);
  const [moved] = found;
  return moved === undefined || found.some(({ slot }) => slot === entry.slot) ? entry : moved;
}

/** The epoch of the live segment that the slot should hold. */
export function epochInTable(slot: number, newest: SegmentHeader | undefined): number | undefined {
  return newest?.live.find((entry) => entry.slot === slot)?.epoch;
}

/** Undefined where there are zeros. */
async function readHeader(
  { volume, crc32 }: InspectOptions,
  slot: number,
): Promise<SegmentHeader | 'damaged' | undefined> {
  const file = await volume.open(slotName(slot), 'read');
  try {
    const size = await file.size();
    let bytes = new Uint8Array(Math.min(PAGE_BYTES, size));
    if ((await readAll(file, bytes)) > 0) return 'damaged';
    let read = decodeSegmentHeader(bytes, crc32);
    if (read.kind === 'longer' && read.lengthBytes <= size) {
      bytes = new Uint8Array(read.lengthBytes);
      await readAll(file, bytes);
      read = decodeSegmentHeader(bytes, crc32);
    }
    if (read.kind === 'valid' && read.header.slot === slot) return read.header;
    return isZero(bytes) ? undefined : 'damaged';
  } finally {
    await file.close();
  }
}

export async function readSegment(
  { volume, crc32 }: InspectOptions,
  slot: number,
): Promise<ReadSegment> {
  const file = await volume.open(slotName(slot), 'read');
  try {
    const bytes = new Uint8Array(await file.size());
    const unreadablePages = await readAll(file, bytes);
    const read = decodeSegmentHeader(bytes, crc32);
    // The header of another slot is a copy that somebody made: a start takes it for damage too.
    if (read.kind !== 'valid' || read.header.slot !== slot) {
      return { slot, bytes, unreadablePages, header: undefined, startOffset: 0 };
    }
    return { slot, bytes, unreadablePages, header: read.header, startOffset: read.lengthBytes };
  } finally {
    await file.close();
  }
}

/** Fills `bytes` with what can be read; returns how many pages cannot. */
async function readAll(file: VolumeFile, bytes: Uint8Array): Promise<number> {
  if (await isRead(file, 0, bytes)) return 0;
  let unreadable = 0;
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const page = bytes.subarray(at, at + PAGE_BYTES);
    if (await isRead(file, at, page)) continue;
    page.fill(0);
    unreadable++;
  }
  return unreadable;
}

async function isRead(file: VolumeFile, offset: number, target: Uint8Array): Promise<boolean> {
  try {
    await file.read(offset, target);
    return true;
  } catch (error) {
    if (!(error instanceof CisternError)) throw error;
    return false;
  }
}

/**
 * The batches of a segment. Where its header cannot be read they are found page by page, as a start
 * finds them, if `survey` says which segment should be there.
 */
export function walkOf(
  { slot, header, bytes, startOffset }: ReadSegment,
  survey: Survey | undefined,
  { crc32 }: InspectOptions,
): Walk {
  const { newest, ends } = survey ?? {};
  const { epoch, salt } = header ?? { epoch: epochInTable(slot, newest), salt: newest?.salt };
  if (epoch === undefined || salt === undefined) return nothingFound;
  const seed = segmentSeed(crc32, salt, epoch);
  const end = Math.min(ends?.get(epoch) ?? bytes.length, bytes.length);
  const start = header === undefined ? firstBatchIn(bytes, epoch, crc32, seed) : startOffset;
  return start === undefined ? nothingFound : walkBatches(bytes, start, end, epoch, crc32, seed);
}

const nothingFound: Walk = { batches: [], damaged: [], torn: [], endOffset: 0 };

function firstBatchIn(
  bytes: Uint8Array,
  epoch: number,
  crc32: Crc32,
  seed: number,
): number | undefined {
  for (let at = PAGE_BYTES; at + PAGE_BYTES <= bytes.length; at += PAGE_BYTES) {
    if (!looksLikeBatch(bytes, at) || claimedEpoch(bytes, at) !== epoch) continue;
    if (decodeBatchHeader(bytes, at, at, crc32, seed) !== undefined) return at;
  }
  return undefined;
}

export function isBlank({ bytes }: ReadSegment): boolean {
  return isZero(bytes.subarray(0, PAGE_BYTES));
}

/**
 * Whether a slot that the newest header does not count as live had a newer segment all the same. One
 * batch of it proves nothing: it is written together with the header, so a cut may have spared it
 * alone, and nobody was told that it is durable.
 */
export function holdsNewer({ bytes }: ReadSegment, newest: SegmentHeader | undefined): boolean {
  const knownEpoch = newest?.epoch ?? 0;
  let newestEpoch = knownEpoch;
  let batches = 0;
  for (let at = 0; at + PAGE_BYTES <= bytes.length; at += PAGE_BYTES) {
    if (!looksLikeBatch(bytes, at)) continue;
    const epoch = claimedEpoch(bytes, at);
    if (epoch > newestEpoch) batches = 0;
    newestEpoch = Math.max(newestEpoch, epoch);
    if (epoch === newestEpoch) batches++;
  }
  return newestEpoch > knownEpoch && batches > 1;
}

/** A batch, or pages that were one or several. */
export interface BadPlace {
  readonly position: number;
  readonly lengthBytes: number;
  /** Nothing of it looks like a batch of this segment. */
  readonly isGone: boolean;
}

/** Where the batches of a segment are damaged or gone. `end` as in {@link Survey.ends}. */
export function badPlacesIn(walk: Walk, end: number | undefined): BadPlace[] {
  const bad = end === undefined ? walk.damaged : [...walk.damaged, ...walk.torn];
  const places = bad.map(({ position, lengthBytes }) => ({ position, lengthBytes, isGone: false }));
  if (end !== undefined && walk.torn.length === 0 && walk.endOffset < end) {
    const { endOffset: position } = walk;
    places.push({ position, lengthBytes: end - position, isGone: true });
  }
  return places;
}
