import type { BatchHeader } from './batch-header.ts';
import { PAGE_BYTES } from './format.ts';
import type { SegmentDetail } from './segment.ts';

export interface CachedBatch {
  readonly header: BatchHeader;
  /** Unpacked; a buffer of its own that is never changed, since records are views on it. */
  readonly body: Uint8Array;
}

const MAX_PAGES_A_SLOT = 2 ** 20;
/** Rough cost in memory, for the bound only. */
const PLACE_BYTES = 300;
const SOURCE_BYTES = 150;

/** Commits without a reader after which new batches are not copied for one any more. */
const COMMITS_WITHOUT_READER = 256;

/**
 * Recently written and recently read batches and segment details, shared by all readers, so that
 * ten readers of one place decode once. Bounded by bytes; the entry used longest ago goes first.
 */
export class SegmentCache {
  readonly #maxBytes: number;
  readonly #entries = new Map<number, { bytes: number; value: CachedBatch | SegmentDetail }>();
  #bytes = 0;
  #commitsSinceRead = COMMITS_WITHOUT_READER;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  batch(epoch: number, position: number): CachedBatch | undefined {
    this.#commitsSinceRead = 0;
    const value = this.#get(batchKey(epoch, position));
    return value !== undefined && 'body' in value ? value : undefined;
  }

  /**
   * Keeps a batch that was just written, for cursors that follow the tail. The body is copied only
   * while somebody reads: copies that nobody wants cost a fifth of the time in garbage collection
   * (QoS 1 ingest). Who comes later finds the batch on flash, and mostly in the page cache.
   */
  putWritten(epoch: number, position: number, header: BatchHeader, body: Uint8Array): void {
    this.#commitsSinceRead++;
    if (this.#commitsSinceRead > COMMITS_WITHOUT_READER) return;
    this.putBatch(epoch, position, { header, body: body.slice() });
  }

  putBatch(epoch: number, position: number, batch: CachedBatch): void {
    this.#put(batchKey(epoch, position), batch, batch.body.length + PLACE_BYTES);
  }

  detail(epoch: number): SegmentDetail | undefined {
    const value = this.#get(detailKey(epoch));
    return value !== undefined && 'batches' in value ? value : undefined;
  }

  putDetail(epoch: number, detail: SegmentDetail): void {
    const cost = detail.batches.length * PLACE_BYTES + detail.sources.length * SOURCE_BYTES;
    this.#put(detailKey(epoch), detail, cost);
  }

  #get(key: number): CachedBatch | SegmentDetail | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  #put(key: number, value: CachedBatch | SegmentDetail, bytes: number): void {
    const old = this.#entries.get(key);
    if (old !== undefined) {
      this.#entries.delete(key);
      this.#bytes -= old.bytes;
    }
    this.#entries.set(key, { bytes, value });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#maxBytes || oldest === key) break;
      this.#entries.delete(oldest);
      this.#bytes -= entry.bytes;
    }
  }
}

// A batch never starts on a slot's first page, which is the segment header's, so that page is free
// to stand for the segment itself.
function batchKey(epoch: number, position: number): number {
  return epoch * MAX_PAGES_A_SLOT + position / PAGE_BYTES;
}

function detailKey(epoch: number): number {
  return epoch * MAX_PAGES_A_SLOT;
}
