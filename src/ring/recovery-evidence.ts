import type { LetGo } from './batch-header.ts';
import { BATCH_CLOSED } from './format.ts';
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

/** Where partitions begin: as its header says of the newest segment, and its batches after it. */
export function headsOf({ partitions }: SegmentHeader, walk: Walk): Map<number, number> {
  const heads = new Map(partitions.map(({ id, headOffset }) => [id, headOffset]));
  for (const letsGo of lettingGo(walk)) {
    for (const { partitionId, headOffset } of letsGo.heads) heads.set(partitionId, headOffset);
  }
  return heads;
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

export function sameRing(a: SegmentHeader | undefined, b: SegmentHeader | undefined): boolean {
  if (a === undefined || b === undefined || a.salt !== b.salt) return false;
  return a.ringId.every((byte, index) => byte === b.ringId[index]);
}
