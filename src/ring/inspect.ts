import { CisternError } from '../base/errors.ts';
import type { Compressor, Crc32 } from '../platform/compression.ts';
import type { Volume } from '../platform/volume.ts';
import { decodeRecords, type SourceNames, unpackBody } from './batch-reader.ts';
import { isZero, segmentSeed } from './format.ts';
import { decodeSegmentHeader, type SegmentHeader } from './segment-header.ts';
import { slotName, slotOfName } from './slot-files.ts';
import type { RecordView } from './types.ts';
import { type Walk, walkBatches } from './walk.ts';

export interface InspectedSegment {
  readonly slot: number;
  /** 0 where its header cannot be read. */
  readonly epoch: number;
  /** `live` by the newest header's table; `free` is an older lap or zeros; `damaged` has no header. */
  readonly state: 'live' | 'free' | 'damaged';
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
}

export interface InspectOptions {
  readonly volume: Volume;
  readonly crc32: Crc32;
  readonly compressor: Compressor;
}

interface ReadSegment {
  readonly slot: number;
  readonly bytes: Uint8Array;
  readonly header: SegmentHeader | undefined;
  readonly startOffset: number;
}

/**
 * Looks at every slot of a ring without writing anything, in the order of the slots: what
 * `cistern log inspect` and `log verify` print. Every CRC is checked. The ring may be in use.
 */
export async function* inspectRing(options: InspectOptions): AsyncGenerator<InspectedSegment> {
  const slots = await slotsOf(options.volume);
  const newest = await newestHeader(options, slots);
  const ends = await endsOf(options, slots, newest);
  for (const slot of slots) {
    const segment = await readSegment(options, slot);
    yield describeSegment(segment, newest, ends, options);
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
    if (walkOf(segment, new Map(), options).batches.some(({ sound }) => sound)) newest = header;
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
    await file.read(0, bytes);
    const read = decodeSegmentHeader(bytes, crc32);
    if (read.kind !== 'valid') return { slot, bytes, header: undefined, startOffset: 0 };
    return { slot, bytes, header: read.header, startOffset: read.lengthBytes };
  } finally {
    await file.close();
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
  const { slot, header, bytes } = segment;
  const walk = walkOf(segment, ends, options);
  const isLive =
    newest?.live.some((entry) => entry.slot === slot && entry.epoch === header?.epoch) ?? false;
  const damage: string[] = [];
  if (header === undefined && !isZero(bytes.subarray(0, 4096))) {
    damage.push('The segment header cannot be read.');
  }
  for (const { position, lengthBytes } of isLive ? walk.damaged : []) {
    damage.push(`${lengthBytes} bytes from ${position} on are damaged.`);
  }
  const isSealed = header !== undefined && ends.has(header.epoch);
  for (const { position, lengthBytes } of isLive ? walk.torn : []) {
    const what = isSealed ? 'are damaged' : 'are a commit that was cut short';
    damage.push(`${lengthBytes} bytes from ${position} on ${what}.`);
  }
  return {
    slot,
    epoch: header?.epoch ?? 0,
    state: damage.length > 0 && header === undefined ? 'damaged' : isLive ? 'live' : 'free',
    batches: walk.batches.filter(({ sound }) => sound).length,
    records: walk.batches.reduce(
      (sum, { header: batch, sound }) => sum + (sound ? batch.count : 0),
      0,
    ),
    usedBytes: walk.endOffset,
    partitions: partitionsIn(walk, newest ?? header),
    damage,
  };
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
