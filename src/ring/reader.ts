import { CisternError } from '../base/errors.ts';
import { bodyIsSound, decodeBatchHeader } from './batch-header.ts';
import { type DecodedRecord, decodeRecords, readDefinitions, unpackBody } from './batch-reader.ts';
import type { ExtentRange } from './extent.ts';
import { orderedScan } from './ordered-scan.ts';
import { SlotReader } from './slot-reader.ts';
import { summaryLength, decodeSummary } from './summary.ts';
import type { CachedBatch } from './segment-cache.ts';
import type { LostRange, RingState } from './ring-state.ts';
import { type BatchPlace, Segment, type SegmentDetail, wholeRuns } from './segment.ts';
import {
  FIRST_STREAM_PARTITION_ID,
  type ReadLimits,
  type ReadResult,
  type RecordView,
  type ScanOptions,
} from './types.ts';
import { describe, walkBatches } from './walk.ts';

/** Contiguous batches are fetched from flash together, up to this. */
const READ_AHEAD_BYTES = 256 * 1024;
const MAX_UNPACKED_BYTES = 1024 * 1024;

/** Reads what is durable. No reader ever pins a slot: after each await it looks whether it was lapped. */
export class Reader {
  readonly #state: RingState;
  readonly #slots: SlotReader;
  readonly #loading = new Map<number, Promise<SegmentDetail | undefined>>();

  constructor(state: RingState) {
    this.#state = state;
    const { files, crc32, logger, identity } = state;
    this.#slots = new SlotReader({ files, crc32, logger, ...identity });
  }

  async read(partitionId: number, fromOffset: number, limits: ReadLimits): Promise<ReadResult> {
    const partition = this.#state.partitions.need(partitionId);
    const records: RecordView[] = [];
    let bytes = 0;
    let next = fromOffset;
    let lapped = 0;
    let damaged = 0;
    for (;;) {
      if (next < partition.headOffset) {
        lapped += partition.headOffset - next;
        next = partition.headOffset;
      }
      const window = this.#windowAt(partitionId, next);
      if (window === undefined) break;
      damaged += this.#holes(partitionId, next, window.first);
      next = window.first;
      const found = await this.#collect(partitionId, window, next, {
        ...limits,
        maxRecords: limits.maxRecords - records.length,
      });
      if (found === undefined) continue;
      let isFull = false;
      for (const record of found.records) {
        const size = record.attributes.length + record.payload.length;
        const tooMuch = records.length >= limits.maxRecords || bytes + size > limits.maxBytes;
        isFull = tooMuch && records.length > 0;
        if (isFull) break;
        damaged += this.#holes(partitionId, next, record.offset);
        records.push(record);
        bytes += size;
        next = record.offset + 1;
      }
      if (isFull || records.length >= limits.maxRecords) {
        return { records, nextOffset: next, lapped, damaged };
      }
      const end = found.through + 1;
      damaged += this.#holes(partitionId, next, end);
      next = Math.max(next, end);
    }
    if (next < partition.durableOffset) {
      damaged += this.#holes(partitionId, next, partition.durableOffset);
      next = partition.durableOffset;
    }
    return { records, nextOffset: next, lapped, damaged };
  }

  async readAt(partitionId: number, offset: number): Promise<RecordView | undefined> {
    const partition = this.#state.partitions.get(partitionId);
    if (partition === undefined || offset >= partition.durableOffset) return undefined;
    // A copy of a single record may lie below the head. Where a segment was let go under the read, the
    // record may have been carried on before, under the same offset: it is looked for again.
    for (;;) {
      const one = { maxRecords: 1, maxBytes: 1 };
      const found = await this.#collect(partitionId, { last: offset }, offset, one);
      if (found !== undefined) return found.records[0];
    }
  }

  scan(options: ScanOptions): AsyncGenerator<readonly RecordView[]> {
    return orderedScan(this.#state, this, options);
  }

  async countByTopic(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    for (const segment of [...this.#state.segments]) {
      const detail = await this.detailOf(segment);
      for (const source of detail?.sources ?? []) {
        if (source === undefined || source.count === 0) continue;
        counts.set(source.topic, (counts.get(source.topic) ?? 0) + source.count);
      }
    }
    return counts;
  }

  /** Undefined where the segment was let go meanwhile, or cannot be read. */
  detailOf(segment: Segment): Promise<SegmentDetail | undefined> {
    const known = segment.detail ?? this.#state.cache.detail(segment.epoch);
    if (known !== undefined) return Promise.resolve(known);
    let loading = this.#loading.get(segment.epoch);
    if (loading === undefined) {
      loading = this.#loadDetail(segment).finally(() => this.#loading.delete(segment.epoch));
      this.#loading.set(segment.epoch, loading);
    }
    return loading;
  }

  /** Undefined where the batch is damaged (counted) or was overwritten meanwhile. */
  async recordsOf(
    segment: Segment,
    detail: SegmentDetail,
    place: BatchPlace,
  ): Promise<DecodedRecord[] | undefined> {
    const batch = await this.#batchAt(segment, detail, place);
    if (batch === undefined) return undefined;
    const records = decodeRecords(batch.body, batch.header, detail.sources);
    if (records.length < batch.header.count) this.#noteNameless(place, records);
    return records;
  }

  /** Where the next record at or after `offset` may lie, and how far that segment goes. */
  #windowAt(
    partitionId: number,
    offset: number,
  ): { readonly first: number; readonly last: number } | undefined {
    let first = Infinity;
    let last = -1;
    for (const segment of this.#state.segments) {
      const range = segment.extents.get(partitionId)?.rangeFrom(offset);
      const start = Math.max(offset, range?.firstOffset ?? Infinity);
      if (range === undefined || start >= first) continue;
      first = start;
      last = range.lastOffset;
    }
    return first === Infinity ? undefined : { first, last };
  }

  /**
   * The records of one partition in a window of offsets, in order. Of two copies of one offset that
   * of the higher epoch wins. Undefined where a segment was let go meanwhile.
   */
  async #collect(
    partitionId: number,
    window: { readonly last: number },
    fromOffset: number,
    wanted: ReadLimits,
  ): Promise<{ records: RecordView[]; through: number } | undefined> {
    const { durableOffset } = this.#state.partitions.need(partitionId);
    const last = Math.min(window.last, durableOffset - 1);
    const sources: { segment: Segment; detail: SegmentDetail; place: BatchPlace; first: number }[] =
      [];
    for (const segment of [...this.#state.segments]) {
      const range = segment.extents.get(partitionId)?.rangeFrom(fromOffset);
      if (range === undefined || range.firstOffset > last) continue;
      const detail = await this.detailOf(segment);
      if (segment.state === 'free') return undefined;
      for (const place of detail?.batches ?? []) {
        const first = firstIn(place, partitionId, fromOffset);
        if (detail !== undefined && first <= last) sources.push({ segment, detail, place, first });
      }
    }
    sources.sort((a, b) => a.first - b.first || a.segment.epoch - b.segment.epoch);
    const byOffset = new Map<number, RecordView>();
    let isSorted = true;
    let highest = -1;
    let bytes = 0;
    let through = last;
    for (const { segment, detail, place, first } of sources) {
      // Enough for one answer; the rest of the window is asked for again.
      const isEnough = bytes > wanted.maxBytes || byOffset.size >= wanted.maxRecords;
      if (isEnough && first > highest) {
        through = first - 1;
        break;
      }
      const records = await this.recordsOf(segment, detail, place);
      if (segment.state === 'free') return undefined;
      for (const record of records ?? []) {
        if (record.partitionId !== partitionId) continue;
        if (record.offset < fromOffset || record.offset > last) continue;
        if (record.offset <= highest) isSorted = false;
        highest = Math.max(highest, record.offset);
        byOffset.set(record.offset, record);
        bytes += record.payload.length;
      }
    }
    const records = [...byOffset.values()];
    if (!isSorted) records.sort((a, b) => a.offset - b.offset);
    return { records, through };
  }

  // In a stream's partition every hole is damage, except where the tail jumped. In the partitions
  // that are compacted, holes are what was let go, so only what is known to be lost counts.
  #holes(partitionId: number, from: number, to: number): number {
    if (to <= from) return 0;
    const { lost, jumps } = this.#state;
    const known = overlap(lost, partitionId, from, to);
    if (partitionId < FIRST_STREAM_PARTITION_ID) return known;
    return Math.max(known, to - from - overlap(jumps, partitionId, from, to));
  }

  async #loadDetail(segment: Segment): Promise<SegmentDetail | undefined> {
    const detail = (await this.#loadSummary(segment)) ?? (await this.#walkFor(segment));
    if (segment.state === 'free') return undefined;
    this.#noteLost(missingIn(segment, detail));
    this.#state.cache.putDetail(segment.epoch, detail);
    return detail;
  }

  async #loadSummary(segment: Segment): Promise<SegmentDetail | undefined> {
    const { crc32, identity } = this.#state;
    const room = identity.segmentSizeBytes - segment.endOffset;
    if (room <= 0) return undefined;
    const seed = this.#state.seedOf(segment.epoch);
    let bytes = await this.#read(segment, segment.endOffset, Math.min(room, 16_384));
    const length = bytes === undefined ? 0 : summaryLength(bytes);
    if (length > (bytes?.length ?? 0) && length <= room) {
      bytes = await this.#read(segment, segment.endOffset, length);
    }
    if (bytes === undefined) return undefined;
    return decodeSummary(bytes, segment.slot, segment.epoch, crc32, seed)?.detail();
  }

  async #walkFor(segment: Segment): Promise<SegmentDetail> {
    const { crc32, compressor } = this.#state;
    const bytes = await this.#slots.readSlot(segment.slot, segment.endOffset);
    this.#condemnUnreadable();
    const { startOffset, endOffset, epoch } = segment;
    const seed = this.#state.seedOf(epoch);
    const walk = walkBatches(bytes, startOffset, endOffset, epoch, crc32, seed);
    const detail: SegmentDetail = { batches: [], sources: [undefined] };
    const scratch = new Segment(segment.slot, epoch, startOffset);
    describe(walk.batches, detail, { bytes, segment: scratch, compressor });
    return detail;
  }

  async #batchAt(
    segment: Segment,
    detail: SegmentDetail,
    place: BatchPlace,
  ): Promise<CachedBatch | undefined> {
    const { cache } = this.#state;
    const known = cache.batch(segment.epoch, place.position);
    if (known !== undefined) return known;
    let run = contiguousFrom(detail, place);
    let bytes = await this.#readBatches(segment, run);
    if (bytes === undefined && run.length > 1) {
      run = [place];
      bytes = await this.#readBatches(segment, run);
    }
    if (segment.state === 'free') return undefined;
    if (bytes === undefined) {
      this.#noteLost(wholeRuns(place));
      return undefined;
    }
    let first: CachedBatch | undefined;
    let unpackedBytes = 0;
    for (const batch of run) {
      // What compresses well comes in large amounts; the cache must not lose its beginning to its end.
      if (unpackedBytes > MAX_UNPACKED_BYTES) break;
      const read = this.#unpack(bytes, batch.position - place.position, batch.position, segment);
      if (batch === place) first = read;
      if (read === undefined) continue;
      unpackedBytes += read.body.length;
      readDefinitions(read.body, read.header, detail.sources);
      cache.putBatch(segment.epoch, batch.position, read);
    }
    if (first === undefined) this.#noteLost(wholeRuns(place));
    return first;
  }

  #readBatches(segment: Segment, run: readonly BatchPlace[]): Promise<Uint8Array | undefined> {
    const length = run.reduce((sum, batch) => sum + batch.lengthBytes, 0);
    return this.#read(segment, run[0]?.position ?? 0, length);
  }

  /** Undefined where the device refuses: to a reader that is damage like any other. */
  async #read(segment: Segment, offset: number, length: number): Promise<Uint8Array | undefined> {
    const bytes = await this.#slots.read(segment.slot, offset, length);
    if (bytes === undefined) this.#condemnUnreadable();
    return bytes;
  }

  #condemnUnreadable(): void {
    for (const slot of this.#slots.failedSlots) {
      if (!this.#state.slots.condemn(slot)) continue;
      this.#state.logger.warn('ring.slot_condemned', { slot });
    }
  }

  #unpack(
    bytes: Uint8Array,
    at: number,
    position: number,
    segment: Segment,
  ): CachedBatch | undefined {
    const { crc32, compressor } = this.#state;
    const seed = this.#state.seedOf(segment.epoch);
    const header = decodeBatchHeader(bytes, at, position, crc32, seed);
    if (header === undefined) return undefined;
    const bodyAt = at + header.headerLength;
    if (!bodyIsSound(bytes, bodyAt, header, crc32, seed)) return undefined;
    try {
      const stored = bytes.subarray(bodyAt, bodyAt + header.storedLength);
      return { header, body: unpackBody(stored, header, compressor, true) };
    } catch (error) {
      if (error instanceof CisternError) return undefined;
      throw error;
    }
  }

  /** Counts the records of a sound batch whose definitions were in one that is damaged. */
  #noteNameless(place: BatchPlace, records: readonly DecodedRecord[]): void {
    const present = new Set(records.map((record) => `${record.partitionId}:${record.offset}`));
    for (const { partitionId, firstOffset, count } of place.runs) {
      for (let offset = firstOffset; offset < firstOffset + count; offset++) {
        if (present.has(`${partitionId}:${offset}`)) continue;
        this.#noteLost([{ partitionId, firstOffset: offset, count: 1 }]);
      }
    }
  }

  /** Counts what went bad since the ring was opened, once. */
  #noteLost(runs: readonly LostRange[]): void {
    const { lost, counters, logger } = this.#state;
    for (const { partitionId, firstOffset, count } of runs) {
      if (overlap(lost, partitionId, firstOffset, firstOffset + count) >= count) continue;
      lost.push({ partitionId, firstOffset, count });
      counters.corruptRecords += count;
      logger.error('ring.batch_damaged', { partitionId, firstOffset, count });
    }
  }
}

/** Offsets that the segment is known to hold and that no batch of it has that was found. */
function missingIn({ extents }: Segment, { batches }: SegmentDetail): LostRange[] {
  const missing: LostRange[] = [];
  const found = batches.flatMap((batch) => wholeRuns(batch));
  for (const [partitionId, extent] of extents) {
    const runs = found
      .filter((run) => run.partitionId === partitionId)
      .sort((one, other) => one.firstOffset - other.firstOffset);
    for (const range of extent.ranges()) {
      if (range.isWhole) missing.push(...gapsIn(partitionId, range, runs));
    }
  }
  return missing;
}

/** What of a range is in none of the runs, which are in order. */
function gapsIn(
  partitionId: number,
  { firstOffset, lastOffset }: ExtentRange,
  runs: readonly { readonly firstOffset: number; readonly count: number }[],
): LostRange[] {
  const gaps: LostRange[] = [];
  let next = firstOffset;
  for (const run of [...runs, { firstOffset: lastOffset + 1, count: 0 }]) {
    const end = Math.min(run.firstOffset, lastOffset + 1);
    if (end > next) gaps.push({ partitionId, firstOffset: next, count: end - next });
    next = Math.max(next, run.firstOffset + run.count);
  }
  return gaps;
}

function overlap(
  ranges: readonly LostRange[],
  partitionId: number,
  from: number,
  to: number,
): number {
  let count = 0;
  for (const range of ranges) {
    if (range.partitionId !== partitionId) continue;
    const end = Math.min(to, range.firstOffset + range.count);
    count += Math.max(0, end - Math.max(from, range.firstOffset));
  }
  return count;
}

/** The lowest offset of the partition in the batch that is not below `offset`; Infinity for none. */
function firstIn(place: BatchPlace, partitionId: number, offset: number): number {
  let first = Infinity;
  for (const run of place.runs) {
    if (run.partitionId !== partitionId || run.firstOffset + run.count <= offset) continue;
    first = Math.min(first, Math.max(run.firstOffset, offset));
  }
  for (const run of place.carried) {
    if (run.partitionId !== partitionId || run.lastOffset < offset) continue;
    first = Math.min(first, Math.max(run.firstOffset, offset));
  }
  return first;
}

function contiguousFrom(detail: SegmentDetail, place: BatchPlace): BatchPlace[] {
  const run: BatchPlace[] = [];
  let length = 0;
  for (let at = detail.batches.indexOf(place); at < detail.batches.length; at++) {
    const batch = detail.batches[at];
    if (batch === undefined || batch.position !== place.position + length) break;
    if (run.length > 0 && length + batch.lengthBytes > READ_AHEAD_BYTES) break;
    run.push(batch);
    length += batch.lengthBytes;
  }
  return run.length > 0 ? run : [place];
}
