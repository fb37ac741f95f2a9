import type { Offset, ReadLimits, ReadResult } from '../ring/types.ts';

/** One ordered sequence of a stream, as a reader of the ring sees it. */
export interface StreamPartition {
  readonly stream: string;
  readonly index: number;
  /** Id in the ring. */
  readonly partitionId: number;
}

/** What an uplink may ask of the ring. Narrow, so that a test can stand in for it. */
export interface RecordReader {
  partitions(streams: readonly string[]): readonly StreamPartition[];
  bounds(partitionId: number): { headOffset: Offset; tailOffset: Offset; durableOffset: Offset };
  read(partitionId: number, fromOffset: Offset, limits: ReadLimits): Promise<ReadResult>;
  whenReadable(partitionId: number, offset: Offset, fn: () => void): () => void;
  bytesBetween(partitionId: number, from: Offset, to: Offset): number;
}
