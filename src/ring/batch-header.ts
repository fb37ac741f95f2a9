import type { Crc32 } from '../platform/compression.ts';
import { ByteReader, type ByteWriter, readU64, viewOf, writeU64 } from './bytes.ts';
import { BATCH_CLOCK_TRUSTED, BATCH_LETS_GO, BATCH_MAGIC, PAGE_BYTES, toPages } from './format.ts';
import type { EventTime } from './types.ts';

/** Fresh records of one partition: in one batch their offsets have no gap. */
export interface FreshRun {
  readonly partitionId: number;
  readonly firstOffset: number;
  readonly count: number;
  /** Attributes and payload. */
  readonly bytes: number;
  /** Of the topics and client ids that were defined with its records. */
  readonly nameBytes: number;
}

/** Copies of one partition, by rising offset and sequence: some of those in between. */
export interface CarriedRun {
  readonly partitionId: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly count: number;
  /** Attributes and payload. */
  readonly bytes: number;
  /** Of the topics and client ids that were defined with its records. */
  readonly nameBytes: number;
}

/** A partition made since the segment's header was written; else the header names it. */
export interface PartitionDefinition {
  readonly id: number;
  readonly stream: string;
  readonly index: number;
}

/** What a batch with BATCH_LETS_GO says. */
export interface LetGo {
  /** Of the segment that is not live any more. */
  readonly epoch: number;
  /** The heads of the streams' partitions that it held records of. */
  readonly heads: readonly { readonly partitionId: number; readonly headOffset: number }[];
}

export interface BatchHeader {
  /** In bytes from the start of the slot. */
  readonly position: number;
  readonly epoch: number;
  /** Sequence of the first fresh record, or of the next one where there is none. */
  readonly firstSequence: number;
  readonly freshCount: number;
  /** Fresh and carried. */
  readonly count: number;
  readonly flags: number;
  readonly headerLength: number;
  readonly storedLength: number;
  readonly unpackedLength: number;
  readonly definitionCount: number;
  /** Header CRC of the batch before, across segments. */
  readonly previousCrc: number;
  readonly headerCrc: number;
  readonly bodyCrc: number;
  /** The clock when the batch was opened. */
  readonly clock: EventTime;
  readonly runs: readonly FreshRun[];
  readonly carried: readonly CarriedRun[];
  readonly partitions: readonly PartitionDefinition[];
  readonly letsGo?: LetGo | undefined;
}

export const BATCH_FIXED_BYTES = 84;
/** The header's length is a 16-bit field; a batch is closed before its runs need more. */
export const MAX_BATCH_HEADER_BYTES = 32_768;

export function batchLength(header: BatchHeader): number {
  return toPages(header.headerLength + header.storedLength);
}

/** The variable part: fresh runs, carried runs, partition definitions, what is let go. */
export function encodeRuns(
  writer: ByteWriter,
  runs: readonly FreshRun[],
  carried: readonly CarriedRun[],
  partitions: readonly PartitionDefinition[],
  letsGo?: LetGo,
): void {
  for (const run of runs) encodeFreshRun(writer, run);
  for (const run of carried) encodeCarriedRun(writer, run);
  for (const partition of partitions) {
    writer.varint(partition.id);
    writer.text(partition.stream);
    writer.varint(partition.index);
  }
  if (letsGo !== undefined) encodeLetGo(writer, letsGo);
}

function encodeLetGo(writer: ByteWriter, { epoch, heads }: LetGo): void {
  writer.varint(epoch);
  writer.varint(heads.length);
  for (const { partitionId, headOffset } of heads) {
    writer.varint(partitionId);
    writer.varint(headOffset);
  }
}

function decodeLetGo(reader: ByteReader): LetGo {
  const epoch = reader.varint();
  const count = reader.varint();
  const heads = Array.from({ length: count }, () => ({
    partitionId: reader.varint(),
    headOffset: reader.varint(),
  }));
  return { epoch, heads };
}

export function encodeFreshRun(writer: ByteWriter, run: FreshRun): void {
  writer.varint(run.partitionId);
  writer.varint(run.firstOffset);
  writer.varint(run.count);
  writer.varint(run.bytes);
  writer.varint(run.nameBytes);
}

export function decodeFreshRun(reader: ByteReader): FreshRun {
  return {
    partitionId: reader.varint(),
    firstOffset: reader.varint(),
    count: reader.varint(),
    bytes: reader.varint(),
    nameBytes: reader.varint(),
  };
}

export function encodeCarriedRun(writer: ByteWriter, run: CarriedRun): void {
  writer.varint(run.partitionId);
  writer.varint(run.firstOffset);
  writer.varint(run.lastOffset - run.firstOffset);
  writer.varint(run.firstSequence);
  writer.varint(run.lastSequence - run.firstSequence);
  writer.varint(run.count);
  writer.varint(run.bytes);
  writer.varint(run.nameBytes);
}

export function decodeCarriedRun(reader: ByteReader): CarriedRun {
  const partitionId = reader.varint();
  const firstOffset = reader.varint();
  const lastOffset = firstOffset + reader.varint();
  const firstSequence = reader.varint();
  const lastSequence = firstSequence + reader.varint();
  const range = { firstOffset, lastOffset, firstSequence, lastSequence };
  const [count, bytes, nameBytes] = [reader.varint(), reader.varint(), reader.varint()];
  return { partitionId, ...range, count, bytes, nameBytes };
}

/**
 * Writes the header at the start of `bytes`, whose variable part is there already, and returns the
 * header's CRC. Both CRCs start from the segment's seed.
 */
export function sealBatchHeader(
  bytes: Uint8Array,
  header: Omit<BatchHeader, 'headerCrc'>,
  crc32: Crc32,
  seed: number,
): number {
  const view = viewOf(bytes);
  view.setUint32(0, BATCH_MAGIC, true);
  view.setUint32(8, header.bodyCrc, true);
  view.setUint16(12, header.headerLength, true);
  view.setUint16(14, header.flags | (header.clock.trusted ? BATCH_CLOCK_TRUSTED : 0), true);
  writeU64(view, 16, header.epoch);
  writeU64(view, 24, header.firstSequence);
  view.setUint32(32, header.storedLength, true);
  view.setUint32(36, header.unpackedLength, true);
  view.setUint32(40, header.count, true);
  view.setUint32(44, header.freshCount, true);
  view.setUint32(48, header.previousCrc, true);
  view.setUint32(52, header.position / PAGE_BYTES, true);
  view.setUint32(56, header.clock.bootNumber, true);
  view.setUint16(60, header.definitionCount, true);
  view.setUint16(62, header.partitions.length, true);
  view.setFloat64(64, header.clock.monotonicMs, true);
  view.setFloat64(72, header.clock.wallMs, true);
  view.setUint16(80, header.runs.length, true);
  view.setUint16(82, header.carried.length, true);
  const headerCrc = crc32(bytes.subarray(8, header.headerLength), seed);
  view.setUint32(4, headerCrc, true);
  return headerCrc;
}

/** True where `bytes` has a batch's magic at `position`; nothing is proved by that. */
export function looksLikeBatch(bytes: Uint8Array, position: number): boolean {
  if (position + BATCH_FIXED_BYTES > bytes.length) return false;
  return viewOf(bytes).getUint32(position, true) === BATCH_MAGIC;
}

/** The epoch a batch claims, before any CRC is checked. */
export function claimedEpoch(bytes: Uint8Array, position: number): number {
  return readU64(viewOf(bytes), position + 16);
}

/**
 * Reads the batch header at `at` in `bytes`; undefined unless its CRC holds and it belongs at
 * `position` in its slot.
 */
export function decodeBatchHeader(
  bytes: Uint8Array,
  at: number,
  position: number,
  crc32: Crc32,
  seed: number,
): BatchHeader | undefined {
  if (!looksLikeBatch(bytes, at)) return undefined;
  const headerLength = viewOf(bytes).getUint16(at + 12, true);
  if (headerLength < BATCH_FIXED_BYTES || at + headerLength > bytes.length) return undefined;
  const headerCrc = viewOf(bytes).getUint32(at + 4, true);
  if (crc32(bytes.subarray(at + 8, at + headerLength), seed) !== headerCrc) return undefined;
  const header = decodeFields(bytes.subarray(at, at + headerLength), headerCrc);
  return header.position === position ? header : undefined;
}

function decodeFields(bytes: Uint8Array, headerCrc: number): BatchHeader {
  const view = viewOf(bytes);
  const flags = view.getUint16(14, true);
  const reader = new ByteReader(bytes, BATCH_FIXED_BYTES);
  const runs: FreshRun[] = [];
  for (let n = view.getUint16(80, true); n > 0; n--) {
    runs.push(decodeFreshRun(reader));
  }
  const carried: CarriedRun[] = [];
  for (let n = view.getUint16(82, true); n > 0; n--) {
    carried.push(decodeCarriedRun(reader));
  }
  const partitions: PartitionDefinition[] = [];
  for (let n = view.getUint16(62, true); n > 0; n--) {
    partitions.push({ id: reader.varint(), stream: reader.text(), index: reader.varint() });
  }
  return {
    position: view.getUint32(52, true) * PAGE_BYTES,
    epoch: readU64(view, 16),
    firstSequence: readU64(view, 24),
    freshCount: view.getUint32(44, true),
    count: view.getUint32(40, true),
    flags,
    headerLength: bytes.length,
    storedLength: view.getUint32(32, true),
    unpackedLength: view.getUint32(36, true),
    definitionCount: view.getUint16(60, true),
    previousCrc: view.getUint32(48, true),
    headerCrc,
    bodyCrc: view.getUint32(8, true),
    clock: {
      bootNumber: view.getUint32(56, true),
      monotonicMs: view.getFloat64(64, true),
      wallMs: view.getFloat64(72, true),
      trusted: (flags & BATCH_CLOCK_TRUSTED) !== 0,
    },
    runs,
    carried,
    partitions,
    letsGo: (flags & BATCH_LETS_GO) === 0 ? undefined : decodeLetGo(reader),
  };
}

/** True where the stored body of `header`, whose first byte is at `at`, has the right CRC. */
export function bodyIsSound(
  bytes: Uint8Array,
  at: number,
  header: BatchHeader,
  crc32: Crc32,
  seed: number,
): boolean {
  if (at + header.storedLength > bytes.length) return false;
  const bodyCrc = crc32(bytes.subarray(at, at + header.storedLength), seed);
  return bodyCrc === header.bodyCrc;
}
