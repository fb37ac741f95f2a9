import { assert } from '../base/assert.ts';
import type { PartitionDefinition } from './batch-header.ts';
import { KeptRanges } from './kept-ranges.ts';
import {
  FIRST_STREAM_PARTITION_ID,
  type PartitionInfo,
  RETAINED_PARTITION_ID,
  SESSION_PARTITION_ID,
  STATE_PARTITION_ID,
} from './types.ts';

interface Watcher {
  readonly offset: number;
  readonly fn: () => void;
}

/** The ring's own view of a partition. Its owner is {@link Partitions}. */
export class Partition implements PartitionInfo {
  readonly id: number;
  readonly stream: string;
  readonly index: number;
  headOffset = 0;
  tailOffset = 0;
  durableOffset = 0;
  kept = new KeptRanges();
  /** The batch opening that `runIndex` is about; see BatchWriter. */
  runStamp = 0;
  runIndex = 0;
  /** The same of the run of copies that goes on. */
  carriedStamp = 0;
  carriedIndex = 0;
  #watchers: Watcher[] = [];

  constructor(definition: PartitionDefinition) {
    this.id = definition.id;
    this.stream = definition.stream;
    this.index = definition.index;
  }

  get bytes(): number {
    return this.kept.bytes;
  }

  /** Raises `durableOffset` and calls whoever waits for an offset below it. */
  becomeDurable(offset: number): void {
    if (offset <= this.durableOffset) return;
    this.durableOffset = offset;
    if (this.#watchers.length === 0) return;
    const due = this.#watchers.filter((watcher) => watcher.offset < offset);
    this.#watchers = this.#watchers.filter((watcher) => watcher.offset >= offset);
    for (const watcher of due) watcher.fn();
  }

  watch(offset: number, fn: () => void): () => void {
    if (offset < this.durableOffset) {
      fn();
      return () => undefined;
    }
    const watcher = { offset, fn };
    this.#watchers.push(watcher);
    return () => {
      this.#watchers = this.#watchers.filter((other) => other !== watcher);
    };
  }
}

/** All partitions by id. Ids are never reused, so a lost name costs one name and no data. */
export class Partitions {
  nextId = FIRST_STREAM_PARTITION_ID;
  readonly #byId: (Partition | undefined)[] = [];
  readonly #all: Partition[] = [];

  constructor() {
    this.define({ id: STATE_PARTITION_ID, stream: '$state', index: 0 });
    this.define({ id: SESSION_PARTITION_ID, stream: '$session', index: 0 });
    this.define({ id: RETAINED_PARTITION_ID, stream: '$retained', index: 0 });
  }

  get all(): readonly Partition[] {
    return this.#all;
  }

  get(id: number): Partition | undefined {
    return this.#byId[id];
  }

  need(id: number): Partition {
    const partition = this.#byId[id];
    assert(partition !== undefined, 'there is no such partition');
    return partition;
  }

  find(stream: string, index: number): Partition | undefined {
    return this.#all.find((entry) => entry.stream === stream && entry.index === index);
  }

  /** Adds it, or returns the one that has its id. */
  define(definition: PartitionDefinition): Partition {
    const known = this.#byId[definition.id];
    if (known !== undefined) return known;
    const partition = new Partition(definition);
    this.#byId[definition.id] = partition;
    this.#all.push(partition);
    this.nextId = Math.max(this.nextId, definition.id + 1);
    return partition;
  }

  make(stream: string, index: number): Partition {
    return this.define({ id: this.nextId, stream, index });
  }
}
