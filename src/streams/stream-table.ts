import { assert } from '../base/assert.ts';
import { topicMatchesFilter } from '../codec/topic.ts';
import type { StreamConfig } from '../config/types.ts';
import type { Ring } from '../ring/types.ts';
import { currentGeneration } from './generations.ts';
import type { StreamCursors } from './stream-cursors.ts';
import { StreamGate } from './stream-gate.ts';

type StreamRing = Pick<Ring, 'ensurePartition' | 'partitions' | 'partition' | 'weightFrom'>;

/** A stream with the ring's ids of its partitions, in order of index. */
export interface OpenStream {
  readonly config: StreamConfig;
  /** Where messages go. */
  readonly partitionIds: readonly number[];
  /** Those, and what is left of earlier generations. */
  readonly allPartitionIds: readonly number[];
  /** Where the stream is to lose nothing that its readers have not passed. */
  readonly gate: StreamGate | undefined;
}

/**
 * Which stream and partition a message belongs to. The first stream in configuration order whose
 * filters match owns it, whatever later ones say.
 */
export class StreamTable {
  readonly #streams: readonly OpenStream[];

  /** Finds or makes every partition in the ring. */
  constructor(configs: readonly StreamConfig[], ring: StreamRing, cursors: StreamCursors) {
    this.#streams = configs.map((config) => openStream(config, ring, cursors));
  }

  get streams(): readonly OpenStream[] {
    return this.#streams;
  }

  /** The stream that owns messages with this topic and QoS; undefined where none does. */
  owner(topic: string, qos: number): OpenStream | undefined {
    return this.#streams.find(
      ({ config }) =>
        qos >= config.minQos &&
        config.topics.some((filter) => topicMatchesFilter(topic, filter)) &&
        !config.exclude.some((filter) => topicMatchesFilter(topic, filter)),
    );
  }
}

function openStream(config: StreamConfig, ring: StreamRing, cursors: StreamCursors): OpenStream {
  const { name, partitions, quotaBytes, whenFull } = config;
  const known = ring.partitions().filter(({ stream }) => stream === name);
  const indices = currentGeneration(
    known.map(({ index }) => index),
    partitions,
  );
  const partitionIds = indices.map((index) => ring.ensurePartition(name, index).id);
  const allPartitionIds = [...new Set([...known.map(({ id }) => id), ...partitionIds])];
  const gate =
    whenFull === 'drop_oldest' || quotaBytes === undefined
      ? undefined
      : new StreamGate({
          stream: name,
          ring,
          cursors,
          partitionIds: allPartitionIds,
          quotaBytes,
          whenFull,
        });
  return { config, partitionIds, allPartitionIds, gate };
}

/** The partition of `stream` for a key: the same key always meets the same partition. */
export function partitionFor(stream: OpenStream, key: string): number {
  const { partitionIds } = stream;
  const id = partitionIds[partitionIds.length === 1 ? 0 : hashKey(key) % partitionIds.length];
  assert(id !== undefined, 'a stream has at least one partition');
  return id;
}

/** FNV-1a over UTF-16 units, 32 bits: stable for ever, since order per key depends on it. */
function hashKey(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) {
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}
