import type { PartitionInfo, RecordView, Ring } from '../../src/ring/types.ts';

/** Everything that a ring shows to its readers. */
export interface Observation {
  readonly partitions: readonly PartitionInfo[];
  /** By partition, from `headOffset` on, through `read`. */
  readonly read: ReadonlyMap<number, readonly RecordView[]>;
  /** Everything through `scan`, carried copies included. */
  readonly scanned: readonly RecordView[];
  /** Offsets that `read` reported as taken by media damage. */
  readonly damaged: number;
}

export async function observe(ring: Ring): Promise<Observation> {
  const scanned: RecordView[] = [];
  for await (const records of ring.scan({ fromSequence: 0 })) scanned.push(...records);
  const read = new Map<number, readonly RecordView[]>();
  let damaged = 0;
  for (const { id } of ring.partitions()) {
    const result = await readPartition(ring, id);
    read.set(id, result.records);
    damaged += result.damaged;
  }
  return { partitions: ring.partitions().map((info) => ({ ...info })), read, scanned, damaged };
}

/** Reads a partition from its head to its end, in pieces of a size that does not suit anything. */
export async function readPartition(
  ring: Ring,
  partitionId: number,
): Promise<{ records: readonly RecordView[]; damaged: number }> {
  const records: RecordView[] = [];
  let damaged = 0;
  const bounds = ring.partition(partitionId) as PartitionInfo;
  let offset = bounds.headOffset;
  while (offset < bounds.durableOffset) {
    const result = await ring.read(partitionId, offset, { maxRecords: 37, maxBytes: 10_000 });
    if (result.lapped > 0) throw new Error(`partition ${partitionId}: lapped at ${offset}`);
    if (result.nextOffset <= offset)
      throw new Error(`partition ${partitionId}: stuck at ${offset}`);
    records.push(...result.records);
    damaged += result.damaged;
    offset = result.nextOffset;
  }
  return { records, damaged };
}
