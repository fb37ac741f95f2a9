import type { LetGo } from './batch-header.ts';
import { BATCH_CLOSED } from './format.ts';
import type { LostRange } from './ring-state.ts';
import type { Segment } from './segment.ts';
import type { SegmentHeader } from './segment-header.ts';
import type { Walk } from './walk.ts';

/** A slot that may hold a segment of this ring. */
export interface Candidate {
  readonly slot: number;
  readonly epoch: number;
  /** Undefined where its pages are damaged; the batches are found page by page. */
  readonly header: SegmentHeader | undefined;
  readonly startOffset: number;
}

export interface Found {
  readonly candidate: Candidate;
  readonly walk: Walk;
  readonly bytes: Uint8Array;
}

/**
 * True where the first batch found is the first that was written: its header page says so, or it
 * goes on from the last batch of the segment before. A cut can leave a batch without its header.
 */
export function startIsProved(
  candidate: Candidate,
  walk: Walk,
  segments: readonly Segment[],
): boolean {
  if (candidate.header !== undefined) return true;
  const before = segments.findLast(({ epoch }) => epoch < candidate.epoch);
  return before !== undefined && walk.batches[0]?.header.previousCrc === before.lastCrc;
}

/** What a segment calls live, itself included: the table of its header, but for those that its batches let go. */
export function liveTable({ live }: SegmentHeader, walk: Walk): SegmentHeader['live'] {
  const gone = new Set(lettingGo(walk).map(({ epoch }) => epoch));
  return gone.size === 0 ? live : live.filter(({ epoch }) => !gone.has(epoch));
}

/** What the batches of a segment let go, in order. */
export function lettingGo({ batches }: Walk): LetGo[] {
  const found = batches.map(({ sound, header }) => (sound ? header.letsGo : undefined));
  return found.filter((letsGo) => letsGo !== undefined);
}

export function wasClosed({ batches }: Walk): boolean {
  const last = batches.findLast(({ sound }) => sound);
  return last !== undefined && (last.header.flags & BATCH_CLOSED) !== 0;
}

/** The holes that jumps of the tails have left, between what is live. */
export function jumpsIn(
  segments: readonly Segment[],
  candidates: readonly Candidate[],
): LostRange[] {
  const jumps: LostRange[] = [];
  const ends = new Map<number, number>();
  for (const segment of segments) {
    const { header } = candidates.find(({ epoch }) => epoch === segment.epoch) ?? {};
    for (const { id, tailOffset } of header?.tailsJumped === true ? header.partitions : []) {
      const end = ends.get(id) ?? tailOffset;
      if (end < tailOffset) {
        jumps.push({ partitionId: id, firstOffset: end, count: tailOffset - end });
      }
    }
    for (const { partitionId, highest } of segment.extents.values()) {
      ends.set(partitionId, Math.max(ends.get(partitionId) ?? 0, highest + 1));
    }
  }
  return jumps;
}

export function sameRing(a: SegmentHeader | undefined, b: SegmentHeader | undefined): boolean {
  if (a === undefined || b === undefined || a.salt !== b.salt) return false;
  return a.ringId.every((byte, index) => byte === b.ringId[index]);
}
