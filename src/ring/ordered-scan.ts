import type { RingState } from './ring-state.ts';
import type { BatchPlace, Segment, SegmentDetail } from './segment.ts';
import { apart, type Bounds } from './spans.ts';
import type { RecordView, ScanOptions } from './types.ts';

/** What a scan needs of the reader. */
export interface BatchSource {
  /** Undefined where the segment was let go meanwhile, or cannot be read. */
  detailOf(segment: Segment): Promise<SegmentDetail | undefined>;
  /** Undefined where the batch is damaged or was overwritten meanwhile. */
  recordsOf(
    segment: Segment,
    detail: SegmentDetail,
    place: BatchPlace,
  ): Promise<readonly RecordView[] | undefined>;
}

/** Records that may lie between two sequences: a segment's, or those of one batch. */
interface Span extends Bounds {
  readonly segment: Segment;
}

interface BatchSpan extends Span {
  readonly detail: SegmentDetail;
  readonly place: BatchPlace;
}

/** Where a span was let go under the scan: what it held may have been carried on to another place. */
const LAPPED = Symbol('lapped');

/**
 * All durable records in order of sequence, each once, copies among the others: what was carried
 * lies behind newer records, so that the batches to read are merged by the sequences that they hold.
 * They overlap little, so that seldom more than one or two are decoded at a time.
 *
 * No slot is pinned. Where a segment is let go before it was read, the scan looks anew for what comes
 * next: its survivors were carried before that.
 */
export async function* orderedScan(
  state: RingState,
  source: BatchSource,
  options: ScanOptions,
): AsyncGenerator<readonly RecordView[]> {
  const toSequence = options.toSequence ?? state.durableSequence + 1;
  let from = options.fromSequence;
  for (;;) {
    const merge = new Merge(state, source, { ...options, fromSequence: from, toSequence });
    for (;;) {
      const records = await merge.next();
      if (records === LAPPED) break;
      if (records === undefined) return;
      from = (records.at(-1)?.sequence ?? from) + 1;
      yield records;
    }
  }
}

class Merge {
  readonly #source: BatchSource;
  readonly #options: ScanOptions & { readonly toSequence: number };
  /** Not looked into yet, and not read yet; each by falling first sequence. */
  readonly #segments: Span[];
  #batches: BatchSpan[] = [];
  /** Decoded and not given out yet, by sequence. */
  #open = new Map<number, RecordView>();

  constructor(
    state: RingState,
    source: BatchSource,
    options: ScanOptions & { readonly toSequence: number },
  ) {
    this.#source = source;
    this.#options = options;
    this.#segments = state.segments
      .filter((segment) => isFlagged(segment.flags, options.anyFlag))
      .flatMap((segment) => spansOf(segment))
      .filter((span) => this.#isWanted(span))
      .sort((a, b) => b.first - a.first);
  }

  /** The next records, at least one; undefined at the end. */
  async next(): Promise<readonly RecordView[] | undefined | typeof LAPPED> {
    for (;;) {
      if ((await this.#lookInto()) === LAPPED) return LAPPED;
      const batch = this.#batches.at(-1);
      const ready = this.#takeBelow(batch?.first ?? Infinity);
      if (ready.length > 0) return ready;
      if (batch === undefined) return undefined;
      this.#batches.pop();
      const records = await this.#read(batch);
      if (records === LAPPED) return LAPPED;
      const isAlone = this.#open.size === 0 && batch.last < this.#nextFirst;
      if (isAlone && records.length > 0) return records;
      for (const record of records) this.#open.set(record.sequence, record);
    }
  }

  /** Finds the batches of all segments that may hold what comes next. */
  async #lookInto(): Promise<typeof LAPPED | undefined> {
    for (;;) {
      const span = this.#segments.at(-1);
      const next = this.#batches.at(-1)?.first ?? Infinity;
      if (span === undefined || (span.first > next && this.#batches.length > 0)) return undefined;
      this.#segments.pop();
      const { segment, first, last } = span;
      const detail = await this.#source.detailOf(segment);
      if (segment.state === 'free') return LAPPED;
      if (detail === undefined || !this.#wantsAnyTopic(detail)) continue;
      const found = batchSpans(segment, detail).filter(
        (batch) =>
          batch.first >= first &&
          batch.last <= last &&
          this.#isWanted(batch) &&
          isFlagged(batch.place.flags, this.#options.anyFlag),
      );
      this.#batches = [...this.#batches, ...found].sort((a, b) => b.first - a.first);
    }
  }

  async #read({
    segment,
    detail,
    place,
    ...span
  }: BatchSpan): Promise<RecordView[] | typeof LAPPED> {
    const records = await this.#source.recordsOf(segment, detail, place);
    if (segment.state === 'free') return LAPPED;
    const first = Math.max(span.first, this.#options.fromSequence);
    const end = Math.min(span.last + 1, this.#options.toSequence);
    return (records ?? []).filter(({ sequence }) => sequence >= first && sequence < end);
  }

  get #nextFirst(): number {
    const batch = this.#batches.at(-1)?.first ?? Infinity;
    return Math.min(batch, this.#segments.at(-1)?.first ?? Infinity);
  }

  #takeBelow(sequence: number): RecordView[] {
    const ready: RecordView[] = [];
    for (const record of this.#open.values()) if (record.sequence < sequence) ready.push(record);
    if (ready.length === this.#open.size) this.#open = new Map();
    else for (const record of ready) this.#open.delete(record.sequence);
    return ready.sort((a, b) => a.sequence - b.sequence);
  }

  #isWanted({ first, last }: Span): boolean {
    return last >= this.#options.fromSequence && first < this.#options.toSequence;
  }

  #wantsAnyTopic({ sources }: SegmentDetail): boolean {
    const { wantsTopic } = this.#options;
    if (wantsTopic === undefined) return true;
    return sources.some((each) => each !== undefined && wantsTopic(each.topic));
  }
}

function isFlagged(flags: number, anyFlag: number | undefined): boolean {
  return anyFlag === undefined || anyFlag === 0 || (flags & anyFlag) !== 0;
}

/** Of which none overlaps another, so that each batch of the segment is found once. */
function spansOf(segment: Segment): Span[] {
  const bounds: Bounds[] = [];
  const { firstSequence: first, lastSequence: last } = segment;
  if (first > 0) bounds.push({ first, last });
  for (const { carried } of segment.extents.values()) {
    for (const { firstSequence, lastSequence } of carried) {
      bounds.push({ first: firstSequence, last: lastSequence });
    }
  }
  return apart(bounds).map((each) => ({ ...each, segment }));
}

/** One for what is fresh in a batch, and one for each of its runs of copies. */
function batchSpans(segment: Segment, detail: SegmentDetail): BatchSpan[] {
  return detail.batches.flatMap((place) => {
    const { firstSequence: first, freshCount } = place;
    const spans: BatchSpan[] = place.carried.map(({ firstSequence, lastSequence }) => ({
      first: firstSequence,
      last: lastSequence,
      segment,
      detail,
      place,
    }));
    const last = first + freshCount - 1;
    if (freshCount > 0) spans.push({ first, last, segment, detail, place });
    return spans;
  });
}
