import { assert } from '../base/assert.ts';
import type { Ring } from '../ring/types.ts';
import { generationsOf } from './generations.ts';
import type { StreamCursors } from './stream-cursors.ts';
import type { RecordReader, StreamPartition } from './types.ts';

/** The ring as an uplink sees it: the partitions of named streams, read below `durableOffset`. */
export function createRecordReader(ring: Ring, cursors: StreamCursors): RecordReader {
  return {
    partitions: (streams) => streams.flatMap((stream) => partitionsOf(ring, stream)),
    attach: (partitionId, position) => cursors.attach(partitionId, position),
    moved: (partitionId) => cursors.moved(partitionId),
    bounds(partitionId) {
      const info = ring.partition(partitionId);
      assert(info !== undefined, 'the partition exists');
      const { headOffset, tailOffset, durableOffset } = info;
      return { headOffset, tailOffset, durableOffset };
    },
    read: (partitionId, fromOffset, limits) => ring.read(partitionId, fromOffset, limits),
    whenReadable: (partitionId, offset, fn) => ring.whenReadable(partitionId, offset, fn),
    bytesBetween: (partitionId, from, to) => ring.bytesBetween(partitionId, from, to),
  };
}

function partitionsOf(ring: Ring, stream: string): StreamPartition[] {
  const own = ring.partitions().filter((info) => info.stream === stream);
  const generations = generationsOf(own.map(({ index }) => index));
  return own.map(({ id, index }) => ({
    stream,
    index,
    partitionId: id,
    generation: generations.findIndex((indices) => indices.includes(index)),
  }));
}
