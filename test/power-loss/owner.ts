import type { Clock } from '../../src/platform/clock.ts';
import {
  type DurabilityWaiter,
  type Evacuator,
  type PartitionInfo,
  type RecordSource,
  type RecordView,
  RecordFlag,
  RETAINED_PARTITION_ID,
  type Ring,
  STATE_PARTITION_ID,
} from '../../src/ring/types.ts';
import { type Entry, entryOf, type Ledger } from './ledger.ts';
import type { CheckpointState, SimCheckpoint } from './sim-checkpoint.ts';

const EMPTY = new Uint8Array(0);
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Keys of this kind are kept in the ring too, so that they outlive the loss of the checkpoint. */
export const CARRIED_KEY_PREFIX = 'ring/';
/** Keys of this kind leave the ring as soon as a checkpoint covers them. */
export const CHECKPOINT_KEY_PREFIX = 'checkpoint/';

/**
 * A model of the broker, as the ring sees it: control records folded into a checkpoint, retained
 * messages that must outlive their stream, and plain records that rotation may take.
 */
export class Owner implements Evacuator {
  readonly #ring: Ring;
  readonly #ledger: Ledger;
  readonly #store: SimCheckpoint;
  readonly #clock: Clock;
  readonly #quotas: ReadonlyMap<string, number>;
  /** The last value of each key that was appended, durable or not. */
  readonly #controls = new Map<string, Entry>();
  /** The last value of each key up to the sequence of the next checkpoint. */
  readonly #folded = new Map<string, Entry>();
  #unfolded: Entry[] = [];
  readonly #retained = new Map<string, Entry>();
  readonly #sources = new Map<string, RecordSource>();

  constructor(
    parts: {
      readonly ring: Ring;
      readonly ledger: Ledger;
      readonly store: SimCheckpoint;
      readonly clock: Clock;
      /** Bytes by stream. */
      readonly quotas?: ReadonlyMap<string, number>;
    },
    state: OwnerState,
  ) {
    this.#quotas = parts.quotas ?? new Map();
    this.#ring = parts.ring;
    this.#ledger = parts.ledger;
    this.#store = parts.store;
    this.#clock = parts.clock;
    for (const [key, entry] of state.controls) {
      this.#controls.set(key, entry);
      this.#folded.set(key, entry);
    }
    for (const [topic, entry] of state.retained) this.#retained.set(topic, entry);
  }

  publish(
    partitionId: number,
    topic: string,
    payload: Uint8Array,
    options: { readonly retain?: boolean; readonly rides?: boolean; readonly flags?: number } = {},
  ): Entry {
    const flags = (options.flags ?? 0) | (options.retain === true ? RecordFlag.retained : 0);
    const attributes = payload.length % 3 === 0 ? payload.slice(0, 5) : EMPTY;
    const source = this.#source(topic, `device-${topic.length}`);
    const entry = this.#append(
      { partitionId, source, flags, attributes, payload },
      options.rides ?? false,
    );
    if (options.retain === true) this.#retained.set(topic, entry);
    return entry;
  }

  control(key: string, value: Uint8Array, rides = false): Entry {
    const attributes = encoder.encode(key);
    const entry = this.#append(
      {
        partitionId: STATE_PARTITION_ID,
        source: null,
        flags: RecordFlag.control,
        attributes,
        payload: value,
      },
      rides,
    );
    this.#controls.set(key, entry);
    this.#unfolded.push(entry);
    return entry;
  }

  /** Resolves when everything appended so far is durable; only then does the ledger say so. */
  durable(): Promise<void> {
    const count = this.#ledger.entries.length;
    return new Promise((resolve) => {
      const waiter: DurabilityWaiter = {
        onDurable: () => {
          this.#ledger.acknowledge(count);
          resolve();
        },
      };
      this.#ring.whenDurable(waiter);
    });
  }

  /** Calls `append` at once if the ring takes records, else as soon as it does. */
  async whenAccepting<T>(append: () => T): Promise<T> {
    while (!this.#ring.accepting) {
      await new Promise<void>((resolve) => this.#ring.onAccepting(resolve));
    }
    return append();
  }

  /** Streams with a quota keep that much, less where it is too much; of the others rotation takes what it meets. */
  release(held: ReadonlyMap<number, number>, fruitlessLaps: number): void {
    for (const [id, offset] of held) {
      const { stream } = this.#ring.partition(id) as PartitionInfo;
      if (!this.#quotas.has(stream)) this.#ring.trim(id, offset + 1);
    }
    for (const [stream, quota] of this.#quotas) {
      const own = this.#ring.partitions().filter((info) => info.stream === stream);
      this.#ring.trimToBytes(
        own.map(({ id }) => id),
        quota * 0.9 ** fruitlessLaps,
      );
    }
  }

  keeps(): boolean {
    return true;
  }

  decide(record: RecordView): 'carry' | 'drop' {
    if ((record.flags & RecordFlag.control) !== 0) return this.#decideControl(record);
    if ((record.flags & RecordFlag.retained) === 0) return 'drop';
    const latest = this.#retained.get(record.topic);
    if (latest?.sequence !== record.sequence) return 'drop';
    if (record.partitionId === RETAINED_PARTITION_ID || !this.#ring.accepting) return 'carry';
    const moved = this.#append(
      {
        partitionId: RETAINED_PARTITION_ID,
        source: this.#source(record.topic, record.origin),
        flags: RecordFlag.retained,
        attributes: record.attributes,
        payload: record.payload,
        time: record.time,
      },
      true,
    );
    this.#retained.set(record.topic, moved);
    return 'drop';
  }

  async checkpoint(sequence: number): Promise<void> {
    if (this.#ring.durableSequence < sequence) await this.durable();
    const covered = this.#ring.durableSequence;
    for (const entry of this.#unfolded) {
      if (entry.sequence <= covered) this.#folded.set(keyOf(entry), entry);
    }
    this.#unfolded = this.#unfolded.filter((entry) => entry.sequence > covered);
    const tails = new Map(this.#ring.partitions().map((info) => [info.id, info.durableOffset]));
    const controls = new Map(this.#folded);
    await this.#store.commit({ ringId: this.#ring.ringId, sequence: covered, controls, tails });
  }

  #decideControl(record: RecordView): 'carry' | 'drop' {
    const key = keyOf(record);
    if (!key.startsWith(CARRIED_KEY_PREFIX)) return 'drop';
    return this.#controls.get(key)?.sequence === record.sequence ? 'carry' : 'drop';
  }

  #append(
    request: Omit<Entry, 'offset' | 'sequence' | 'topic' | 'origin' | 'happenedMs'> & {
      readonly source: RecordSource | null;
      readonly time?: RecordView['time'];
    },
    rides: boolean,
  ): Entry {
    const sequence = this.#ring.append({ ...request, rides });
    const offset = (this.#ring.partition(request.partitionId)?.tailOffset ?? 0) - 1;
    const entry: Entry = {
      partitionId: request.partitionId,
      offset,
      sequence,
      flags: request.flags,
      topic: request.source?.topic ?? '',
      origin: request.source?.origin ?? '',
      attributes: request.attributes,
      payload: request.payload,
      happenedMs: request.time?.monotonicMs ?? this.#clock.monotonicMs(),
    };
    this.#ledger.add(entry);
    return entry;
  }

  #source(topic: string, origin: string): RecordSource {
    const known = this.#sources.get(`${topic}\n${origin}`);
    if (known !== undefined) return known;
    const source: RecordSource = { topic, origin, epoch: 0, number: 0 };
    this.#sources.set(`${topic}\n${origin}`, source);
    return source;
  }
}

/** What the owner knows after a start: the last value of each key and of each retained topic. */
export interface OwnerState {
  readonly controls: ReadonlyMap<string, Entry>;
  readonly retained: ReadonlyMap<string, Entry>;
}

/** Joins the checkpoint and the records behind it, as the broker does at start. */
export function recoverOwner(
  checkpoint: CheckpointState | undefined,
  scanned: readonly RecordView[],
): OwnerState {
  const controls = new Map(checkpoint?.controls ?? []);
  const retained = new Map<string, Entry>();
  for (const record of scanned) {
    if ((record.flags & RecordFlag.control) !== 0) {
      if (record.sequence > (checkpoint?.sequence ?? 0))
        keepLatest(controls, keyOf(record), record);
    } else if ((record.flags & RecordFlag.retained) !== 0) {
      keepLatest(retained, record.topic, record);
    }
  }
  return { controls, retained };
}

export function keyOf(record: { readonly attributes: Uint8Array }): string {
  return decoder.decode(record.attributes);
}

function keepLatest(map: Map<string, Entry>, key: string, record: RecordView): void {
  const known = map.get(key);
  if (known === undefined || known.sequence < record.sequence) map.set(key, entryOf(record));
}
