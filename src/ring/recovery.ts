import { CisternError } from '../base/errors.ts';
import { inParallel } from '../base/in-parallel.ts';
import type { Compressor } from '../platform/compression.ts';
import {
  type BatchHeader,
  claimedEpoch,
  decodeBatchHeader,
  looksLikeBatch,
} from './batch-header.ts';
import { type Base, findBase } from './base-segment.ts';
import { BATCH_PROVISIONAL, PAGE_BYTES, segmentSeed, UNCERTAIN_TAIL_JUMP } from './format.ts';
import { KeptRanges } from './kept-ranges.ts';
import {
  countOf,
  givenOutSince,
  joined,
  type MissingOffsets,
  missingOffsets,
  missingSequences,
  remainsOf,
} from './missing-offsets.ts';
import { Partitions } from './partitions.ts';
import {
  type Candidate,
  type Found,
  headsOf,
  liveTable,
  sameRing,
  startIsProved,
  wasClosed,
} from './recovery-evidence.ts';
import type { LostRange } from './ring-state.ts';
import { Segment, type SegmentDetail, wholeRuns } from './segment.ts';
import type { PreviousEnd, SegmentHeader } from './segment-header.ts';
import { PARALLEL_READS, SlotReader, type SlotReaderOptions } from './slot-reader.ts';
import { MAX_RETIRED_SHARE } from './slots.ts';
import { decodeSummary, summaryLength } from './summary.ts';
import { FIRST_STREAM_PARTITION_ID } from './types.ts';
import { describe, type Walk, walkBatches } from './walk.ts';

const SUMMARY_FIRST_READ_BYTES = 16_384;

export interface RecoveryOptions extends SlotReaderOptions {
  readonly compressor: Compressor;
}

/** What the flash says. Nothing has been written yet. */
export interface Recovered {
  /** By rising epoch. */
  readonly segments: Segment[];
  readonly details: ReadonlyMap<Segment, SegmentDetail>;
  readonly partitions: Partitions;
  readonly newest: SegmentHeader;
  /** Its batches are appended again before serving. */
  readonly unsealed: {
    readonly segment: Segment;
    readonly walk: Walk;
    readonly bytes: Uint8Array;
    /** False where its header page is damaged. */
    readonly hasHeader: boolean;
  };
  /**
   * Slots of newer segments that were passed over, newest first. Where one must be written before
   * the new epoch is durable, it is the newest: an older one may be what that one relies on.
   */
  readonly passedOver: readonly number[];
  /** The highest seen anywhere, void ones included. */
  readonly highestEpoch: number;
  readonly lastSequence: number;
  readonly checkpointSequence: number;
  readonly retiredSlots: readonly number[];
  /** Slots of which the device refused to read something. */
  readonly unreadableSlots: readonly number[];
  readonly tornRecords: number;
  readonly corruptRecords: number;
  /** Live segments of which nothing could be read. */
  readonly lostSegments: number;
  /** Offsets that should be there, as far as the surviving headers tell. */
  readonly lost: LostRange[];
  /** Offsets that were never given out: earlier starts let the tails jump over them. */
  readonly jumps: readonly LostRange[];
  readonly tailUncertain: boolean;
}

export type RecoveryOutcome =
  | { readonly kind: 'recovered'; readonly ring: Recovered }
  /** Every slot is zero. */
  | { readonly kind: 'empty' }
  /** There was something, and no header of it can be read. */
  | { readonly kind: 'unreadable'; readonly highestEpoch: number };

/**
 * Reads a ring. No damage makes it throw; only a format that is too new does, and DEVICE_FAILED where
 * no header is found and more of the ring than can be worn refuses to be read.
 */
export async function recoverRing(options: RecoveryOptions): Promise<RecoveryOutcome> {
  const recovery = new Recovery(options);
  return recovery.run();
}

class Recovery {
  readonly #options: RecoveryOptions;
  readonly #slots: SlotReader;
  readonly #partitions = new Partitions();
  /** Of batches of which the header alone is left. */
  readonly #lost: LostRange[] = [];
  readonly #tails = new Map<number, number>();
  readonly #details = new Map<Segment, SegmentDetail>();
  #salt = 0;
  #highestEpoch = 0;
  #lastSequence = 0;
  /** Damaged records whose offsets nothing tells: single copies, and what came last of a partition. */
  #unplacedRecords = 0;
  #damageFound = false;
  #tornRecords = 0;
  #lostSegments = 0;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#slots = new SlotReader(options);
  }

  async run(): Promise<RecoveryOutcome> {
    const pages = await this.#slots.firstPages();
    const headers: Candidate[] = [];
    const damagedSlots: number[] = [];
    pages.forEach((page, slot) => {
      if (page.kind === 'damaged') damagedSlots.push(slot);
      if (page.kind !== 'header') return;
      const { header, lengthBytes: startOffset } = page;
      headers.push({ slot, epoch: header.epoch, header, startOffset });
    });
    headers.sort((a, b) => b.epoch - a.epoch);
    const [first] = headers;
    if (first?.header === undefined) {
      this.#refuseFailedDevice();
      // A cut while the ring was made leaves no more than the first batch, and that one is empty.
      const { highestEpoch, batches } = await this.#claimedEpochs(damagedSlots);
      return batches <= 1 ? { kind: 'empty' } : { kind: 'unreadable', highestEpoch };
    }
    const ours = headers.filter(({ header }) => sameRing(header, first.header));
    this.#salt = first.header.salt;
    for (const { header } of ours) if (header !== undefined) this.#noteHeader(header);
    return { kind: 'recovered', ring: await this.#build(ours, damagedSlots) };
  }

  // What cannot be read now may be there all the same: a ring made anew would be written over it.
  #refuseFailedDevice(): void {
    const { slotCount } = this.#options;
    const failed = this.#slots.failedSlots.length;
    if (failed <= slotCount * MAX_RETIRED_SHARE) return;
    throw new CisternError(
      'DEVICE_FAILED',
      `The ring cannot be read: the device refuses to read ${failed} of its ${slotCount} slots.`,
      { remedy: 'See the kernel log for errors of the device, and replace it if there are any.' },
    );
  }

  async #build(headers: readonly Candidate[], damagedSlots: readonly number[]): Promise<Recovered> {
    const top = headers[0]?.header;
    if (top === undefined) throw unreadable();
    const named = new Set(headers.map(({ header }) => header?.nextSlot ?? -1).slice(0, 2));
    const scanned = await this.#scanFor([...damagedSlots, ...named], headers);
    const candidates = [...headers, ...scanned].sort((a, b) => b.epoch - a.epoch);
    const base = await this.#findBase(candidates);
    const { candidate, walk, bytes } = base;
    const description = await this.#describing(base, headers);
    const newest = description.candidate.header ?? top;
    const table = liveTable(newest, description.walk);
    const live = this.#liveBefore(candidate, table, newest.epoch, candidates);

    const segments = await this.#loadAllSealed(live, candidate.header?.previous);
    const last = this.#describeUnsealed(candidate, walk, bytes);
    segments.push(last);
    this.#dropCopied(segments, candidates);
    for (const segment of segments) this.#noteSegment(segment);

    // A medium that has lost something elsewhere may have lost the tail too, unless the last batch
    // says that the ring was closed behind it.
    const isSuspect =
      base.isSuspect || this.#damageFound || walk.torn.some(({ header }) => header === undefined);
    const { files, segmentSizeBytes } = this.#options;
    const isShort = (await files.sizeOf(candidate.slot)) < segmentSizeBytes;
    const tailUncertain =
      isShort ||
      walk.damaged.length > 0 ||
      !startIsProved(candidate, walk, segments) ||
      (isSuspect && !wasClosed(walk));
    const heads = headsOf(newest, description.walk);
    const missing = this.#missingFrom(segments, candidates, heads);
    // What cannot be read may have been the header of a newer segment, and nobody else knows what had
    // been let go by then.
    const tabled = new Set(table.map(({ slot }) => slot));
    const isNewest = candidate.header !== undefined && damagedSlots.every((it) => tabled.has(it));
    const certain = isNewest ? missing.lost : givenOutSince(newest, missing.lost);
    const lost = joined([...this.#lost, ...certain]);
    this.#reportLost(lost);
    this.#noteMissingSequences(candidate, walk, lost);
    if (tailUncertain) this.#jumpTails();
    this.#settlePartitions(segments, heads);
    return {
      segments,
      details: this.#details,
      partitions: this.#partitions,
      newest,
      unsealed: { segment: last, walk, bytes, hasHeader: candidate.header !== undefined },
      passedOver: base.passedOver.filter((slot) => segments.every((live) => live.slot !== slot)),
      highestEpoch: this.#highestEpoch,
      lastSequence: this.#lastSequence,
      checkpointSequence: newest.checkpointSequence,
      retiredSlots: newest.retiredSlots,
      unreadableSlots: this.#slots.failedSlots,
      tornRecords: this.#tornRecords,
      lostSegments: this.#lostSegments,
      corruptRecords: countOf(lost) + this.#unplacedRecords,
      lost,
      jumps: missing.jumps,
      tailUncertain,
    };
  }

  #noteHeader(header: SegmentHeader): void {
    this.#highestEpoch = Math.max(this.#highestEpoch, header.epoch);
    this.#lastSequence = Math.max(this.#lastSequence, header.previous.lastSequence);
    this.#lastSequence = Math.max(this.#lastSequence, header.checkpointSequence);
    for (const partition of header.partitions) {
      this.#partitions.define(partition);
      this.#raiseTail(partition.id, partition.tailOffset);
    }
    this.#partitions.nextId = Math.max(this.#partitions.nextId, header.nextPartitionId);
  }

  #raiseTail(partitionId: number, offset: number): void {
    this.#tails.set(partitionId, Math.max(this.#tails.get(partitionId) ?? 0, offset));
  }

  // The slot that the newest header names is where newer data lies if its first page was damaged.
  // Of what is found only the epochs that no header knows yet count, or the one that the live table
  // has for that slot: last lap's batches must not rise again.
  async #scanFor(slots: Iterable<number>, headers: readonly Candidate[]): Promise<Candidate[]> {
    const newest = headers[0];
    const found: Candidate[] = [];
    for (const slot of new Set(slots)) {
      if (slot < 0 || slot >= this.#options.slotCount) continue;
      const bytes = await this.#slots.readSlot(slot);
      const tabled = newest?.header?.live.find((entry) => entry.slot === slot)?.epoch;
      const known = headers.find((entry) => entry.slot === slot)?.epoch;
      const best = this.#bestIn(
        bytes,
        newest?.epoch ?? 0,
        known === undefined ? tabled : undefined,
      );
      if (best === undefined) continue;
      this.#highestEpoch = Math.max(this.#highestEpoch, best.epoch);
      found.push({ slot, epoch: best.epoch, header: undefined, startOffset: best.startOffset });
    }
    return found;
  }

  #bestIn(
    bytes: Uint8Array,
    aboveEpoch: number,
    tabledEpoch: number | undefined,
  ): { epoch: number; startOffset: number } | undefined {
    const starts = new Map<number, number>();
    let best = 0;
    for (let at = PAGE_BYTES; at + PAGE_BYTES <= bytes.length; at += PAGE_BYTES) {
      const header = this.#batchAt(bytes, at);
      if (header === undefined) continue;
      const { epoch } = header;
      this.#highestEpoch = Math.max(this.#highestEpoch, epoch);
      if (epoch <= aboveEpoch && epoch !== tabledEpoch) continue;
      if (!starts.has(epoch)) starts.set(epoch, at);
      // What is provisional is not missed without its header, which a start has written over.
      const counts = (header.flags & BATCH_PROVISIONAL) === 0 || epoch === tabledEpoch;
      if (counts) best = Math.max(best, epoch);
    }
    const startOffset = starts.get(best);
    return startOffset === undefined ? undefined : { epoch: best, startOffset };
  }

  #batchAt(bytes: Uint8Array, at: number): BatchHeader | undefined {
    if (!looksLikeBatch(bytes, at)) return undefined;
    const { crc32 } = this.#options;
    const seed = segmentSeed(crc32, this.#salt, claimedEpoch(bytes, at));
    return decodeBatchHeader(bytes, at, at, crc32, seed);
  }

  async #claimedEpochs(
    slots: readonly number[],
  ): Promise<{ highestEpoch: number; batches: number }> {
    let highestEpoch = 0;
    let batches = 0;
    for (const slot of slots) {
      const bytes = await this.#slots.readSlot(slot);
      for (let at = 0; at + PAGE_BYTES <= bytes.length; at += PAGE_BYTES) {
        if (!looksLikeBatch(bytes, at)) continue;
        batches++;
        const epoch = claimedEpoch(bytes, at);
        if (epoch < 2 ** 32) highestEpoch = Math.max(highestEpoch, epoch);
      }
    }
    return { highestEpoch, batches };
  }

  async #findBase(candidates: readonly Candidate[]): Promise<Base> {
    const walked: Found[] = [];
    const base = await findBase(candidates, {
      walk: async (candidate) => {
        const found = await this.#found(candidate);
        walked.push(found);
        return found;
      },
      sync: (slot) => this.#slots.sync(slot),
    });
    if (base === undefined) throw unreadable();
    for (const { candidate, walk } of walked) {
      if (candidate.epoch >= base.candidate.epoch) this.#noteTorn(walk);
    }
    return base;
  }

  #noteTorn(walk: Walk): void {
    for (const { header } of walk.torn) this.#tornRecords += header?.freshCount ?? 0;
  }

  #walk(bytes: Uint8Array, candidate: Candidate, endOffset: number): Walk {
    const { crc32 } = this.#options;
    const { startOffset, epoch } = candidate;
    const seed = segmentSeed(crc32, this.#salt, epoch);
    return walkBatches(bytes, startOffset, endOffset, epoch, crc32, seed);
  }

  /** A segment that lost its header is described by the newest header before it, and what followed that. */
  async #describing(base: Base, headers: readonly Candidate[]): Promise<Found> {
    const { candidate } = base;
    if (candidate.header !== undefined) return base;
    const before = headers.find(({ epoch }) => epoch < candidate.epoch);
    return before === undefined ? base : this.#found(before);
  }

  async #found(candidate: Candidate): Promise<Found> {
    const bytes = await this.#slots.readSlot(candidate.slot);
    return { candidate, walk: this.#walk(bytes, candidate, bytes.length), bytes };
  }

  #liveBefore(
    newest: Candidate,
    table: SegmentHeader['live'],
    tableEpoch: number,
    candidates: readonly Candidate[],
  ): Candidate[] {
    const live: Candidate[] = [];
    const tabled = new Map(table.map(({ slot, epoch }) => [slot, epoch]));
    for (const candidate of candidates) {
      if (candidate.epoch >= newest.epoch || candidate.slot === newest.slot) continue;
      const isTabled = tabled.get(candidate.slot) === candidate.epoch;
      const isNewer = newest.header === undefined && candidate.epoch > tableEpoch;
      if (!isTabled && !isNewer) continue;
      live.push(candidate);
      const { slot, epoch, header } = candidate;
      if (header === undefined) this.#options.logger.warn('ring.header_damaged', { slot, epoch });
    }
    const found = new Set(live.map(({ epoch }) => epoch));
    for (const { slot, epoch } of table) {
      if (found.has(epoch) || epoch === newest.epoch) continue;
      // A ring that shrinks moves segments as they are; the header may be older than the move.
      const moved = candidates.find((candidate) => candidate.epoch === epoch);
      if (moved !== undefined) {
        live.push(moved);
        continue;
      }
      this.#damageFound = true;
      this.#lostSegments++;
      this.#options.logger.error('ring.segment_lost', { slot, epoch });
    }
    return live;
  }

  /** By rising epoch. `last` is what the unsealed segment says of the newest of them. */
  async #loadAllSealed(
    live: readonly Candidate[],
    last: PreviousEnd | undefined,
  ): Promise<Segment[]> {
    const byAge = live.toSorted((a, b) => a.epoch - b.epoch);
    const ends = byAge.map(({ epoch }, index) => {
      const following = byAge[index + 1];
      const named = following === undefined ? last : following.header?.previous;
      return named?.epoch === epoch ? named.endOffset : undefined;
    });
    const summarized = await inParallel([...byAge.entries()], PARALLEL_READS, ([index, entry]) =>
      this.#loadSummary(entry, ends[index]),
    );
    // One after the other: a segment that has no summary is read as a whole.
    const segments: Segment[] = [];
    for (const [index, entry] of byAge.entries()) {
      segments.push(summarized[index] ?? (await this.#walkSealed(entry, ends[index])));
    }
    return segments;
  }

  async #walkSealed(candidate: Candidate, endOffset: number | undefined): Promise<Segment> {
    const bytes = await this.#slots.readSlot(candidate.slot);
    const walk = this.#walk(bytes, candidate, endOffset ?? bytes.length);
    const segment = new Segment(candidate.slot, candidate.epoch, candidate.startOffset);
    segment.endOffset = endOffset ?? walk.endOffset;
    this.#describe(segment, walk, bytes);
    this.#noteDamage(candidate, walk, endOffset);
    segment.state = 'sealed';
    return segment;
  }

  async #loadSummary(
    candidate: Candidate,
    endOffset: number | undefined,
  ): Promise<Segment | undefined> {
    if (endOffset === undefined) return undefined;
    const { crc32, segmentSizeBytes } = this.#options;
    const room = segmentSizeBytes - endOffset;
    if (room < PAGE_BYTES) return undefined;
    const seed = segmentSeed(crc32, this.#salt, candidate.epoch);
    let bytes = await this.#slots.read(
      candidate.slot,
      endOffset,
      Math.min(room, SUMMARY_FIRST_READ_BYTES),
    );
    if (bytes === undefined) return undefined;
    const length = summaryLength(bytes);
    if (length > bytes.length && length <= room) {
      bytes = await this.#slots.read(candidate.slot, endOffset, length);
    }
    if (bytes === undefined) return undefined;
    const decoded = decodeSummary(bytes, candidate.slot, candidate.epoch, crc32, seed);
    return decoded?.segment.endOffset === endOffset ? decoded.segment : undefined;
  }

  #describeUnsealed(candidate: Candidate, walk: Walk, bytes: Uint8Array): Segment {
    const segment = new Segment(candidate.slot, candidate.epoch, candidate.startOffset);
    this.#describe(segment, walk, bytes);
    this.#noteDamage(candidate, walk, undefined);
    segment.state = 'sealed';
    return segment;
  }

  #describe(segment: Segment, walk: Walk, bytes: Uint8Array): void {
    const { compressor } = this.#options;
    const detail: SegmentDetail = { batches: [], sources: [undefined] };
    const undecodable = describe(walk.batches, detail, { bytes, segment, compressor });
    for (const header of undecodable) this.#lose(header);
    for (const { header } of walk.batches) this.#noteBatch(header);
    this.#details.set(segment, detail);
  }

  #noteBatch(header: BatchHeader): void {
    const last = header.firstSequence + header.freshCount - 1;
    this.#lastSequence = Math.max(this.#lastSequence, last);
    for (const definition of header.partitions) this.#partitions.define(definition);
  }

  /** `endOffset` is where the segment ends, as its successor says; undefined for the last one. */
  #noteDamage(candidate: Candidate, walk: Walk, endOffset: number | undefined): void {
    const bad = endOffset === undefined ? walk.damaged : [...walk.damaged, ...walk.torn];
    const isShort = bad.length === 0 && walk.endOffset < (endOffset ?? 0);
    if (bad.length === 0 && !isShort) return;
    this.#damageFound = true;
    const { slot, epoch } = candidate;
    this.#options.logger.error('ring.damage_found', { slot, epoch, places: bad.length || 1 });
    for (const { header } of bad) if (header !== undefined) this.#lose(header);
  }

  #lose(header: BatchHeader): void {
    const runs = wholeRuns(header);
    this.#lost.push(...runs);
    this.#unplacedRecords += header.count - countOf(runs);
  }

  #missingFrom(
    segments: readonly Segment[],
    candidates: readonly Candidate[],
    heads: ReadonlyMap<number, number>,
  ): MissingOffsets {
    const headers = new Map(candidates.map(({ epoch, header }) => [epoch, header]));
    const remains = segments.map((segment) =>
      remainsOf(segment, this.#details.get(segment), headers.get(segment.epoch)),
    );
    return missingOffsets(remains, heads);
  }

  #reportLost(lost: readonly LostRange[]): void {
    for (const { partitionId, firstOffset, count } of lost) {
      const { stream } = this.#partitions.get(partitionId) ?? {};
      this.#options.logger.error('ring.offsets_lost', { stream, partitionId, firstOffset, count });
    }
  }

  // Nothing tells the tails at the end of the newest segment. What was in a batch of it that has lost its
  // header, and comes from a partition of which nothing follows, is missing from the sequences alone.
  #noteMissingSequences({ header }: Candidate, walk: Walk, lost: readonly LostRange[]): void {
    if (walk.damaged.every((bad) => bad.header !== undefined)) return;
    const placed = countOf(givenOutSince(header, lost));
    const missing = missingSequences(walk.batches, header?.previous.lastSequence);
    this.#unplacedRecords += Math.max(0, missing - placed);
  }

  // The first batch of a segment that a restart opened is a copy of the last of the one before. One
  // that was passed over has no say.
  #dropCopied(segments: readonly Segment[], candidates: readonly Candidate[]): void {
    const epochs = new Set(segments.map(({ epoch }) => epoch));
    for (const { epoch: own, header } of candidates) {
      if (header === undefined || !epochs.has(own) || header.previous.copiedFrom === 0) continue;
      const { epoch, copiedFrom } = header.previous;
      const segment = segments.find((entry) => entry.epoch === epoch);
      if (segment !== undefined) segment.copiedFrom = copiedFrom;
    }
  }

  #noteSegment(segment: Segment): void {
    this.#lastSequence = Math.max(this.#lastSequence, segment.lastSequence);
    for (const extent of segment.extents.values()) {
      const { partitionId, highest } = extent;
      if (this.#partitions.get(partitionId) === undefined) {
        this.#partitions.define({ id: partitionId, stream: `$lost-${partitionId}`, index: 0 });
      }
      this.#raiseTail(partitionId, highest + 1);
    }
  }

  // Records may have been acknowledged that nothing tells of any more; their offsets must not be
  // given out again.
  #jumpTails(): void {
    this.#lastSequence += UNCERTAIN_TAIL_JUMP;
    for (const [id, tail] of this.#tails) this.#tails.set(id, tail + UNCERTAIN_TAIL_JUMP);
  }

  #settlePartitions(segments: readonly Segment[], heads: ReadonlyMap<number, number>): void {
    for (const partition of this.#partitions.all) {
      partition.tailOffset = this.#tails.get(partition.id) ?? 0;
      partition.durableOffset = partition.tailOffset;
      let lowest = partition.tailOffset;
      for (const segment of segments) {
        const extent = segment.extents.get(partition.id);
        if (extent === undefined) continue;
        lowest = Math.min(lowest, extent.lowest);
      }
      // A header tells from where on a stream's partition is whole; copies of single records may
      // lie below that.
      const isStream = partition.id >= FIRST_STREAM_PARTITION_ID;
      const head = isStream ? Math.max(lowest, heads.get(partition.id) ?? 0) : lowest;
      partition.headOffset = Math.min(head, partition.tailOffset);
      const found = segments.flatMap(({ extents }) => [
        ...(extents.get(partition.id)?.ranges() ?? []),
      ]);
      partition.kept = KeptRanges.from(found, partition.headOffset, isStream);
    }
  }
}

function unreadable(): CisternError {
  return new CisternError('RING_DAMAGED', 'No segment of the ring can be read.');
}
