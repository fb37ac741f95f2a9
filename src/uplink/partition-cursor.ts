import { assert } from '../base/assert.ts';
import type { Offset, ReadResult } from '../ring/types.ts';
import type { StreamPartition } from '../streams/types.ts';
import type { PendingRecord } from './pending-record.ts';

/** Settled entries are cut off the front of the window once there are so many of them. */
const COMPACT_AT = 1024;

export type Settlement = 'acknowledged' | 'deadLettered' | 'expired';

/**
 * Where an uplink is in one partition.
 *
 * Invariants:
 * - `start <= position <= readOffset`: below `position` everything is settled, from `readOffset` on
 *   nothing was read, and what lies between is in the window, in the order of offsets.
 * - `readOffset - start` = acknowledged + deadLettered + expired + lapped + damaged + unsettled.
 */
export class PartitionCursor {
  readonly partition: StreamPartition;
  readonly counts = { acknowledged: 0, deadLettered: 0, expired: 0, lapped: 0, damaged: 0 };
  readonly #start: Offset;
  #position: Offset;
  #readOffset: Offset;
  #window: PendingRecord[] = [];
  /** Index of the first entry that is not settled, and of the first not handed out since `rewind`. */
  #head = 0;
  #next = 0;
  #unsettled = 0;
  #bytes = 0;

  constructor(partition: StreamPartition, start: Offset) {
    this.partition = partition;
    this.#start = start;
    this.#position = start;
    this.#readOffset = start;
  }

  get start(): Offset {
    return this.#start;
  }

  /** The first offset that is not settled: what is saved. */
  get position(): Offset {
    return this.#position;
  }

  get readOffset(): Offset {
    return this.#readOffset;
  }

  /** Records held in memory, settled ones behind an unsettled one included. */
  get held(): number {
    return this.#window.length - this.#head;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  get unsettled(): number {
    return this.#unsettled;
  }

  get unsent(): number {
    return this.#window.length - this.#next;
  }

  get oldest(): PendingRecord | undefined {
    return this.#window[this.#head];
  }

  /** What was read and is not settled, in order. */
  *unsettledRecords(): Generator<PendingRecord> {
    for (let index = this.#head; index < this.#window.length; index += 1) {
      const record = this.#window[index] as PendingRecord;
      if (!record.isSettled) yield record;
    }
  }

  /** Adds what was read at `from`. A read that the cursor has overtaken meanwhile is ignored. */
  take(from: Offset, result: ReadResult, records: readonly PendingRecord[]): void {
    if (from !== this.#readOffset) return;
    for (const record of records) {
      this.#window.push(record);
      this.#bytes += record.bytes;
    }
    this.#unsettled += records.length;
    this.counts.lapped += result.lapped;
    this.counts.damaged += result.nextOffset - from - records.length - result.lapped;
    this.#readOffset = result.nextOffset;
    this.#advance();
  }

  /** The next record to hand over, or undefined. */
  next(): PendingRecord | undefined {
    let record = this.#window[this.#next];
    while (record?.isSettled === true) {
      this.#next += 1;
      record = this.#window[this.#next];
    }
    if (record !== undefined) this.#next += 1;
    return record;
  }

  /** Takes back the record that `next` just gave: it is the next one again. */
  putBack(): void {
    this.#next -= 1;
  }

  /** Everything unsettled is to be handed over again, in order. */
  rewind(): void {
    this.#next = this.#head;
  }

  /** Returns whether the position moved. */
  settle(record: PendingRecord, how: Settlement): boolean {
    assert(!record.isSettled, 'a record is settled once');
    record.isSettled = true;
    this.counts[how] += 1;
    this.#unsettled -= 1;
    return this.#advance();
  }

  /** The destination has everything below `offset`. Returns how many records that spares. */
  skipTo(offset: Offset): number {
    let spared = 0;
    for (let index = this.#head; index < this.#window.length; index += 1) {
      const record = this.#window[index] as PendingRecord;
      if (record.offset >= offset || record.isSettled) continue;
      record.isSettled = true;
      this.#unsettled -= 1;
      spared += 1;
    }
    if (offset > this.#readOffset) {
      spared += offset - this.#readOffset;
      this.#readOffset = offset;
    }
    this.counts.acknowledged += spared;
    this.#advance();
    return spared;
  }

  #advance(): boolean {
    const before = this.#position;
    let record = this.#window[this.#head];
    while (record?.isSettled === true) {
      this.#bytes -= record.bytes;
      this.#head += 1;
      record = this.#window[this.#head];
    }
    this.#next = Math.max(this.#next, this.#head);
    this.#position = record?.offset ?? this.#readOffset;
    if (this.#head >= COMPACT_AT || this.#head === this.#window.length) this.#compact();
    return this.#position !== before;
  }

  #compact(): void {
    this.#window = this.#window.slice(this.#head);
    this.#next -= this.#head;
    this.#head = 0;
  }
}
