import type { Crc32 } from '../platform/compression.ts';
import { ByteReader, ByteWriter, viewOf } from './bytes.ts';
import { PAGE_BYTES, SUMMARY_MAGIC, toPages } from './format.ts';
import type { SourceNames } from './batch-reader.ts';
import {
  type CarriedRun,
  decodeCarriedRun,
  decodeFreshRun,
  encodeCarriedRun,
  encodeFreshRun,
  type FreshRun,
} from './batch-header.ts';
import type { ExtentRange } from './extent.ts';
import { type BatchPlace, Segment, type SegmentDetail } from './segment.ts';

/** magic, CRC, length of the content. */
const FIXED_BYTES = 12;

/** Encodes what a sealed segment holds, padded to whole pages. */
export function encodeSummary(
  segment: Segment,
  detail: SegmentDetail,
  crc32: Crc32,
  seed: number,
): Uint8Array {
  const writer = new ByteWriter(PAGE_BYTES);
  writer.varint(segment.epoch);
  writer.varint(segment.startOffset);
  writer.varint(segment.endOffset);
  writer.varint(segment.firstSequence);
  writer.varint(segment.lastSequence);
  writer.varint(segment.flags);
  writer.varint(segment.lastCrc);
  encodeExtents(writer, segment);
  encodeBatches(writer, detail.batches, segment.startOffset);
  encodeSources(writer, detail.sources);
  const content = writer.written();
  const bytes = new Uint8Array(toPages(FIXED_BYTES + content.length));
  const view = viewOf(bytes);
  view.setUint32(0, SUMMARY_MAGIC, true);
  view.setUint32(8, content.length, true);
  bytes.set(content, FIXED_BYTES);
  view.setUint32(4, crc32(bytes.subarray(8, FIXED_BYTES + content.length), seed), true);
  return bytes;
}

/** How long the summary is whose first bytes these are; 0 where there is none. */
export function summaryLength(bytes: Uint8Array): number {
  if (bytes.length < FIXED_BYTES) return 0;
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== SUMMARY_MAGIC) return 0;
  return FIXED_BYTES + view.getUint32(8, true);
}

export interface DecodedSummary {
  readonly segment: Segment;
  /** Read when it is asked for: a start does without. */
  detail(): SegmentDetail;
}

/** Undefined where it is torn, damaged, or of another epoch: then the segment is walked. */
export function decodeSummary(
  bytes: Uint8Array,
  slot: number,
  epoch: number,
  crc32: Crc32,
  seed: number,
): DecodedSummary | undefined {
  const length = summaryLength(bytes);
  if (length === 0 || length > bytes.length) return undefined;
  if (crc32(bytes.subarray(8, length), seed) !== viewOf(bytes).getUint32(4, true)) return undefined;
  const reader = new ByteReader(bytes.subarray(0, length), FIXED_BYTES);
  if (reader.varint() !== epoch) return undefined;
  const segment = new Segment(slot, epoch, reader.varint());
  segment.endOffset = reader.varint();
  segment.firstSequence = reader.varint();
  segment.lastSequence = reader.varint();
  segment.flags = reader.varint();
  segment.lastCrc = reader.varint();
  segment.state = 'sealed';
  decodeExtents(reader, segment);
  const detail = (): SegmentDetail => {
    const batches = decodeBatches(reader, segment.startOffset);
    return { batches, sources: decodeSources(reader) };
  };
  return { segment, detail };
}

function encodeExtents(writer: ByteWriter, segment: Segment): void {
  writer.varint(segment.extents.size);
  for (const { partitionId, fresh, carried } of segment.extents.values()) {
    writer.varint(partitionId);
    writer.varint(fresh === undefined ? 0 : 1);
    if (fresh !== undefined) encodeRange(writer, fresh);
    writer.varint(carried.length);
    for (const range of carried) encodeRange(writer, range);
  }
}

function encodeRange(writer: ByteWriter, range: ExtentRange): void {
  writer.varint(range.firstOffset);
  writer.varint(range.lastOffset - range.firstOffset);
  writer.varint(range.firstSequence);
  writer.varint(range.lastSequence - range.firstSequence);
  writer.varint(range.count);
  writer.varint(range.bytes);
  writer.varint(range.nameBytes);
  writer.varint(range.isWhole ? 1 : 0);
}

function decodeExtents(reader: ByteReader, segment: Segment): void {
  for (let n = reader.varint(); n > 0; n--) {
    const extent = segment.extentOf(reader.varint());
    if (reader.varint() > 0) extent.addFresh(decodeRange(reader));
    for (let range = reader.varint(); range > 0; range--) extent.addCarried(decodeRange(reader));
  }
}

function decodeRange(reader: ByteReader): ExtentRange {
  const firstOffset = reader.varint();
  const lastOffset = firstOffset + reader.varint();
  const firstSequence = reader.varint();
  const lastSequence = firstSequence + reader.varint();
  return {
    firstOffset,
    lastOffset,
    firstSequence,
    lastSequence,
    count: reader.varint(),
    bytes: reader.varint(),
    nameBytes: reader.varint(),
    isWhole: reader.varint() === 1,
  };
}

function encodeBatches(
  writer: ByteWriter,
  batches: readonly BatchPlace[],
  startOffset: number,
): void {
  writer.varint(batches.length);
  let end = startOffset;
  for (const batch of batches) {
    // Damage can leave a gap between two batches, so the distance is written too.
    writer.varint((batch.position - end) / PAGE_BYTES);
    writer.varint(batch.lengthBytes / PAGE_BYTES);
    writer.varint(batch.firstSequence);
    writer.varint(batch.freshCount);
    writer.varint(batch.flags);
    writer.varint(batch.runs.length);
    for (const run of batch.runs) encodeFreshRun(writer, run);
    writer.varint(batch.carried.length);
    for (const run of batch.carried) encodeCarriedRun(writer, run);
    end = batch.position + batch.lengthBytes;
  }
}

function decodeBatches(reader: ByteReader, startOffset: number): BatchPlace[] {
  const batches: BatchPlace[] = [];
  let end = startOffset;
  for (let n = reader.varint(); n > 0; n--) {
    const position = end + reader.varint() * PAGE_BYTES;
    const lengthBytes = reader.varint() * PAGE_BYTES;
    const firstSequence = reader.varint();
    const freshCount = reader.varint();
    const flags = reader.varint();
    const runs: FreshRun[] = [];
    for (let run = reader.varint(); run > 0; run--) runs.push(decodeFreshRun(reader));
    const carried: CarriedRun[] = [];
    for (let run = reader.varint(); run > 0; run--) carried.push(decodeCarriedRun(reader));
    batches.push({ position, lengthBytes, firstSequence, freshCount, flags, runs, carried });
    end = position + lengthBytes;
  }
  return batches;
}

function encodeSources(writer: ByteWriter, sources: SegmentDetail['sources']): void {
  let count = 0;
  for (const entry of sources) if (entry !== undefined) count++;
  writer.varint(count);
  sources.forEach((entry, number) => {
    if (entry === undefined) return;
    writer.varint(number);
    writer.varint(entry.count);
    writer.varint(entry.firstSequence);
    writer.varint(Math.max(0, entry.lastSequence - entry.firstSequence));
    writer.text(entry.topic);
    writer.text(entry.origin);
  });
}

function decodeSources(reader: ByteReader): SourceNames {
  const sources: SourceNames = [];
  for (let n = reader.varint(); n > 0; n--) {
    const number = reader.varint();
    const count = reader.varint();
    const firstSequence = reader.varint();
    const lastSequence = firstSequence + reader.varint();
    sources[number] = {
      count,
      firstSequence,
      lastSequence,
      topic: reader.text(),
      origin: reader.text(),
    };
  }
  return sources;
}
