import { CisternError } from '../base/errors.ts';
import type { Crc32 } from '../platform/compression.ts';
import { ByteReader, ByteWriter, readU64, viewOf, writeU64 } from './bytes.ts';
import { FORMAT_VERSION, PAGE_BYTES, SEGMENT_MAGIC, toPages } from './format.ts';

/** What a partition was when a segment began. */
export interface PartitionEntry {
  readonly id: number;
  readonly stream: string;
  readonly index: number;
  readonly headOffset: number;
  readonly tailOffset: number;
}

/** Where the segment before ended; what lies there beyond `endOffset` is void. */
export interface PreviousEnd {
  /** 0 where there is none. */
  readonly epoch: number;
  /** In bytes from the start of its slot. */
  readonly endOffset: number;
  readonly lastSequence: number;
  /** Header CRC of its last batch. */
  readonly lastCrc: number;
  /** Batches from here on were copied into the first batch of this segment; 0 for none. */
  readonly copiedFrom: number;
}

export interface SegmentHeader {
  readonly ringId: Uint8Array;
  readonly salt: number;
  readonly slot: number;
  readonly epoch: number;
  readonly nextSlot: number;
  readonly segmentSizeBytes: number;
  readonly slotCount: number;
  readonly bootNumber: number;
  readonly bootId: string;
  readonly checkpointSequence: number;
  /** True where recovery let the tails jump, so that a gap before them is no loss. */
  readonly tailsJumped: boolean;
  readonly governorTokens: number;
  readonly nextPartitionId: number;
  readonly previous: PreviousEnd;
  /** Slot and epoch of every live segment, this one included. */
  readonly live: readonly { readonly slot: number; readonly epoch: number }[];
  readonly retiredSlots: readonly number[];
  readonly partitions: readonly PartitionEntry[];
}

export type HeaderRead =
  | { readonly kind: 'valid'; readonly header: SegmentHeader; readonly lengthBytes: number }
  | { readonly kind: 'longer'; readonly lengthBytes: number }
  | { readonly kind: 'invalid' };

const FIXED_BYTES = 44;
const MAX_LENGTH_BYTES = 1 << 20;

/**
 * Encodes the header, padded with zeros to whole pages, or to `lengthBytes` where the room was set
 * aside before. The CRC is not salted, since the salt is read from here.
 */
export function encodeSegmentHeader(
  header: SegmentHeader,
  crc32: Crc32,
  lengthBytes = 0,
): Uint8Array {
  const variable = encodeVariable(header);
  const length = Math.max(lengthBytes, toPages(FIXED_BYTES + variable.length));
  const bytes = new Uint8Array(length);
  const view = viewOf(bytes);
  view.setUint32(0, SEGMENT_MAGIC, true);
  view.setUint32(8, length, true);
  view.setUint16(12, FORMAT_VERSION, true);
  view.setUint16(14, header.tailsJumped ? 1 : 0, true);
  bytes.set(header.ringId, 16);
  view.setUint32(32, header.salt, true);
  writeU64(view, 36, header.epoch);
  bytes.set(variable, FIXED_BYTES);
  view.setUint32(4, crc32(bytes.subarray(8), 0), true);
  return bytes;
}

function encodeVariable(header: SegmentHeader): Uint8Array {
  const writer = new ByteWriter(PAGE_BYTES);
  writer.varint(header.slot);
  writer.varint(header.nextSlot);
  writer.varint(header.slotCount);
  writer.varint(header.segmentSizeBytes);
  writer.varint(header.bootNumber);
  writer.text(header.bootId);
  writer.varint(header.checkpointSequence);
  writer.f64(header.governorTokens);
  writer.varint(header.nextPartitionId);
  writer.varint(header.previous.epoch);
  writer.varint(header.previous.endOffset);
  writer.varint(header.previous.lastSequence);
  writer.varint(header.previous.lastCrc);
  writer.varint(header.previous.copiedFrom);
  writer.varint(header.live.length);
  for (const { slot, epoch } of header.live) {
    writer.varint(slot);
    writer.varint(epoch);
  }
  writer.varint(header.retiredSlots.length);
  for (const slot of header.retiredSlots) writer.varint(slot);
  writer.varint(header.partitions.length);
  for (const partition of header.partitions) {
    writer.varint(partition.id);
    writer.text(partition.stream);
    writer.varint(partition.index);
    writer.varint(partition.headOffset);
    writer.varint(partition.tailOffset);
  }
  return writer.written();
}

/**
 * Reads the header at the start of `bytes`. `longer` asks for that many bytes instead.
 * Throws RING_FORMAT_UNKNOWN for a valid header of a newer version.
 */
export function decodeSegmentHeader(bytes: Uint8Array, crc32: Crc32): HeaderRead {
  const view = viewOf(bytes);
  if (bytes.length < PAGE_BYTES || view.getUint32(0, true) !== SEGMENT_MAGIC) {
    return { kind: 'invalid' };
  }
  const length = view.getUint32(8, true);
  if (length < PAGE_BYTES || length % PAGE_BYTES !== 0 || length > MAX_LENGTH_BYTES) {
    return { kind: 'invalid' };
  }
  if (length > bytes.length) return { kind: 'longer', lengthBytes: length };
  const crc = crc32(bytes.subarray(8, length), 0);
  if (crc !== view.getUint32(4, true)) return { kind: 'invalid' };
  const version = view.getUint16(12, true);
  if (version > FORMAT_VERSION) {
    throw new CisternError(
      'RING_FORMAT_UNKNOWN',
      `The ring has format version ${version}; this program knows up to ${FORMAT_VERSION}.`,
      { remedy: 'Start the newer program that wrote it, or choose another storage.path.' },
    );
  }
  return {
    kind: 'valid',
    header: decodeFields(bytes.subarray(0, length), view),
    lengthBytes: length,
  };
}

function decodeFields(bytes: Uint8Array, view: DataView): SegmentHeader {
  const reader = new ByteReader(bytes, FIXED_BYTES);
  return {
    ringId: bytes.slice(16, 32),
    salt: view.getUint32(32, true),
    epoch: readU64(view, 36),
    tailsJumped: (view.getUint16(14, true) & 1) !== 0,
    slot: reader.varint(),
    nextSlot: reader.varint(),
    slotCount: reader.varint(),
    segmentSizeBytes: reader.varint(),
    bootNumber: reader.varint(),
    bootId: reader.text(),
    checkpointSequence: reader.varint(),
    governorTokens: reader.f64(),
    nextPartitionId: reader.varint(),
    previous: {
      epoch: reader.varint(),
      endOffset: reader.varint(),
      lastSequence: reader.varint(),
      lastCrc: reader.varint(),
      copiedFrom: reader.varint(),
    },
    live: times(reader.varint(), () => ({ slot: reader.varint(), epoch: reader.varint() })),
    retiredSlots: times(reader.varint(), () => reader.varint()),
    partitions: times(reader.varint(), () => ({
      id: reader.varint(),
      stream: reader.text(),
      index: reader.varint(),
      headOffset: reader.varint(),
      tailOffset: reader.varint(),
    })),
  };
}

function times<T>(count: number, make: () => T): T[] {
  const made: T[] = [];
  for (let n = 0; n < count; n++) made.push(make());
  return made;
}
