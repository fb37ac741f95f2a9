import type { ListenerStatus, LostOffsets, Status, StreamStatus } from '../admin/status.ts';
import type { Broker } from '../broker/broker.ts';
import type { Config } from '../config/types.ts';
import { describeSize } from '../config/units.ts';
import type { BlockDevice } from '../platform/block-device.ts';
import type { Clock } from '../platform/clock.ts';
import type { EventTimes } from '../ring/event-time.ts';
import type { Ring, RingStatistics } from '../ring/types.ts';
import type { StreamKeeper } from '../streams/stream-keeper.ts';
import type { StreamCursors } from '../streams/stream-cursors.ts';
import type { OpenStream, StreamTable } from '../streams/stream-table.ts';
import type { UplinkLapse } from '../uplink/lap-watch.ts';
import type { UplinkStatus } from '../uplink/types.ts';
import { Alarms, type Condition } from './alarms.ts';
import type { Identity } from './identity.ts';
import type { Storage } from './storage.ts';
import { WearReport } from './wear-report.ts';

export interface StatusParts {
  readonly version: string;
  readonly clock: Clock;
  readonly times: EventTimes;
  readonly config: Config;
  readonly identity: Identity;
  readonly storage: Storage;
  /** Undefined where it is not to be seen. */
  readonly device: BlockDevice | undefined;
  readonly broker: Broker;
  readonly streams: StreamTable;
  readonly cursors: StreamCursors;
  readonly keeper: StreamKeeper;
  readonly listeners: () => readonly ListenerStatus[];
  readonly uplinks: () => readonly UplinkStatus[];
  /** Of uplinks that lost records to rotation lately. */
  readonly uplinkLapses: () => readonly UplinkLapse[];
  /** Of files that changed and cannot be used. */
  readonly reloads: () => readonly Condition[];
  readonly refusedLogins: () => ReadonlyMap<string, number>;
}

/** Makes the status document from the parts that run. */
export class StatusReport {
  readonly #parts: StatusParts;
  readonly #alarms: Alarms;
  readonly #wear: WearReport;
  readonly #startedMs: number;

  constructor(parts: StatusParts) {
    this.#parts = parts;
    this.#alarms = new Alarms(parts.clock);
    this.#wear = new WearReport(parts);
    this.#startedMs = parts.clock.monotonicMs();
  }

  /** To be called now and then, so that an alarm that nobody asks about knows since when it stands. */
  lookForAlarms(): void {
    this.#alarms.update(this.#conditions(this.#parts.uplinks()));
  }

  status(): Status {
    const { version, clock, identity, storage, broker } = this.#parts;
    const { ring } = storage;
    const statistics = ring.statistics();
    const { recovery } = ring;
    const uplinks = this.#parts.uplinks();
    return {
      node: {
        id: identity.nodeId,
        lineage: identity.lineage,
        version,
        uptimeSeconds: Math.round((clock.monotonicMs() - this.#startedMs) / 1000),
        clockTrusted: this.#parts.times.isTrusted,
      },
      alarms: this.#alarms.update(this.#conditions(uplinks)),
      listeners: this.#parts.listeners(),
      clients: {
        connected: broker.connectionCount,
        sessions: broker.sessionCount,
        refusedLogins: Object.fromEntries(this.#parts.refusedLogins()),
        turnedAway: Object.fromEntries(broker.counters.turnedAway),
      },
      messages: {
        received: broker.counters.received,
        delivered: broker.counters.delivered,
        memoryOnly: broker.counters.memoryOnly,
        dropped: Object.fromEntries(broker.counters.dropped),
      },
      ring: {
        sizeBytes: statistics.sizeBytes,
        usedBytes: statistics.usedBytes,
        segments: statistics.segments,
        epoch: statistics.epoch,
        retiredSlots: statistics.retiredSlots.length,
        corruptRecords: statistics.corruptRecords,
        lost: lostRanges(ring, statistics),
        recovery: {
          durationMs: Math.round(recovery.durationMs),
          tornRecords: recovery.tornRecords,
          corruptRecords: recovery.corruptRecords,
        },
      },
      wear: this.#wear.status(statistics),
      streams: this.#streams(),
      uplinks,
    };
  }

  #streams(): StreamStatus[] {
    const { broker, keeper, storage, streams } = this.#parts;
    keeper.keepToQuotas();
    return streams.streams.map((stream) => ({
      name: stream.config.name,
      whenFull: stream.config.whenFull,
      quotaBytes: stream.config.quotaBytes ?? null,
      quotaUsedBytes: this.#quotaUsedBytes(stream),
      // Of an earlier generation nothing is said once it is empty.
      partitions: stream.allPartitionIds
        .flatMap((id) => storage.ring.partition(id) ?? [])
        .filter(
          ({ id, headOffset, tailOffset }) =>
            headOffset < tailOffset || stream.partitionIds.includes(id),
        )
        .map(({ index, headOffset, tailOffset, durableOffset, bytes }) => ({
          id: index,
          headOffset,
          tailOffset,
          durableOffset,
          bytes,
        })),
      dropped: Object.fromEntries([
        ...keeper.droppedOf(stream),
        ...broker.refusedBy(stream.config.name),
      ]),
    }));
  }

  #quotaUsedBytes({ config, allPartitionIds }: OpenStream): number | null {
    const { cursors, storage } = this.#parts;
    if (config.quotaBytes === undefined) return null;
    const from = (id: number): number =>
      config.whenFull === 'drop_oldest' ? 0 : (cursors.lowest(id) ?? 0);
    const weights = allPartitionIds.map((id) => storage.ring.weightFrom(id, from(id)));
    return Math.round(weights.reduce((sum, weight) => sum + weight, 0));
  }

  #conditions(uplinks: readonly UplinkStatus[]): Condition[] {
    const { storage } = this.#parts;
    const { ring, checkpoints, place } = storage;
    const conditions: Condition[] = place.warnings.map(({ code, message }) => ({ code, message }));
    const {
      failure,
      shrinkFailure,
      sizeBytes,
      corruptRecords,
      retiredSlots,
      maxRetiredSlots,
      wear,
    } = ring.statistics();
    for (const { config: stream } of this.#parts.keeper.fullStreams()) {
      const what = stream.whenFull === 'block' ? 'its publishers wait' : 'messages are refused';
      const message = `The stream ${stream.name} is full of what an uplink has not sent: ${what}.`;
      conditions.push({ code: 'stream.full', message });
    }
    const { quotaScale } = this.#parts.keeper;
    if (quotaScale < 1) {
      const percent = Math.floor(quotaScale * 100);
      const message = `The ring cannot hold all quotas: each stream keeps ${percent} % of its own.`;
      conditions.push({ code: 'stream.quotas_scaled', message });
    }
    if (failure !== undefined && this.#parts.config.storage.onFailure === 'memory') {
      conditions.push({
        code: 'storage.memory_only',
        message: `Flash cannot be written: what is acknowledged is in memory alone. ${failure.message}`,
      });
    } else if (failure !== undefined) {
      conditions.push({
        code: 'ring.unwritable',
        message: `The ring cannot be written, so nothing is acknowledged: ${failure.message}`,
      });
    }
    if (retiredSlots.length > 0) {
      const slots = retiredSlots.toSorted((a, b) => a - b).join(', ');
      const message = `The medium is wearing out: of the ring's slots are not used any more ${slots} (${maxRetiredSlots} at most).`;
      conditions.push({ code: 'ring.slots_retired', message });
    }
    if (shrinkFailure !== undefined) {
      const message =
        `The ring keeps ${describeSize(sizeBytes)}, since it cannot be made smaller: ` +
        `${shrinkFailure}. Each start tries it again.`;
      conditions.push({ code: 'ring.shrink_failed', message });
    }
    if (corruptRecords > 0) {
      const message = `${corruptRecords} records were damaged on the medium and are lost.`;
      conditions.push({ code: 'ring.corrupt_records', message });
    }
    const { lostSegments, shortSegments } = ring.recovery;
    if (lostSegments > 0) {
      const message = `${lostSegments} of the segments could not be read at all at the start: they are lost.`;
      conditions.push({ code: 'ring.segment_lost', message });
    }
    if (shortSegments > 0) {
      const message = `Of ${shortSegments} of the segments the file was cut short: what lay behind that is lost.`;
      conditions.push({ code: 'ring.segment_cut_short', message });
    }
    if (checkpoints.setAside !== undefined) {
      const message = `The checkpoint was set aside and rebuilt: ${checkpoints.setAside}.`;
      conditions.push({ code: 'metadata.rebuilt', message });
    }
    if (wear?.exceededSinceMs !== undefined) {
      const message =
        `More is written to flash than ${describeSize(wear.budgetBytesPerDay)} a day, so small ` +
        'commits wait for each other. Raise storage.wear.budget, or let clients send less often.';
      conditions.push({ code: 'wear.budget_exceeded', message, sinceMs: wear.exceededSinceMs });
    }
    for (const { name, deadLettered } of uplinks) {
      if (deadLettered === 0) continue;
      const message = `Records of the uplink ${name} were given up; the log names each, and why.`;
      conditions.push({ code: 'uplink.dead_lettered', message });
    }
    for (const { name, state, lastError } of uplinks) {
      if (state !== 'stalled') continue;
      const message = `The uplink ${name} cannot go on: ${lastError ?? 'nothing is acknowledged'}`;
      conditions.push({ code: 'uplink.stalled', message });
    }
    conditions.push(...this.#lapses(), ...this.#parts.reloads());
    return conditions;
  }

  /** What rotation took before it was delivered, within the last hour. */
  #lapses(): Condition[] {
    const conditions = this.#parts.uplinkLapses().map(({ name, records, sinceMs }) => ({
      code: 'uplink.lapped',
      message: `${records} records were let go, by rotation, quota or age, before the uplink ${name} had read them.`,
      sinceMs,
    }));
    const lapped = this.#parts.broker.recentlyLapped();
    if (lapped !== undefined) {
      const { messages, owners, sinceMs } = lapped;
      const message = `Rotation took at least ${messages} messages before ${owners} sessions or groups had them.`;
      conditions.push({ code: 'session.lapped', message, sinceMs });
    }
    return conditions;
  }
}

/** More of them say nothing more: the log names all. */
const MAX_LOST_RANGES = 32;

function lostRanges(ring: Ring, { lost }: RingStatistics): LostOffsets[] {
  return lost.slice(-MAX_LOST_RANGES).map(({ partitionId, firstOffset, count }) => {
    const { stream = '', index = 0 } = ring.partition(partitionId) ?? {};
    return { stream, partition: index, firstOffset, count };
  });
}
