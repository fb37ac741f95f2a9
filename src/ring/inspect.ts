import { CisternError } from '../base/errors.ts';
import type { Compressor, Crc32 } from '../platform/compression.ts';
import type { Volume, VolumeFile } from '../platform/volume.ts';
import { claimedEpoch, looksLikeBatch } from './batch-header.ts';
import { decodeRecords, type SourceNames, unpackBody } from './batch-reader.ts';
import { isZero, PAGE_BYTES, segmentSeed } from './format.ts';
import { decodeSegmentHeader, type SegmentHeader } from './segment-header.ts';
import { liveTable } from './recovery-evidence.ts';
import { slotName, slotOfName } from './slot-files.ts';
import type { RecordView } from './types.ts';
import { type BadPages, type Walk, walkBatches } from './walk.ts';

export interface InspectedSegment {
  readonly slot: number;
  /** 0 where its header cannot be read; of a lost one that of the segment that should be there. */
  readonly epoch: number;
  /**
   * `live` by the newest header's table; `lost` is one of that table which is not in its slot;
   * `free` is an older lap or zeros; `damaged` has no header.
   */
  readonly state: 'live' | 'lost' | 'free' | 'damaged';
  readonly batches: number;
  readonly records: number;
  /** From the start of the slot to the end of the last sound batch. */
  readonly usedBytes: number;
  readonly partitions: readonly {
    readonly id: number;
    readonly stream: string;
    readonly firstOffset: number;
    readonly lastOffset: number;
    readonly records: number;
  }[];
  /** One sentence for each thing that is wrong. */
  readonly damage: readonly string[];
  /** One sentence for each commit that a power cut or a kill cut short: to be expected, no loss. */
  readonly cutShort: readonly string[];
}

export interface InspectOptions {
  readonly volume: Volume;
  readonly crc32: Crc32;
  readonly compressor: Compressor;
}

const OPENING_CUT_SHORT =
  'Its header cannot be read, as where a power cut came while the slot was opened: it held nothing yet.';

interface ReadSegment {
  readonly slot: number;
  readonly bytes: Uint8Array;
  readonly header: SegmentHeader | undefined;
  readonly startOffset: number;
  /** Of its pages, those that the device refuses to read; they are zeros in `bytes`. */
  readonly unreadablePages: number;
}

/**
 * Looks at every slot of a ring without writing anything, in the order of the slots: what
 * `cistern log inspect` and `log verify` print. Every CRC is checked, and whether each segment that
 * the newest header calls live is there. The ring may be in use; what is written meanwhile may look
 * damaged.
 */
export async function* inspectRing(options: InspectOptions): AsyncGenerator<InspectedSegment> {
  const slots = await slotsOf(options.volume);
  const newest = await newestHeader(options, slots);
  const ends = await endsOf(options, slots, newest);
  const there = new Set(slots);
  // Once the ring is made its files stay for good, so one that is missing was taken away.
  const count = Math.max(newest?.slotCount ?? 0, (slots.at(-1) ?? -1) + 1);
  for (let slot = 0; slot < count; slot++) {
    if (there.has(slot)) {
      const segment = await readSegment(options, slot);
      yield describeSegment(segment, newest, ends, options);
    } else if (newest !== undefined && slot < newest.slotCount) {
      yield describeMissing(slot, newest);
    }
  }
}

/** The records of every live segment, oldest segment first: what `cistern log dump` prints. */
export async function* dumpRing(options: InspectOptions): AsyncGenerator<RecordView> {
  const slots = await slotsOf(options.volume);
  const newest = await newestHeader(options, slots);
  const ends = await endsOf(options, slots, newest);
  const live = [...(newest?.live ?? [])].sort((a, b) => a.epoch - b.epoch);
  for (const { slot, epoch } of live) {
    if (!slots.includes(slot)) continue;
    const segment = await readSegment(options, slot);
    if (segment.header?.epoch !== epoch) continue;
    yield* recordsOf(segment, walkOf(segment, ends, options), options.compressor);
  }
}

async function slotsOf(volume: Volume): Promise<number[]> {
  const names = await volume.list();
  const slots = names.map(slotOfName).filter((slot) => slot !== undefined);
  return slots.sort((a, b) => a - b);
}

/** The header with the highest epoch that has a sound batch behind it. */
async function newestHeader(
  options: InspectOptions,
  slots: readonly number[],
): Promise<SegmentHeader | undefined> {
  let newest: SegmentHeader | undefined;
  for (const slot of slots) {
    const segment = await readSegment(options, slot);
    const { header } = segment;
    if (header === undefined || header.epoch <= (newest?.epoch ?? 0)) continue;
    const walk = walkOf(segment, new Map(), options);
    if (!walk.batches.some(({ sound }) => sound)) continue;
    newest = { ...header, live: liveTable(header, walk) };
  }
  return newest;
}

/** Where segments end, by epoch, as the headers of their successors say. */
async function endsOf(
  options: InspectOptions,
  slots: readonly number[],
  newest: SegmentHeader | undefined,
): Promise<ReadonlyMap<number, number>> {
  const ends = new Map<number, number>();
  const live = new Set(newest?.live.map(({ epoch }) => epoch));
  for (const slot of slots) {
    const { header } = await readSegment(options, slot);
    if (header === undefined || !live.has(header.epoch)) continue;
    ends.set(header.previous.epoch, header.previous.endOffset);
  }
  return ends;
}

async function readSegment({ volume, crc32 }: InspectOptions, slot: number): Promise<ReadSegment> {
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

function walkOf(
  { header, bytes, startOffset }: ReadSegment,
  ends: ReadonlyMap<number, number>,
  { crc32 }: InspectOptions,
): Walk {
  if (header === undefined) return { batches: [], damaged: [], torn: [], endOffset: 0 };
  const seed = segmentSeed(crc32, header.salt, header.epoch);
  const end = Math.min(ends.get(header.epoch) ?? bytes.length, bytes.length);
  return walkBatches(bytes, startOffset, end, header.epoch, crc32, seed);
}

function describeSegment(
  segment: ReadSegment,
  newest: SegmentHeader | undefined,
  ends: ReadonlyMap<number, number>,
  options: InspectOptions,
): InspectedSegment {
  const { slot, header } = segment;
  const walk = walkOf(segment, ends, options);
  const tabledEpoch = epochInTable(slot, newest);
  const isLive = tabledEpoch !== undefined && header?.epoch === tabledEpoch;
  const { damage, isLost } = faultsOf(segment, newest);
  const cutShort: string[] = [];
  if (header === undefined && !isBlank(segment)) {
    if (tabledEpoch === undefined && !holdsNewer(segment, newest)) cutShort.push(OPENING_CUT_SHORT);
    else damage.push('The segment header cannot be read.');
  }
  if (isLive) {
    const end = ends.get(tabledEpoch);
    const found = damageIn(walk, end);
    damage.push(...found);
    if (found.length > 0) damage.push(...lossIn(walk, end !== undefined, header, newest));
    if (end === undefined) cutShort.push(...walk.torn.map(cutShortSentence));
  }
  const isUnreadable = damage.length > 0 && header === undefined;
  return {
    slot,
    epoch: (isLost ? tabledEpoch : header?.epoch) ?? 0,
    state: isLost ? 'lost' : isLive ? 'live' : isUnreadable ? 'damaged' : 'free',
    batches: walk.batches.filter(({ sound }) => sound).length,
    records: walk.batches.reduce(
      (sum, { header: batch, sound }) => sum + (sound ? batch.count : 0),
      0,
    ),
    usedBytes: walk.endOffset,
    partitions: partitionsIn(walk, newest ?? header),
    damage,
    cutShort,
  };
}

function isBlank({ bytes }: ReadSegment): boolean {
  return isZero(bytes.subarray(0, PAGE_BYTES));
}

/**
 * Whether a slot that the newest header does not count as live had a newer segment all the same. One
 * batch of it proves nothing: it is written together with the header, so a cut may have spared it
 * alone, and nobody was told that it is durable.
 */
function holdsNewer({ bytes }: ReadSegment, newest: SegmentHeader | undefined): boolean {
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

function describeMissing(slot: number, newest: SegmentHeader): InspectedSegment {
  const epoch = epochInTable(slot, newest);
  return {
    slot,
    epoch: epoch ?? 0,
    state: epoch === undefined ? 'damaged' : 'lost',
    batches: 0,
    records: 0,
    usedBytes: 0,
    partitions: [],
    damage: [
      epoch === undefined
        ? 'Its file is not there.'
        : `The live segment of epoch ${epoch} is gone: its file is not there.`,
    ],
    cutShort: [],
  };
}

function epochInTable(slot: number, newest: SegmentHeader | undefined): number | undefined {
  return newest?.live.find((entry) => entry.slot === slot)?.epoch;
}

/** What is wrong with the slot as a whole, and whether a live segment is gone from it. */
function faultsOf(
  segment: ReadSegment,
  newest: SegmentHeader | undefined,
): { readonly damage: string[]; readonly isLost: boolean } {
  const { slot, header, bytes } = segment;
  const damage: string[] = [];
  const tabledEpoch = epochInTable(slot, newest);
  let isLost = false;
  if (segment.unreadablePages > 0) {
    damage.push(`The device refuses to read ${segment.unreadablePages} of its pages.`);
  }
  if (tabledEpoch !== undefined && header === undefined && isBlank(segment)) {
    isLost = true;
    damage.push(`The live segment of epoch ${tabledEpoch} is gone: its header is all zeros.`);
  } else if (tabledEpoch !== undefined && header !== undefined && header.epoch !== tabledEpoch) {
    isLost = true;
    damage.push(
      `The live segment of epoch ${tabledEpoch} is gone: its slot holds epoch ${header.epoch}.`,
    );
  }
  // The slots behind these may be on their way to be made: the ring was told to grow.
  const isOurs = newest !== undefined && slot < newest.slotCount;
  if (isOurs && bytes.length < newest.segmentSizeBytes) {
    damage.push(`Its file has ${bytes.length} of ${newest.segmentSizeBytes} bytes.`);
  }
  return { damage, isLost };
}

/** `end` is where the segment ends, as its successor says; undefined for the last one. */
function damageIn(walk: Walk, end: number | undefined): string[] {
  const bad = end === undefined ? walk.damaged : [...walk.damaged, ...walk.torn];
  const damage = bad.map(
    ({ position, lengthBytes }) => `${lengthBytes} bytes from ${position} on are damaged.`,
  );
  if (end !== undefined && walk.torn.length === 0 && walk.endOffset < end) {
    damage.push(`${end - walk.endOffset} bytes from ${walk.endOffset} on are gone.`);
  }
  return damage;
}

/**
 * The offsets that damage has taken: those of batches whose header alone is left, and what is missing
 * of a partition between its batches before and after.
 */
function lossIn(
  { batches, torn }: Walk,
  endIsKnown: boolean,
  header: SegmentHeader,
  newest: SegmentHeader | undefined,
): string[] {
  const expected = new Map(header.partitions.map(({ id, tailOffset }) => [id, tailOffset]));
  const names = new Map((newest ?? header).partitions.map(({ id, stream }) => [id, stream]));
  const lost: string[] = [];
  const lose = (id: number, first: number, end: number): void => {
    if (end <= first) return;
    lost.push(`${names.get(id) ?? '?'} (partition id ${id}) ${first} to ${end - 1}`);
  };
  const unpromised = new Set(endIsKnown ? [] : torn.map((bad) => bad.header));
  for (const { header: batch, sound } of batches) {
    if (unpromised.has(batch)) continue;
    for (const { id, stream } of batch.partitions) names.set(id, stream);
    for (const { partitionId, firstOffset, count } of batch.runs) {
      lose(partitionId, expected.get(partitionId) ?? firstOffset, firstOffset);
      if (!sound) lose(partitionId, firstOffset, firstOffset + count);
      expected.set(partitionId, firstOffset + count);
    }
  }
  return lost.length === 0 ? [] : [`Offsets lost: ${lost.join(', ')}.`];
}

function cutShortSentence({ position, lengthBytes }: BadPages): string {
  return (
    `${lengthBytes} bytes from ${position} on are a commit that was cut short, as by a power cut: ` +
    'nothing in it was acknowledged.'
  );
}

function partitionsIn(
  walk: Walk,
  header: SegmentHeader | undefined,
): InspectedSegment['partitions'] {
  const found = new Map<number, { firstOffset: number; lastOffset: number; records: number }>();
  const note = (id: number, first: number, last: number, count: number): void => {
    const known = found.get(id) ?? { firstOffset: first, lastOffset: last, records: 0 };
    known.firstOffset = Math.min(known.firstOffset, first);
    known.lastOffset = Math.max(known.lastOffset, last);
    known.records += count;
    found.set(id, known);
  };
  const names = new Map(header?.partitions.map(({ id, stream }) => [id, stream]));
  for (const { header: batch, sound } of walk.batches) {
    if (!sound) continue;
    for (const { id, stream } of batch.partitions) names.set(id, stream);
    for (const run of batch.runs) {
      note(run.partitionId, run.firstOffset, run.firstOffset + run.count - 1, run.count);
    }
    for (const run of batch.carried) {
      note(run.partitionId, run.firstOffset, run.lastOffset, run.count);
    }
  }
  return [...found].map(([id, entry]) => ({ id, stream: names.get(id) ?? '?', ...entry }));
}

function* recordsOf(
  { bytes }: ReadSegment,
  walk: Walk,
  compressor: Compressor,
): Generator<RecordView> {
  const names: SourceNames = [];
  for (const { header, sound } of walk.batches) {
    if (!sound) continue;
    const at = header.position + header.headerLength;
    try {
      const stored = bytes.subarray(at, at + header.storedLength);
      yield* decodeRecords(unpackBody(stored, header, compressor, true), header, names);
    } catch (error) {
      // A batch that cannot be decoded is left out, as a start leaves it out.
      if (!(error instanceof CisternError)) throw error;
    }
  }
}
