import type { Compressor, Crc32 } from '../platform/compression.ts';
import { CisternError } from '../base/errors.ts';
import {
  type BatchHeader,
  batchLength,
  bodyIsSound,
  claimedEpoch,
  decodeBatchHeader,
  looksLikeBatch,
} from './batch-header.ts';
import { type DecodedRecord, decodeRecords, type SourceNames, unpackBody } from './batch-reader.ts';
import { PAGE_BYTES } from './format.ts';
import { placeOf, type Segment, type SegmentDetail } from './segment.ts';

export interface WalkedBatch {
  readonly header: BatchHeader;
  /** False: only the header can be believed. */
  readonly sound: boolean;
}

export interface BadPages {
  readonly position: number;
  readonly lengthBytes: number;
  /** Known where the header survived. */
  readonly header: BatchHeader | undefined;
}

export interface Walk {
  /** In order of place; those that are not sound are also in `bad`. */
  readonly batches: readonly WalkedBatch[];
  /** In front of a sound batch, so they were durable once: media damage. */
  readonly damaged: readonly BadPages[];
  /** Behind the last sound batch: the tail of a commit that the power cut, or nothing at all. */
  readonly torn: readonly BadPages[];
  readonly endOffset: number;
}

/**
 * Walks the batches of one epoch in a slot. `bytes` is the slot's content from its start.
 *
 * Only one batch is ever in flight, so a sound batch behind a bad one proves that the bad one was
 * durable once. After a failure the walk goes on page by page.
 */
export function walkBatches(
  bytes: Uint8Array,
  startOffset: number,
  endOffset: number,
  epoch: number,
  crc32: Crc32,
  seed: number,
): Walk {
  const batches: WalkedBatch[] = [];
  const damaged: BadPages[] = [];
  let pending: BadPages[] = [];
  let soundEnd = startOffset;
  let position = startOffset;
  while (position + PAGE_BYTES <= endOffset) {
    const header = decodeBatchHeader(bytes, position, position, crc32, seed);
    if (header === undefined || header.epoch !== epoch) {
      if (looksLikeOurs(bytes, position, epoch)) {
        pending.push({ position, lengthBytes: PAGE_BYTES, header: undefined });
      }
      position += PAGE_BYTES;
      continue;
    }
    const lengthBytes = batchLength(header);
    const sound = bodyIsSound(bytes, position + header.headerLength, header, crc32, seed);
    batches.push({ header, sound });
    if (sound) {
      if (position > soundEnd && pending.length === 0) {
        pending.push({ position: soundEnd, lengthBytes: position - soundEnd, header: undefined });
      }
      damaged.push(...pending);
      pending = [];
      soundEnd = position + lengthBytes;
    } else {
      pending.push({ position, lengthBytes, header });
    }
    position += lengthBytes;
  }
  return { batches, damaged, torn: pending, endOffset: soundEnd };
}

function looksLikeOurs(bytes: Uint8Array, position: number, epoch: number): boolean {
  return looksLikeBatch(bytes, position) && claimedEpoch(bytes, position) === epoch;
}

/** What {@link describe} must know besides the bytes. */
export interface Described {
  readonly bytes: Uint8Array;
  readonly segment: Segment;
  readonly compressor: Compressor;
}

/**
 * Fills a segment and its detail from walked batches: the slow way, where there is no summary.
 * A batch that cannot be decoded in spite of its CRC is left out and returned.
 */
export function describe(
  batches: readonly WalkedBatch[],
  detail: SegmentDetail,
  { bytes, segment, compressor }: Described,
): BatchHeader[] {
  const undecodable: BatchHeader[] = [];
  segment.detail = detail;
  for (const { header, sound } of batches) {
    if (!sound) continue;
    const at = header.position + header.headerLength;
    const stored = bytes.subarray(at, at + header.storedLength);
    try {
      const body = unpackBody(stored, header, compressor, false);
      for (const record of decodeRecords(body, header, detail.sources)) {
        noteSource(detail.sources, record);
      }
      segment.addBatch(placeOf(header, batchLength(header)), header.headerCrc);
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
      undecodable.push(header);
    }
  }
  segment.detail = undefined;
  return undecodable;
}

function noteSource(sources: SourceNames, record: DecodedRecord): void {
  const entry = sources[record.source];
  if (entry === undefined) return;
  if (entry.count === 0) entry.firstSequence = record.sequence;
  entry.count++;
  entry.firstSequence = Math.min(entry.firstSequence, record.sequence);
  entry.lastSequence = Math.max(entry.lastSequence, record.sequence);
}
