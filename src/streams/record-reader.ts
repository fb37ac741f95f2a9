import { assert } from '../base/assert.ts';
import type { Ring } from '../ring/types.ts';
import type { RecordReader } from './types.ts';

/** The ring as an uplink sees it: the partitions of named streams, read below `durableOffset`. */
export function createRecordReader(ring: Ring): RecordReader {
  return {
    partitions: (streams) =>
      ring
        .partitions()
        .filter(({ stream }) => streams.includes(stream))
        .map(({ id, stream, index }) => ({ stream, index, partitionId: id })),
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
