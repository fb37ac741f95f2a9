/**
 * The effective configuration: every key with its default filled in and every unit resolved. Sizes
 * are bytes, durations milliseconds. Nothing here is optional because a key was left out;
 * `undefined` means that the feature is off.
 */
export interface Config {
  /** The file it was read from; undefined where there is none. */
  readonly file: string | undefined;
  readonly node: NodeConfig;
  readonly storage: StorageConfig;
  readonly admin: AdminConfig;
  readonly log: LogConfig;
  readonly auth: AuthConfig;
  readonly limits: LimitsConfig;
  /** At least one. */
  readonly listeners: readonly ListenerConfig[];
  /** In order of precedence: the first match owns a message. At least one. */
  readonly streams: readonly StreamConfig[];
  readonly uplinks: readonly UplinkConfig[];
}

export interface NodeConfig {
  /** Undefined: made once at the first start and kept in the data directory. */
  readonly id: string | undefined;
}

export interface StorageConfig {
  /** Directory, as written by the user: relative to the working directory. */
  readonly path: string;
  /** Of the whole ring; a whole number of segments, at least 16. */
  readonly sizeBytes: number;
  /** A multiple of 64 KiB. */
  readonly segmentSizeBytes: number;
  readonly maxCommitWindowMs: number;
  readonly onFailure: 'refuse' | 'memory';
  readonly allowCow: boolean;
  readonly wear: WearConfig;
}

export interface WearConfig {
  /** Device bytes a day; derived where `endurance` and `lifetime` are given. */
  readonly budgetBytesPerDay: number;
  readonly enduranceBytes: number | undefined;
  readonly lifetimeMs: number | undefined;
}

export interface AdminConfig {
  /** `host:port`; port 0 takes any free one. */
  readonly listen: string;
  /** Always there when `listen` is beyond loopback. */
  readonly token: Secret | undefined;
}

export type LogFormat = 'auto' | 'json' | 'text';

export interface LogConfig {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly format: LogFormat;
}

export interface AuthConfig {
  readonly passwordFile: string | undefined;
  readonly aclFile: string | undefined;
  readonly jwt: JwtConfig | undefined;
}

export interface JwtConfig {
  readonly jwksFile: string;
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly usernameClaim: string;
  readonly aclClaim: string | undefined;
}

/** What each maximum protects is said beside its default, in `defaults.ts`. */
export interface LimitsConfig {
  readonly packetSizeBytes: number;
  readonly connections: number;
  readonly connectionRatePerSecond: number;
  readonly inflight: number;
  readonly sessionQueueMessages: number;
  readonly sessionQueueBytes: number;
  readonly sessionExpiryMaxMs: number;
  readonly subscriptionsPerClient: number;
  readonly topicLevels: number;
  readonly topicBytes: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  readonly outputBufferBytes: number;
}

export interface ListenerConfig {
  /** `host:port`; port 0 takes any free one. */
  readonly listen: string;
  readonly protocol: 'mqtt' | 'ws' | 'mqtt-sn';
  /** Of a WebSocket. */
  readonly path: string;
  /**
   * Whether a client without credentials is let in: as configured, and true on a loopback address
   * for which no authentication is configured.
   */
  readonly anonymous: boolean;
  readonly proxyProtocol: boolean;
  /** The listener's own, or the one of `[auth]`. */
  readonly auth: AuthConfig;
  readonly tls: ListenerTlsConfig | undefined;
}

export interface ListenerTlsConfig {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | undefined;
  readonly requireClientCert: boolean;
  readonly userNameFrom: 'cn' | 'san' | undefined;
  readonly minVersion: '1.2' | '1.3';
}

export interface StreamConfig {
  readonly name: string;
  /** Topic filters; a message that matches one of them and none of `exclude` belongs here. */
  readonly topics: readonly string[];
  readonly exclude: readonly string[];
  readonly minQos: 0 | 1 | 2;
  readonly partitions: number;
  readonly key: StreamKey;
  /** Encoded, uncompressed record bytes; undefined: whatever the ring has room for. */
  readonly quotaBytes: number | undefined;
  readonly maxAgeMs: number | undefined;
  readonly whenFull: 'drop_oldest' | 'reject' | 'block';
  readonly ack: 'flash' | 'memory';
}

/** Which records of a stream keep their order among each other. */
export type StreamKey =
  | { readonly by: 'topic' }
  | { readonly by: 'client' }
  | { readonly by: 'property'; readonly name: string };

export interface UplinkConfig {
  readonly name: string;
  /** Names of configured streams; all of them where the key was left out. */
  readonly streams: readonly string[];
  /** Where it begins when it has no cursor yet. */
  readonly start: 'earliest' | 'latest';
  readonly drain: 'ordered' | 'live_first';
  /** Streams from the most to the least urgent; empty: all alike. */
  readonly priority: readonly string[];
  readonly rateLimitPerSecond: number | undefined;
  readonly bandwidthBytesPerSecond: number | undefined;
  readonly maxAgeMs: number | undefined;
  readonly active: ActiveHours | undefined;
  readonly stallTimeoutMs: number;
  readonly batch: UplinkBatchConfig;
  readonly backoff: { readonly baseMs: number; readonly capMs: number };
  readonly deadLetter: { readonly attempts: number; readonly quotaBytes: number };
  readonly target: UplinkTarget;
}

export interface UplinkBatchConfig {
  readonly records: number;
  readonly bytes: number;
  readonly lingerMs: number;
}

/** Minutes since local midnight; `from` may be after `to`, over midnight. */
export interface ActiveHours {
  readonly fromMinute: number;
  readonly toMinute: number;
}

export type UplinkTarget =
  | MqttTargetConfig
  | KafkaTargetConfig
  | RabbitmqTargetConfig
  | NatsTargetConfig;

export interface MqttTargetConfig {
  readonly type: 'mqtt';
  /** `mqtt://host:port`, never with credentials in it. */
  readonly url: string;
  readonly version: 4 | 5;
  readonly qos: 1 | 2;
  /** Template; `{topic}` keeps the message's own. */
  readonly topic: string;
  /** `keep`: as the message was published. */
  readonly retain: 'keep' | boolean;
  /** Undefined: made from the node's id and the uplink's name. */
  readonly clientId: string | undefined;
  readonly keepAliveMs: number;
  readonly username: Secret | undefined;
  readonly password: Secret | undefined;
  readonly downlink: readonly DownlinkConfig[];
  readonly tls: ClientTlsConfig | undefined;
}

export interface DownlinkConfig {
  readonly filter: string;
  /** Template for the local topic. */
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

export interface KafkaTargetConfig {
  readonly type: 'kafka';
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly key: string;
  readonly delivery: 'exactly_once' | 'at_least_once';
  readonly checkpointTopic: string | undefined;
  readonly compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  readonly tls: ClientTlsConfig | undefined;
  readonly sasl: SaslConfig | undefined;
}

export interface RabbitmqTargetConfig {
  readonly type: 'rabbitmq';
  readonly url: Secret;
  readonly exchange: string;
  readonly routingKey: string;
  readonly mode: 'confirm' | 'stream';
  readonly stream: string | undefined;
  readonly unroutable: 'stall' | 'dead_letter';
  readonly tls: ClientTlsConfig | undefined;
}

export interface NatsTargetConfig {
  readonly type: 'nats';
  readonly servers: readonly string[];
  readonly subject: string;
  readonly credentials: Secret | undefined;
  readonly tls: ClientTlsConfig | undefined;
}

export interface ClientTlsConfig {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly serverName: string | undefined;
}

export interface SaslConfig {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
  readonly username: Secret;
  readonly password: Secret;
}

/**
 * A secret or where it is kept. It is resolved at each use (`resolveSecret`), so that a rotated one
 * is picked up at the next reconnect, and never printed.
 */
export type Secret =
  | { readonly kind: 'literal'; readonly value: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'env'; readonly name: string };
