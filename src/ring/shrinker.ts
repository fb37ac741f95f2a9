import { CisternError } from '../base/errors.ts';
import type { Volume } from '../platform/volume.ts';
import type { Appender } from './appender.ts';
import type { Committer } from './commit.ts';
import { PAGE_BYTES } from './format.ts';
import type { RingState } from './ring-state.ts';
import type { Segment } from './segment.ts';
import { decodeSegmentHeader, encodeSegmentHeader } from './segment-header.ts';
import { SLOTS_TO_OPEN } from './segment-opener.ts';
import { SlotFiles, slotName, slotOfName } from './slot-files.ts';
import { SlotReader } from './slot-reader.ts';
import { summaryLength } from './summary.ts';

const WRITE_BYTES = 256 * 1024;
/** Free slots that must stay beside those that are moved to: with the named one enough to open a segment. */
const SLOTS_BESIDE = SLOTS_TO_OPEN - 1;

export interface ShrinkerOptions {
  readonly state: RingState;
  readonly appender: Appender;
  readonly committer: Committer;
  readonly volume: Volume;
  /** Told of bytes that went to the device beside the commits. */
  readonly onWritten: (byteCount: number) => void;
  readonly onShrunk: () => void;
}

/**
 * Takes the leaving slots away from a ring that runs. First recycling lets the oldest segments go
 * until what is left fits; then each segment that lies in a leaving slot is copied as it is, epoch,
 * records and all, into a slot that stays; then a header says where all of them are, and the files go.
 *
 * Invariants:
 * - A slot is written to only if it is free in the newest header on flash, and not the one that this
 *   header names as the next.
 * - Its first page is zeros while it is being written, and its own header is the last that is, so that
 *   neither what was in it nor the copy can be taken for whole before it is.
 * - A leaving slot keeps what is in it, and its file is removed only when a header that names none of
 *   them is durable. Of the files the last goes first, each for good before the next.
 *
 * A cut at any time leaves a ring of all its slots or of fewer, and the next start shrinks it anew.
 */
export class Shrinker {
  readonly #options: ShrinkerOptions;
  /** Free in the newest header, and still so. */
  #safe: ReadonlySet<number> = new Set();
  /** Nothing is in the leaving slots, and what is written from now on says so. */
  #dropped = false;
  /** A header that says so is durable. */
  #isNamed = false;
  #running: Promise<void> | undefined;
  #wokenAgain = false;
  #stopped = false;
  #failure: string | undefined;
  readonly #lastEpoch: number;
  /** What was live at the start, to tell in the end what went. */
  readonly #before: readonly Segment[];
  #movedSegments = 0;

  constructor(options: ShrinkerOptions) {
    this.#options = options;
    this.#lastEpoch = options.state.epoch;
    this.#before = [...options.state.segments];
  }

  /** Why the ring keeps its size until the next start; undefined while it may still shrink. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** True while segments must be let go before what is left fits. */
  get wantsSlots(): boolean {
    return !this.#dropped && this.#failure === undefined && !this.#fits();
  }

  /** Goes on where it can; cheap to call often. */
  wake(): void {
    this.#wokenAgain = true;
    if (this.#running !== undefined || this.#stopped || this.#failure !== undefined) return;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger } = this.#options.state;
    try {
      while (!this.#stopped && this.#wokenAgain) {
        this.#wokenAgain = false;
        while (!this.#stopped && (await this.#step()));
      }
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
      this.#failure = error.message;
      const meaning = 'The ring keeps its size until the next start tries again.';
      logger.error('ring.shrink_failed', { error: error.message, meaning });
    } finally {
      // In the turn in which nothing more was asked for: who wakes it after that starts it anew.
      this.#running = undefined;
    }
  }

  /** False where it must wait for a slot, or for a segment to be sealed, or is done. */
  async #step(): Promise<boolean> {
    const { state } = this.#options;
    const { slots, segments } = state;
    this.#safe = new Set(slots.stayingFree.filter((slot) => this.#safe.has(slot)));
    if (this.#isNamed) {
      await this.#removeFiles();
      return false;
    }
    if (this.#dropped) {
      this.#isNamed = await this.#writeHeader();
      return this.#isNamed;
    }
    if (!this.#fits()) {
      this.#giveUpWhereAllIsKept();
      return false;
    }
    const leaving = segments.filter(({ slot }) => slots.isLeaving(slot));
    const segment = leaving.findLast((each) => each.state === 'sealed');
    if (segment !== undefined) {
      const [target] = this.#safe;
      if (target === undefined) return this.#writeHeader();
      await this.#move(segment, target);
      return true;
    }
    const [active] = segments.slice(-1);
    if (slots.isLeaving(active?.slot ?? 0) || slots.isLeaving(slots.next ?? 0)) {
      return this.#writeHeader();
    }
    if (leaving.length > 0) return false;
    slots.dropLeaving();
    state.identity = { ...state.identity, slotCount: slots.count };
    this.#dropped = true;
    return true;
  }

  #fits(): boolean {
    const { state } = this.#options;
    const { slots } = state;
    const toMove = state.segments.filter(({ slot }) => slots.isLeaving(slot)).length;
    return slots.stayingFree.length >= toMove + SLOTS_BESIDE;
  }

  /** Everything was carried once, and it is still too much: more of the same would change nothing. */
  #giveUpWhereAllIsKept(): void {
    const { state } = this.#options;
    const [oldest] = state.segments;
    if (oldest === undefined || oldest.epoch <= this.#lastEpoch) return;
    this.#failure = 'what must be kept does not fit';
    const meaning = 'What must be kept does not fit a smaller ring, so it keeps its size.';
    state.logger.error('ring.shrink_failed', { segments: state.segments.length, meaning });
  }

  /** A new segment, whose header says what is live and where. False where that must wait. */
  async #writeHeader(): Promise<boolean> {
    const { state, appender, committer } = this.#options;
    if (committer.failure !== undefined || state.slots.inHand < SLOTS_TO_OPEN) return false;
    appender.startNewSegment();
    committer.appended(false);
    // All of them are free in that header, which is encoded by now.
    const safe = new Set(state.slots.stayingFree);
    if (!(await committer.flushOrGiveUp())) return false;
    this.#safe = safe;
    return true;
  }

  async #move(segment: Segment, target: number): Promise<void> {
    const { state, volume, onWritten } = this.#options;
    state.slots.takeFree(target);
    const from = segment.slot;
    const files = new SlotFiles(volume);
    try {
      const bytes = await this.#read(files, segment);
      await files.writeDurable(target, 0, new Uint8Array(PAGE_BYTES));
      for (let at = segment.startOffset; at < bytes.length; at += WRITE_BYTES) {
        await files.writeDurable(target, at, bytes.subarray(at, at + WRITE_BYTES));
      }
      this.#rewriteHeader(bytes, segment, target);
      await files.writeDurable(target, 0, bytes.subarray(0, segment.startOffset));
      state.counters.flashBytes += PAGE_BYTES + bytes.length;
      state.counters.flushes += 2 + Math.ceil(bytes.length / WRITE_BYTES);
      onWritten(PAGE_BYTES + bytes.length);
    } finally {
      await files.close();
    }
    // Recycling may have let it go meanwhile, or be about to.
    if (segment.state !== 'sealed') {
      state.slots.free(target);
      return;
    }
    segment.slot = target;
    this.#movedSegments++;
    state.logger.debug('ring.segment_moved', { epoch: segment.epoch, from, to: target });
  }

  /** The segment up to the end of its summary, with zeros where the device refuses. */
  async #read(files: SlotFiles, { slot, endOffset }: Segment): Promise<Uint8Array> {
    const { crc32, logger, identity } = this.#options.state;
    const { slotCount, segmentSizeBytes } = identity;
    const reader = new SlotReader({ files, slotCount, segmentSizeBytes, crc32, logger });
    const bytes = await reader.readSlot(slot);
    const end = endOffset + summaryLength(bytes.subarray(endOffset));
    return bytes.subarray(0, Math.min(bytes.length, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES));
  }

  // One that is damaged stays so: the segment is then found by its slot in the newest header.
  #rewriteHeader(bytes: Uint8Array, { slot, epoch, startOffset }: Segment, target: number): void {
    const { crc32 } = this.#options.state;
    const read = decodeSegmentHeader(bytes.subarray(0, startOffset), crc32);
    if (read.kind !== 'valid') return;
    const live = read.header.live.map((entry) =>
      entry.epoch === epoch && entry.slot === slot ? { slot: target, epoch } : entry,
    );
    const moved = { ...read.header, slot: target, live };
    bytes.set(encodeSegmentHeader(moved, crc32, read.lengthBytes));
  }

  async #removeFiles(): Promise<void> {
    const { state, volume, onShrunk } = this.#options;
    const slots = (await volume.list()).map(slotOfName).filter((slot) => slot !== undefined);
    for (const slot of slots.sort((a, b) => b - a)) {
      if (slot < state.slots.count) break;
      if (this.#stopped) return;
      await state.files.forget(slot);
      await volume.remove(slotName(slot));
      await volume.syncDirectory();
    }
    // Whoever wakes it once more has nothing to do.
    this.#stopped = true;
    this.#tell();
    onShrunk();
  }

  /** In sequences, and in bytes of segments, which are what rotation lets go. */
  #tell(): void {
    const { logger, identity, segments } = this.#options.state;
    const gone = this.#before.filter((segment) => !segments.includes(segment));
    const sequences = gone.filter(({ lastSequence }) => lastSequence > 0);
    const event = {
      sizeBytes: identity.slotCount * identity.segmentSizeBytes,
      movedSegments: this.#movedSegments,
      segmentsLetGo: gone.length,
      bytesLetGo: gone.reduce((sum, { endOffset }) => sum + endOffset, 0),
      firstSequence: sequences.at(0)?.firstSequence ?? null,
      lastSequence: sequences.at(-1)?.lastSequence ?? null,
    };
    if (sequences.length === 0) logger.info('ring.shrunk', event);
    else logger.warn('ring.shrunk', event);
  }
}
