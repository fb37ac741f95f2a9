import type {
  LimitsConfig,
  LogConfig,
  StorageConfig,
  StreamConfig,
  UplinkConfig,
} from './types.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
export const DAY_MS = 24 * HOUR_MS;

/** Bytes of one flash page: the least a commit writes. */
export const PAGE_BYTES = 4 * KIB;

/** Slots of a ring: two are kept free, one is written; fewer than these leave too little to keep. */
export const MIN_SEGMENTS = 16;
/** The table of live segments is in each segment header, which would grow beyond reason. */
export const MAX_SEGMENTS = 16_384;
/** Segment sizes are multiples of it. */
export const SEGMENT_UNIT_BYTES = 64 * KIB;
export const MAX_SEGMENT_BYTES = 256 * MIB;
/** Slots that quotas cannot use: two free ones and the one being written. */
export const RESERVED_SEGMENTS = 3;
/** The rest is slack for headers, padding and records on their way to be carried. */
export const QUOTA_SHARE = 0.8;
/**
 * A packet may be this part of a segment. The ring takes records of a quarter; a record has the client
 * id and, at worst, three bytes for each character of it and of the topic beside what is in the packet.
 */
export const PACKET_SHARE = 1 / 8;
/** Partitions of one stream: each is a cursor for every uplink and a line in each segment header. */
export const MAX_PARTITIONS = 64;
export const MAX_STREAMS = 256;
export const MAX_UPLINKS = 32;
export const MAX_LISTENERS = 32;

/**
 * What the ring carries on for others than streams must leave it room to turn: retained messages,
 * sessions with their subscriptions, and messages for absent sessions may take these parts of it at
 * most, whatever the configured limits, and of what quotas leave the shares below.
 */
export const RETAINED_SHARE = 1 / 4;
export const STATE_SHARE = 1 / 8;
export const SESSION_SHARE = 1 / 8;
/** The rest of what quotas leave is slack. */
export const SHARES_OF_REST = { retained: 0.4, state: 0.2, session: 0.2 } as const;

/** What must be free beside a ring that is to be made: so much, or this part of it where that is more. */
export const STATE_ROOM_BYTES = 16 * MIB;
export const STATE_ROOM_SHARE = 1 / 20;

export const DEFAULT_LISTEN = '127.0.0.1:1883';
export const DEFAULT_ADMIN_LISTEN = '127.0.0.1:9883';
export const DEFAULT_STREAM_NAME = 'default';

export const STORAGE_DEFAULTS: StorageConfig = {
  path: './cistern-data',
  sizeBytes: 256 * MIB,
  segmentSizeBytes: 4 * MIB,
  maxCommitWindowMs: 500,
  onFailure: 'refuse',
  allowCow: false,
  wear: { budgetBytesPerDay: 4 * GIB, enduranceBytes: undefined, lifetimeMs: undefined },
};

export const LOG_DEFAULTS: LogConfig = { level: 'info', format: 'auto' };

/** Everything a peer can make grow, with what it costs. Beyond each there is a policy, not a crash. */
export const LIMIT_DEFAULTS: LimitsConfig = {
  /**
   * One MQTT packet. A connection may hold one incomplete packet in memory; larger ones get 0x95. At
   * most {@link PACKET_SHARE} of a segment.
   */
  packetSizeBytes: 512 * KIB,
  /** Open connections of all listeners; more are closed at once. One idle connection costs about 10 KiB. */
  connections: 10_000,
  /** New connections a second: a fleet that reconnects at once must not starve those connected. */
  connectionRatePerSecond: 500,
  /** QoS 1 and 2 messages one connection may have unacknowledged, each way (Receive Maximum). */
  inflight: 1_000,
  /** Messages waiting for one offline session; the oldest go first, counted. */
  sessionQueueMessages: 100_000,
  /** The same in bytes of payload. */
  sessionQueueBytes: 64 * MIB,
  /** A session that asks for longer, or for ever (all persistent 3.1.1 ones), is kept this long. */
  sessionExpiryMaxMs: 7 * DAY_MS,
  /** Filters of one session; more are refused with 0x97. */
  subscriptionsPerClient: 1_000,
  /** Levels of a topic name or filter: bounds the depth of the subscription tree. */
  topicLevels: 128,
  /** UTF-8 bytes of a topic name or filter. */
  topicBytes: 4 * KIB,
  /** Topics with a retained message; a new topic over the limit is refused, updates are not. */
  retainedMessages: 50_000,
  /** Payload bytes of all retained messages: they are carried forward for ever, so they wear flash. */
  retainedBytes: 64 * MIB,
  /** Bytes queued for one slow connection: beyond it QoS 0 is dropped and QoS 1 and 2 wait in the ring. */
  outputBufferBytes: MIB,
};

export const LISTENER_DEFAULTS = {
  protocol: 'mqtt',
  path: '/mqtt',
  tlsMinVersion: '1.2',
} as const;

export const STREAM_DEFAULTS: Omit<StreamConfig, 'name' | 'topics'> = {
  exclude: [],
  minQos: 0,
  partitions: 1,
  key: { by: 'topic' },
  quotaBytes: undefined,
  maxAgeMs: undefined,
  whenFull: 'drop_oldest',
  ack: 'flash',
};

export const UPLINK_DEFAULTS: Omit<UplinkConfig, 'name' | 'streams' | 'target'> = {
  start: 'earliest',
  drain: 'ordered',
  priority: [],
  rateLimitPerSecond: undefined,
  bandwidthBytesPerSecond: undefined,
  maxAgeMs: undefined,
  active: undefined,
  stallTimeoutMs: 30 * SECOND_MS,
  batch: { records: 500, bytes: 256 * KIB, lingerMs: 50 },
  backoff: { baseMs: SECOND_MS, capMs: 60 * SECOND_MS },
  deadLetter: { attempts: 5, quotaBytes: 16 * MIB },
};

export const MQTT_TARGET_DEFAULTS = {
  version: 5,
  qos: 1,
  topic: '{topic}',
  retain: 'keep',
  keepAliveMs: 60 * SECOND_MS,
} as const;

export const KAFKA_TARGET_DEFAULTS = {
  topic: '{stream}',
  key: '{topic}',
  delivery: 'at_least_once',
  compression: 'none',
} as const;
