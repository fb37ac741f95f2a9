import { QUOTA_SHARE, RESERVED_SEGMENTS } from '../config/defaults.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import { type EventTime, type Offset, type RecordView, type Ring } from '../ring/types.ts';
import type { StreamCursors } from './stream-cursors.ts';
import type { StreamGate } from './stream-gate.ts';
import type { OpenStream, StreamTable } from './stream-table.ts';

/** Why a stream let records go: more than its quota, too old, or without a quota in the way of rotation. */
export type DropReason = 'quota' | 'age' | 'rotation';

export interface StreamKeeperOptions {
  readonly ring: Ring;
  readonly streams: StreamTable;
  readonly cursors: StreamCursors;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly segmentSizeBytes: number;
  /** How long ago something happened; undefined while that cannot be known. */
  readonly ageMs: (time: EventTime) => number | undefined;
}

const LOOK_EVERY_MS = 1_000;
const AGES_EVERY_MS = 60_000;
/** What is let go at a time, as a part of the quota: one by one it would be counted at every message. */
const TRIM_SHARE = 1 / 64;
/** Of their quotas, for each lap in which the ring carried and won nothing. */
const SHARE_A_FRUITLESS_LAP = 0.9;

/**
 * Keeps each stream to its quota and age, and says to the ring what rotation may take.
 *
 * Invariants:
 * - A stream with a quota keeps its newest records up to it, whatever the other streams do, and not
 *   more; within {@link TRIM_SHARE}.
 * - What a reader has not passed is let go by `drop_oldest` streams alone, or for its age.
 */
export class StreamKeeper {
  readonly #options: StreamKeeperOptions;
  readonly #byPartition = new Map<number, OpenStream>();
  readonly #dropped = new Map<OpenStream, Map<DropReason, number>>();
  #timers: Timer[] = [];
  #fruitlessLaps = 0;
  #toldScale = 1;
  #toldFull: ReadonlySet<string> = new Set();

  constructor(options: StreamKeeperOptions) {
    this.#options = options;
    for (const stream of options.streams.streams) {
      this.#dropped.set(stream, new Map());
      for (const id of stream.allPartitionIds) this.#byPartition.set(id, stream);
    }
  }

  /** Begins to look after quotas and ages by itself. */
  start(): void {
    this.#every(0, LOOK_EVERY_MS, () => {
      this.keepToQuotas();
      this.#tellOfFullStreams();
    });
    this.#every(1, AGES_EVERY_MS, () => void this.#keepToAges());
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
  }

  /** Records let go by this process before all readers had passed them, by reason. */
  droppedOf(stream: OpenStream): ReadonlyMap<DropReason, number> {
    return this.#dropped.get(stream) ?? new Map();
  }

  /** 1, or the part of each quota that is kept, where slots were retired or all was carried in vain. */
  get quotaScale(): number {
    const { ring, streams, segmentSizeBytes } = this.#options;
    const sum = streams.streams.reduce((all, { config }) => all + (config.quotaBytes ?? 0), 0);
    if (sum === 0) return 1;
    const { sizeBytes, retiredSlots } = ring.statistics();
    const slots = sizeBytes / segmentSizeBytes - retiredSlots.length - RESERVED_SEGMENTS;
    const capacity = Math.max(0, slots) * segmentSizeBytes * QUOTA_SHARE;
    return Math.min(1, capacity / sum) * SHARE_A_FRUITLESS_LAP ** this.#fruitlessLaps;
  }

  /** Streams that refuse or block, and do so now for nearly every message. */
  fullStreams(): readonly OpenStream[] {
    return this.#options.streams.streams.filter(
      ({ gate }) => gate !== undefined && isNearlyFull(gate),
    );
  }

  /** As the ring's evacuator: rotation is about to go through a segment. */
  release(held: ReadonlyMap<number, Offset>, fruitlessLaps: number): void {
    this.#fruitlessLaps = fruitlessLaps;
    this.keepToQuotas();
    for (const [id, offset] of held) {
      const stream = this.#byPartition.get(id);
      if (stream?.config.quotaBytes !== undefined) continue;
      this.#letGo(stream, 'rotation', [id], () => this.#options.ring.trim(id, offset + 1));
    }
  }

  /** As the ring's evacuator: whether a record within its quota is kept on. */
  keeps(record: RecordView): boolean {
    const { partitionId, offset, time } = record;
    const stream = this.#byPartition.get(partitionId);
    if (stream === undefined || !this.#isTooOld(stream, time)) return true;
    this.#letGo(stream, 'age', [partitionId], () =>
      this.#options.ring.trim(partitionId, offset + 1),
    );
    return false;
  }

  /** Lets go of what is over a quota. */
  keepToQuotas(): void {
    const scale = this.quotaScale;
    this.#tellOf(scale);
    for (const stream of this.#options.streams.streams) {
      const { quotaBytes } = stream.config;
      if (quotaBytes !== undefined) this.#keepToQuota(stream, quotaBytes * scale);
    }
  }

  #keepToQuota(stream: OpenStream, quotaBytes: number): void {
    const { ring } = this.#options;
    const ids = stream.allPartitionIds;
    const weight = ids.reduce((sum, id) => sum + ring.weightFrom(id, 0), 0);
    if (weight <= quotaBytes) return;
    const target = quotaBytes * (1 - TRIM_SHARE);
    this.#letGo(stream, 'quota', ids, () =>
      ring.trimToBytes(ids, target, (id) => this.#keepFrom(stream, id)),
    );
  }

  /** Streams that refuse or block when they are full lose nothing that a reader has not passed. */
  #keepFrom({ config }: OpenStream, partitionId: number): Offset {
    if (config.whenFull === 'drop_oldest') return Infinity;
    return this.#options.cursors.lowest(partitionId) ?? 0;
  }

  /** What is too old goes before rotation comes to it, too: a quiet ring may not turn for months. */
  async #keepToAges(): Promise<void> {
    for (const stream of this.#options.streams.streams) {
      if (stream.config.maxAgeMs === undefined) continue;
      for (const id of stream.allPartitionIds) await this.#keepToAge(stream, id);
    }
  }

  async #keepToAge(stream: OpenStream, partitionId: number): Promise<void> {
    const { ring } = this.#options;
    const info = ring.partition(partitionId);
    if (info === undefined || !(await this.#isOldAt(stream, partitionId, info.headOffset))) return;
    let old = info.headOffset;
    let end = info.durableOffset;
    while (end - old > 1) {
      const middle = old + Math.floor((end - old) / 2);
      if (await this.#isOldAt(stream, partitionId, middle)) old = middle;
      else end = middle;
    }
    this.#letGo(stream, 'age', [partitionId], () => ring.trim(partitionId, end));
  }

  async #isOldAt(stream: OpenStream, partitionId: number, offset: Offset): Promise<boolean> {
    const limits = { maxRecords: 1, maxBytes: 1 };
    const { records } = await this.#options.ring.read(partitionId, offset, limits);
    const [record] = records;
    return record !== undefined && this.#isTooOld(stream, record.time);
  }

  #isTooOld({ config }: OpenStream, time: EventTime): boolean {
    if (config.maxAgeMs === undefined) return false;
    const ageMs = this.#options.ageMs(time);
    return ageMs !== undefined && ageMs > config.maxAgeMs;
  }

  #letGo(
    stream: OpenStream | undefined,
    reason: DropReason,
    partitionIds: readonly number[],
    trim: () => void,
  ): void {
    const before = partitionIds.map((id) => this.#headOf(id));
    trim();
    const counts = stream === undefined ? undefined : this.#dropped.get(stream);
    for (const [index, id] of partitionIds.entries()) {
      const lost = this.#headOf(id) - this.#passedFrom(id, before[index] ?? 0);
      if (lost <= 0) continue;
      counts?.set(reason, (counts.get(reason) ?? 0) + lost);
      // What its age has taken leaves room in a stream that is full.
      this.#options.cursors.moved(id);
    }
  }

  /** What lies below has been passed by all readers; a stream that nobody reads loses all it lets go. */
  #passedFrom(partitionId: number, headOffset: Offset): Offset {
    const lowest = this.#options.cursors.lowest(partitionId) ?? this.#headOf(partitionId);
    return lowest === Infinity ? headOffset : Math.max(headOffset, lowest);
  }

  #headOf(partitionId: number): Offset {
    return this.#options.ring.partition(partitionId)?.headOffset ?? 0;
  }

  #tellOfFullStreams(): void {
    const full = new Set(this.fullStreams().map(({ config }) => config.name));
    for (const stream of full) {
      if (!this.#toldFull.has(stream)) this.#options.logger.warn('stream.full', { stream });
    }
    for (const stream of this.#toldFull) {
      if (!full.has(stream)) this.#options.logger.info('stream.has_room', { stream });
    }
    this.#toldFull = full;
  }

  #tellOf(scale: number): void {
    if (scale === this.#toldScale) return;
    this.#toldScale = scale;
    this.#options.logger.warn('stream.quotas_scaled', { scale });
  }

  #every(index: number, intervalMs: number, work: () => void): void {
    this.#timers[index] = this.#options.clock.after(intervalMs, () => {
      this.#every(index, intervalMs, work);
      work();
    });
  }
}

/** Less than this part of the quota is left. */
const LITTLE_ROOM_SHARE = 1 / 64;

function isNearlyFull(gate: StreamGate): boolean {
  return !gate.admits(gate.quotaBytes * LITTLE_ROOM_SHARE);
}
