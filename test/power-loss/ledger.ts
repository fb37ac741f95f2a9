import type { RecordView } from '../../src/ring/types.ts';

/** One record that was handed to `append`, with all that must come back. */
export interface Entry {
  readonly partitionId: number;
  readonly offset: number;
  readonly sequence: number;
  readonly flags: number;
  readonly topic: string;
  readonly origin: string;
  readonly attributes: Uint8Array;
  readonly payload: Uint8Array;
  /** On the monotonic clock of the boot in which it happened. */
  readonly happenedMs: number;
}

/** The ledger as it was at one moment: the first `tried` entries, the first `acked` of them acknowledged. */
export interface LedgerView {
  readonly ledger: Ledger;
  readonly tried: number;
  readonly acked: number;
}

/**
 * What a publisher would know: everything it sent, and how much of it was acknowledged. It learns
 * of acknowledgements from `whenDurable` alone, never from the ring's own figures.
 *
 * Invariant: acknowledgements come in the order of append, so the acknowledged entries are a prefix.
 */
export class Ledger {
  readonly entries: Entry[] = [];
  #acked = 0;
  readonly #places = new Map<number, Map<number, number>>();

  get acked(): number {
    return this.#acked;
  }

  add(entry: Entry): void {
    let offsets = this.#places.get(entry.partitionId);
    if (offsets === undefined) {
      offsets = new Map();
      this.#places.set(entry.partitionId, offsets);
    }
    offsets.set(entry.offset, this.entries.length);
    this.entries.push(entry);
  }

  /** Acknowledges the first `count` entries. */
  acknowledge(count: number): void {
    this.#acked = Math.max(this.#acked, count);
  }

  view(): LedgerView {
    return { ledger: this, tried: this.entries.length, acked: this.#acked };
  }

  /** Index of the entry at (partition, offset), or undefined. */
  indexAt(partitionId: number, offset: number): number | undefined {
    return this.#places.get(partitionId)?.get(offset);
  }

  /**
   * The ledger of the next life: what recovery showed was seen by readers and must stay, what it
   * did not show is gone and must never rise again.
   */
  static fromObserved(entries: Iterable<Entry>): Ledger {
    const ledger = new Ledger();
    for (const entry of [...entries].sort((left, right) => left.sequence - right.sequence)) {
      if (ledger.indexAt(entry.partitionId, entry.offset) === undefined) ledger.add(entry);
    }
    ledger.acknowledge(ledger.entries.length);
    return ledger;
  }
}

/** The entry a found record must equal, when it had been tried by the moment of the view. */
export function triedEntry(
  view: LedgerView,
  place: { readonly partitionId: number; readonly offset: number },
): Entry | undefined {
  const index = view.ledger.indexAt(place.partitionId, place.offset);
  if (index === undefined || index >= view.tried) return undefined;
  return view.ledger.entries[index];
}

export function ackedEntries(view: LedgerView): readonly Entry[] {
  return view.ledger.entries.slice(0, view.acked);
}

/** Records of one batch are stamped by the turn, in whole milliseconds. */
const MAX_SKEW_MS = 2;

/** Why the record is not the entry, byte by byte; undefined when it is. */
export function difference(record: RecordView, entry: Entry): string | undefined {
  const fields = ['sequence', 'flags', 'topic', 'origin'] as const;
  for (const field of fields) {
    if (record[field] !== entry[field]) {
      return `${field} is ${String(record[field])}, was ${String(entry[field])}`;
    }
  }
  for (const field of ['attributes', 'payload'] as const) {
    if (Buffer.compare(record[field], entry[field]) !== 0) return `${field} differ`;
  }
  const skewMs = Math.abs(record.time.monotonicMs - entry.happenedMs);
  if (skewMs > MAX_SKEW_MS) {
    return `it happened at ${record.time.monotonicMs} ms, was ${entry.happenedMs} ms`;
  }
  return undefined;
}

export function entryOf(record: RecordView): Entry {
  const { partitionId, offset, sequence, flags, topic, origin, attributes, payload } = record;
  const happenedMs = record.time.monotonicMs;
  return { partitionId, offset, sequence, flags, topic, origin, attributes, payload, happenedMs };
}
