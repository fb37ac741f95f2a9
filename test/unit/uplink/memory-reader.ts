import type { ReadLimits, ReadResult, RecordView } from '../../../src/ring/types.ts';
import type { RecordReader, StreamPartition } from '../../../src/streams/types.ts';

interface MemoryPartition {
  readonly where: StreamPartition;
  readonly records: (RecordView | undefined)[];
  head: number;
  waiting: { readonly offset: number; readonly fn: () => void }[];
}

/** Partitions in memory. Everything appended is durable at once, unless `pending` says otherwise. */
export class MemoryReader implements RecordReader {
  readonly #partitions = new Map<number, MemoryPartition>();
  readonly #wallMs: () => number;
  #maxHeldByAnyRead = 0;
  /** Records in the open batch of each partition: behind `durableOffset`, before `tailOffset`. */
  pending = 0;

  /** In `inGenerations` each partition is a generation of its own. */
  constructor(
    partitionsPerStream: Readonly<Record<string, number>>,
    wallMs: () => number,
    inGenerations = false,
  ) {
    this.#wallMs = wallMs;
    let partitionId = 16;
    for (const [stream, count] of Object.entries(partitionsPerStream)) {
      for (let index = 0; index < count; index += 1) {
        const generation = inGenerations ? index : 0;
        const where = { stream, index, partitionId, generation };
        this.#partitions.set(partitionId, { where, records: [], head: 0, waiting: [] });
        partitionId += 1;
      }
    }
  }

  /** The most records that one read returned. */
  get largestRead(): number {
    return this.#maxHeldByAnyRead;
  }

  attach(): void {}

  moved(): void {}

  append(
    partitionId: number,
    topic: string,
    payload: Uint8Array | string,
    attributes: Uint8Array = new Uint8Array(0),
  ): number {
    const partition = this.#partition(partitionId);
    const offset = partition.records.length;
    partition.records.push({
      partitionId,
      offset,
      sequence: offset + 1,
      flags: 0,
      carried: false,
      time: { wallMs: this.#wallMs(), monotonicMs: 0, bootNumber: 1, trusted: true },
      topic,
      origin: 'device-1',
      attributes,
      payload: typeof payload === 'string' ? new TextEncoder().encode(payload) : payload,
    });
    const due = partition.waiting.filter((waiter) => waiter.offset <= offset);
    partition.waiting = partition.waiting.filter((waiter) => waiter.offset > offset);
    for (const waiter of due) waiter.fn();
    return offset;
  }

  /** Rotation takes everything below `offset`. */
  trim(partitionId: number, offset: number): void {
    const partition = this.#partition(partitionId);
    for (let i = partition.head; i < offset; i += 1) partition.records[i] = undefined;
    partition.head = Math.max(partition.head, offset);
  }

  /** Media damage takes one record. */
  damage(partitionId: number, offset: number): void {
    this.#partition(partitionId).records[offset] = undefined;
  }

  partitions(streams: readonly string[]): readonly StreamPartition[] {
    const all = [...this.#partitions.values()].map(({ where }) => where);
    return all.filter(({ stream }) => streams.includes(stream));
  }

  bounds(partitionId: number) {
    const { head, records } = this.#partition(partitionId);
    const durableOffset = records.length;
    return { headOffset: head, tailOffset: durableOffset + this.pending, durableOffset };
  }

  async read(partitionId: number, from: number, limits: ReadLimits): Promise<ReadResult> {
    const { head, records } = this.#partition(partitionId);
    const lapped = Math.max(0, head - from);
    const found: RecordView[] = [];
    let bytes = 0;
    let damaged = 0;
    let nextOffset = from + lapped;
    while (nextOffset < records.length && found.length < limits.maxRecords) {
      const record = records[nextOffset];
      if (record === undefined) {
        damaged += 1;
      } else {
        bytes += record.payload.length + record.attributes.length;
        if (found.length > 0 && bytes > limits.maxBytes) break;
        found.push(record);
      }
      nextOffset += 1;
    }
    this.#maxHeldByAnyRead = Math.max(this.#maxHeldByAnyRead, found.length);
    return { records: found, nextOffset, lapped, damaged };
  }

  whenReadable(partitionId: number, offset: number, fn: () => void): () => void {
    const partition = this.#partition(partitionId);
    if (partition.records.length > offset) {
      fn();
      return () => undefined;
    }
    const waiter = { offset, fn };
    partition.waiting.push(waiter);
    return () => {
      partition.waiting = partition.waiting.filter((other) => other !== waiter);
    };
  }

  bytesBetween(partitionId: number, from: number, to: number): number {
    const { records } = this.#partition(partitionId);
    return records.slice(from, to).reduce((sum, record) => sum + (record?.payload.length ?? 0), 0);
  }

  #partition(partitionId: number): MemoryPartition {
    const partition = this.#partitions.get(partitionId);
    if (partition === undefined) throw new Error(`no partition ${partitionId}`);
    return partition;
  }
}
