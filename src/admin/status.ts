import type { StreamConfig } from '../config/types.ts';
import type { UplinkStatus } from '../uplink/types.ts';

/**
 * The answer of `GET /api/v1/status`: a contract, since other programs rely on these names. Counters
 * start at 0 with the process unless their comment says otherwise.
 */
export interface Status {
  readonly node: NodeStatus;
  readonly alarms: readonly AlarmStatus[];
  readonly listeners: readonly ListenerStatus[];
  readonly clients: ClientsStatus;
  readonly messages: MessagesStatus;
  readonly ring: RingStatus;
  readonly wear: WearStatus;
  readonly streams: readonly StreamStatus[];
  readonly uplinks: readonly UplinkStatus[];
}

export interface NodeStatus {
  readonly id: string;
  /** 64 random bits made with the ring, as hexadecimal. */
  readonly lineage: string;
  readonly version: string;
  readonly uptimeSeconds: number;
  /** False while nobody knows the time: ages and expiries then count only the time that the power is on. */
  readonly clockTrusted: boolean;
}

/** A condition that somebody should look at, for as long as it lasts. */
export interface AlarmStatus {
  /** Stable, so that a dashboard can match on it. */
  readonly code: string;
  readonly sinceSeconds: number;
  readonly message: string;
}

export interface ListenerStatus {
  readonly protocol: string;
  /** `host:port`, with the port really bound. */
  readonly address: string;
  readonly connections: number;
}

export interface ClientsStatus {
  readonly connected: number;
  /** Sessions the broker holds, those of connected clients included. */
  readonly sessions: number;
  /** By reason: `bad_credentials`, `not_authorized`, and `busy`, for logins that were not checked. */
  readonly refusedLogins: DropCounts;
  /**
   * Connections by reason: `connection_limit`, `connection_rate`, `unfinished_packets` (they held too
   * much of the memory), and `proxy_handshake`, `tls_handshake`, `websocket_handshake`, which failed.
   */
  readonly turnedAway: DropCounts;
}

/** Counts by reason. A reason that never happened is absent. */
export type DropCounts = Readonly<Record<string, number>>;

export interface MessagesStatus {
  readonly received: number;
  readonly delivered: number;
  /** Taken while flash could not be written, and not on it. */
  readonly memoryOnly: number;
  readonly dropped: DropCounts;
}

export interface LostOffsets {
  readonly stream: string;
  readonly partition: number;
  readonly firstOffset: number;
  readonly count: number;
}

export interface RingStatus {
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly segments: number;
  readonly epoch: number;
  /** Worn, and not used any more. */
  readonly retiredSlots: number;
  /** Damaged on the medium, as far as has been met, at the start and since. */
  readonly corruptRecords: number;
  /** Where those were; the last ones met. */
  readonly lost: readonly LostOffsets[];
  /** What the last start found. */
  readonly recovery: {
    readonly durationMs: number;
    readonly tornRecords: number;
    readonly corruptRecords: number;
  };
}

export interface WearStatus {
  readonly payloadBytes: number;
  readonly flashBytes: number;
  readonly carriedBytes: number;
  /** Of the flash bytes, what checkpoints took; as LMDB counts its pages. */
  readonly checkpointBytes: number;
  /** From the block device's own counter, for whatever wrote to it; null where it cannot be read. */
  readonly deviceBytes: number | null;
  readonly flushes: number;
  /** Flash bytes by payload bytes; 0 before the first payload. */
  readonly amplification: number;
  readonly budgetBytesPerDay: number;
  /** Flash bytes of a day like the last one, or like what there was of it; null in the first minute. */
  readonly bytesPerDay: number | null;
  /** Device bytes the budget has in hand; negative: a debt, as deep as the bucket at most. */
  readonly tokenBytes: number;
  /** As many as it can have in hand: an hour's. Kept over restarts. */
  readonly bucketBytes: number;
  /** How far the budget puts commits of one page apart now; 0: an ack takes one flush. */
  readonly commitWindowMs: number;
  /** How often the whole ring has been written, since it was made. */
  readonly laps: number;
  /** At the rate of the last day; null where neither configuration nor device tells the endurance. */
  readonly yearsLeft: number | null;
  /** What the data directory is on; null where that is not to be seen. */
  readonly device: DeviceStatus | null;
}

export interface DeviceStatus {
  /** As the kernel names it, such as `mmcblk0p2`, and the whole disk below it. */
  readonly name: string;
  readonly disk: string;
  /** Since the machine started; null where it cannot be read. */
  readonly writtenBytes: number | null;
  /** Of an eMMC: at most so much of the life of each kind of its flash is used; null: not told. */
  readonly usedShares: readonly number[] | null;
  /** Of an eMMC: how its reserved blocks stand; null: not told. */
  readonly preEndOfLife: 'normal' | 'warning' | 'urgent' | null;
}

export interface StreamStatus {
  readonly name: string;
  readonly whenFull: StreamConfig['whenFull'];
  /** As configured; null where the stream has what the others leave. */
  readonly quotaBytes: number | null;
  /**
   * What takes of the quota, properties, payload and 8 bytes a record: all that is kept or, where the
   * stream rejects or blocks when full, what some uplink has yet to pass. Null without a quota.
   */
  readonly quotaUsedBytes: number | null;
  readonly partitions: readonly PartitionStatus[];
  readonly dropped: DropCounts;
}

export interface PartitionStatus {
  /** Index in its stream, from 0. */
  readonly id: number;
  readonly headOffset: number;
  readonly tailOffset: number;
  readonly durableOffset: number;
  readonly bytes: number;
}
