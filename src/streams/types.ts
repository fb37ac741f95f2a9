import type { Offset, ReadLimits, ReadResult } from '../ring/types.ts';

/** One ordered sequence of a stream, as a reader of the ring sees it. */
export interface StreamPartition {
  readonly stream: string;
  readonly index: number;
  /** Id in the ring. */
  readonly partitionId: number;
  /** Partitions of an earlier one are to be read to their end first, so that keys keep their order. */
  readonly generation: number;
}

/** What an uplink may ask of the ring. Narrow, so that a test can stand in for it. */
export interface RecordReader {
  partitions(streams: readonly string[]): readonly StreamPartition[];
  bounds(partitionId: number): { headOffset: Offset; tailOffset: Offset; durableOffset: Offset };
  read(partitionId: number, fromOffset: Offset, limits: ReadLimits): Promise<ReadResult>;
  whenReadable(partitionId: number, offset: Offset, fn: () => void): () => void;
  /** A reader has come: a full stream waits for the slowest. `position` is the first offset it needs yet. */
  attach(partitionId: number, position: () => Offset): void;
  /** To be called when that has moved. */
  moved(partitionId: number): void;
  bytesBetween(partitionId: number, from: Offset, to: Offset): number;
}
