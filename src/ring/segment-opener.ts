import { assert } from '../base/assert.ts';
import { CisternError } from '../base/errors.ts';
import type { ActiveSegment } from './active-segment.ts';
import type { BatchWriter } from './batch-writer.ts';
import type { Partition } from './partitions.ts';
import type { RingState } from './ring-state.ts';
import { Segment, type SegmentDetail } from './segment.ts';
import { encodeSegmentHeader, type PreviousEnd, type SegmentHeader } from './segment-header.ts';

/** What a start needs in hand: it takes one slot and names another. */
export const SLOTS_FOR_START = 2;
/** What must be in hand to open a segment, so that its header leaves enough for a start. */
export const SLOTS_TO_OPEN = SLOTS_FOR_START + 1;
/** Carrying frees more than it takes, so it may have the last one. */
export const SLOTS_TO_CARRY = 1;

/** Opens segments in the slots that are free, and encodes what their headers say. */
export class SegmentOpener {
  readonly #state: RingState;
  readonly #governorTokens: () => number;
  /** What the header of the next segment says of the one before. */
  #previous: PreviousEnd;

  constructor(options: {
    readonly state: RingState;
    readonly governorTokens: () => number;
    readonly previous: PreviousEnd;
  }) {
    this.#state = options.state;
    this.#governorTokens = options.governorTokens;
    this.#previous = options.previous;
  }

  /** Throws RING_FULL where fewer than `minSlots` are free. Nothing is written yet. */
  open(minSlots: number): ActiveSegment {
    const state = this.#state;
    if (state.slots.inHand < minSlots) throw ringFull();
    const slot = state.slots.take();
    assert(slot !== undefined, 'no slot was free after all');
    // A number beyond the last slot names none.
    const nextSlot = state.slots.next ?? state.slots.count;
    const epoch = ++state.epoch;
    const previous = this.#previous;
    const headerLength = this.#headerLengthFor(slot, epoch, nextSlot);
    const segment = new Segment(slot, epoch, headerLength);
    const detail: SegmentDetail = { batches: [], sources: [undefined] };
    segment.detail = detail;
    state.segments.push(segment);
    return {
      segment,
      detail,
      seed: state.seedOf(epoch),
      headerLength,
      partitionCount: state.partitions.all.length,
      previous,
      nextSlot,
      position: headerLength,
      headerPending: true,
      previousCrc: previous.lastCrc,
      summaryBytes: 64 + 40 * state.partitions.all.length,
      definedIn: [0],
      period: 0,
      carriedSources: new Map(),
      definedPartitions: state.partitions.all.length,
      slotsInHand: state.slots.inHand,
      isProvisional: true,
      abandoned: false,
    };
  }

  /** Nothing more is appended to it: the next one goes on behind the batch that ends there. */
  leave({ segment }: ActiveSegment, endOffset: number, lastCrc: number): void {
    const { lastSequence } = this.#state;
    this.#previous = { epoch: segment.epoch, endOffset, lastSequence, lastCrc, copiedFrom: 0 };
  }

  /** None of its batches is on flash: the next one goes on where it would have. */
  forget({ previous }: ActiveSegment): void {
    this.#previous = previous;
  }

  /** As it is when the first batch, `writer`, is sealed. */
  encodeHeader(active: ActiveSegment, writer: BatchWriter): Uint8Array {
    const { previous, nextSlot, headerLength } = active;
    const { slot, epoch } = active.segment;
    const partitions = this.#state.partitions.all.slice(0, active.partitionCount);
    const header = this.#headerOf(slot, epoch, nextSlot, previous, partitions, writer);
    const bytes = encodeSegmentHeader(header, this.#state.crc32, headerLength);
    assert(bytes.length === headerLength, 'a segment header outgrew its pages');
    return bytes;
  }

  // Slots may be retired and heads may grow longer numbers before the header is written, so room for
  // that is set aside.
  #headerLengthFor(slot: number, epoch: number, nextSlot: number): number {
    const { slots, partitions, crc32 } = this.#state;
    const spare = Math.floor(slots.count / 8) + 16 + 2 * partitions.all.length;
    const header = this.#headerOf(slot, epoch, nextSlot, this.#previous, partitions.all);
    const retiredSlots = new Array<number>(spare).fill(slots.count + 128);
    return encodeSegmentHeader({ ...header, retiredSlots }, crc32).length;
  }

  #headerOf(
    slot: number,
    epoch: number,
    nextSlot: number,
    previous: PreviousEnd,
    partitions: readonly Partition[],
    writer?: BatchWriter,
  ): SegmentHeader {
    const state = this.#state;
    return {
      ...state.identity,
      slot,
      epoch,
      nextSlot,
      previous,
      bootId: state.clock.bootId,
      checkpointSequence: state.checkpointSequence,
      tailsJumped: state.tailsJumped,
      governorTokens: this.#governorTokens(),
      nextPartitionId: state.partitions.nextId,
      live: state.segments
        .filter((segment) => segment.epoch <= epoch)
        .map((segment) => ({ slot: segment.slot, epoch: segment.epoch })),
      retiredSlots: state.slots.retired,
      partitions: partitions.map((partition) => ({
        id: partition.id,
        stream: partition.stream,
        index: partition.index,
        headOffset: partition.headOffset,
        tailOffset:
          writer?.runs.find((run) => run.partition === partition)?.firstOffset ??
          partition.tailOffset,
      })),
    };
  }
}

export function ringFull(): CisternError {
  return new CisternError('RING_FULL', 'No slot of the ring is free.', {
    remedy: 'Wait until a segment has been recycled.',
  });
}
