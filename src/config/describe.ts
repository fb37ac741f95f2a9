import {
  DEFAULT_ADMIN_LISTEN,
  LIMIT_DEFAULTS,
  LISTENER_DEFAULTS,
  LOG_DEFAULTS,
  MQTT_TARGET_DEFAULTS,
  STORAGE_DEFAULTS,
  STREAM_DEFAULTS,
  UPLINK_DEFAULTS,
} from './defaults.ts';
import { describeSecret } from './secret.ts';
import type {
  AuthConfig,
  ClientTlsConfig,
  Config,
  LimitsConfig,
  ListenerConfig,
  MqttTargetConfig,
  Secret,
  StorageConfig,
  StreamConfig,
  StreamKey,
  UplinkConfig,
  UplinkTarget,
} from './types.ts';
import { formatDuration, formatRate, formatSize } from './units.ts';

/**
 * The effective configuration as TOML, with what has its default value behind a `#`. Read again it
 * gives the same configuration, unless a secret stood in it openly: those are shown as `***`.
 */
export function describeConfig(config: Config): string {
  const page = new TomlPage();
  page.comment('Lines behind a "#" have their default value.');
  page.header('[node]');
  page.optional('id', config.node.id);
  addStorage(page, config.storage);
  page.header('[admin]');
  page.value('listen', config.admin.listen, DEFAULT_ADMIN_LISTEN);
  addSecret(page, 'token', config.admin.token);
  page.header('[log]');
  page.value('level', config.log.level, LOG_DEFAULTS.level);
  page.value('format', config.log.format, LOG_DEFAULTS.format);
  addAuth(page, 'auth', config.auth);
  addLimits(page, config.limits);
  for (const listener of config.listeners) addListener(page, listener, config.auth);
  for (const stream of config.streams) addStream(page, stream);
  for (const uplink of config.uplinks) addUplink(page, uplink);
  return page.text();
}

type TomlValue = string | number | boolean | readonly string[];

class TomlPage {
  readonly #lines: string[] = [];

  comment(text: string): void {
    this.#lines.push(`# ${text}`);
  }

  header(text: string): void {
    this.#lines.push('', text);
  }

  set(key: string, value: TomlValue): void {
    this.#lines.push(`${key} = ${toToml(value)}`);
  }

  /** Behind a `#` where it is the default. */
  value(key: string, value: TomlValue, fallback: TomlValue): void {
    const same = toToml(value) === toToml(fallback);
    this.#lines.push(`${same ? '# ' : ''}${key} = ${toToml(value)}`);
  }

  optional(key: string, value: TomlValue | undefined): void {
    if (value !== undefined) this.set(key, value);
  }

  text(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

/** TOML's basic strings have the escapes of JSON, and forbid one character more. */
function toToml(value: TomlValue): string {
  if (typeof value === 'string') return JSON.stringify(value).replaceAll('\x7f', '\\u007f');
  if (typeof value === 'object') return `[${value.map(toToml).join(', ')}]`;
  return String(value);
}

function addSecret(page: TomlPage, key: string, secret: Secret | undefined): void {
  page.optional(key, secret && describeSecret(secret));
}

function addStorage(page: TomlPage, storage: StorageConfig): void {
  const defaults = STORAGE_DEFAULTS;
  page.header('[storage]');
  page.value('path', storage.path, defaults.path);
  page.value('size', formatSize(storage.sizeBytes), formatSize(defaults.sizeBytes));
  page.value(
    'segment',
    formatSize(storage.segmentSizeBytes),
    formatSize(defaults.segmentSizeBytes),
  );
  page.value(
    'max_commit_window',
    formatDuration(storage.maxCommitWindowMs),
    formatDuration(defaults.maxCommitWindowMs),
  );
  page.value('on_failure', storage.onFailure, defaults.onFailure);
  page.value('allow_cow', storage.allowCow, defaults.allowCow);
  page.header('[storage.wear]');
  const { budgetBytesPerDay, enduranceBytes, lifetimeMs } = storage.wear;
  if (enduranceBytes !== undefined && lifetimeMs !== undefined) {
    page.comment(`budget = ${toToml(`${formatSize(budgetBytesPerDay)}/day`)}`);
    page.set('endurance', formatSize(enduranceBytes));
    page.set('lifetime', formatDuration(lifetimeMs));
  } else {
    const fallback = `${formatSize(defaults.wear.budgetBytesPerDay)}/day`;
    page.value('budget', `${formatSize(budgetBytesPerDay)}/day`, fallback);
  }
}

function addAuth(page: TomlPage, table: string, { passwordFile, aclFile, jwt }: AuthConfig): void {
  page.header(`[${table}]`);
  page.optional('password_file', passwordFile);
  page.optional('acl_file', aclFile);
  if (!jwt) return;
  page.header(`[${table}.jwt]`);
  page.set('jwks_file', jwt.jwksFile);
  page.optional('issuer', jwt.issuer);
  page.optional('audience', jwt.audience);
  page.set('username_claim', jwt.usernameClaim);
  page.optional('acl_claim', jwt.aclClaim);
}

function addLimits(page: TomlPage, limits: LimitsConfig): void {
  const defaults = LIMIT_DEFAULTS;
  const size = (key: string, pick: (limits: LimitsConfig) => number): void =>
    page.value(key, formatSize(pick(limits)), formatSize(pick(defaults)));
  const count = (key: string, pick: (limits: LimitsConfig) => number): void =>
    page.value(key, pick(limits), pick(defaults));
  page.header('[limits]');
  size('packet_size', (each) => each.packetSizeBytes);
  count('connections', (each) => each.connections);
  page.value(
    'connection_rate',
    formatRate(limits.connectionRatePerSecond, 'connections'),
    formatRate(defaults.connectionRatePerSecond, 'connections'),
  );
  count('inflight', (each) => each.inflight);
  count('session_queue_messages', (each) => each.sessionQueueMessages);
  size('session_queue_bytes', (each) => each.sessionQueueBytes);
  page.value(
    'session_expiry_max',
    formatDuration(limits.sessionExpiryMaxMs),
    formatDuration(defaults.sessionExpiryMaxMs),
  );
  count('subscriptions_per_client', (each) => each.subscriptionsPerClient);
  count('topic_levels', (each) => each.topicLevels);
  size('topic_bytes', (each) => each.topicBytes);
  count('retained_messages', (each) => each.retainedMessages);
  size('retained_bytes', (each) => each.retainedBytes);
  size('output_buffer', (each) => each.outputBufferBytes);
}

function addListener(page: TomlPage, listener: ListenerConfig, shared: AuthConfig): void {
  page.header('[[listener]]');
  page.set('listen', listener.listen);
  page.value('protocol', listener.protocol, LISTENER_DEFAULTS.protocol);
  if (listener.protocol === 'ws') page.value('path', listener.path, LISTENER_DEFAULTS.path);
  page.set('anonymous', listener.anonymous);
  page.value('proxy_protocol', listener.proxyProtocol, false);
  if (listener.auth !== shared) addAuth(page, 'listener.auth', listener.auth);
  if (!listener.tls) return;
  page.header('[listener.tls]');
  page.set('cert', listener.tls.cert);
  page.set('key', listener.tls.key);
  page.optional('ca', listener.tls.ca);
  page.value('require_client_cert', listener.tls.requireClientCert, false);
  page.optional('user_name_from', listener.tls.userNameFrom);
  page.value('min_version', listener.tls.minVersion, LISTENER_DEFAULTS.tlsMinVersion);
}

function addStream(page: TomlPage, stream: StreamConfig): void {
  const defaults = STREAM_DEFAULTS;
  page.header('[[stream]]');
  page.set('name', stream.name);
  page.set('topics', stream.topics);
  page.value('exclude', stream.exclude, defaults.exclude);
  page.value('min_qos', stream.minQos, defaults.minQos);
  page.value('partitions', stream.partitions, defaults.partitions);
  page.value('key', describeKey(stream.key), describeKey(defaults.key));
  if (stream.quotaBytes !== undefined) page.set('quota', formatSize(stream.quotaBytes));
  if (stream.maxAgeMs !== undefined) page.set('max_age', formatDuration(stream.maxAgeMs));
  page.value('when_full', stream.whenFull, defaults.whenFull);
  page.value('ack', stream.ack, defaults.ack);
}

function describeKey(key: StreamKey): string {
  return key.by === 'property' ? `property:${key.name}` : key.by;
}

function addUplink(page: TomlPage, uplink: UplinkConfig): void {
  const defaults = UPLINK_DEFAULTS;
  page.header('[[uplink]]');
  page.set('name', uplink.name);
  page.set('streams', uplink.streams);
  page.value('start', uplink.start, defaults.start);
  page.value('drain', uplink.drain, defaults.drain);
  page.value('priority', uplink.priority, defaults.priority);
  if (uplink.rateLimitPerSecond !== undefined) {
    page.set('rate_limit', formatRate(uplink.rateLimitPerSecond, 'messages'));
  }
  if (uplink.bandwidthBytesPerSecond !== undefined) {
    page.set('bandwidth', formatRate(uplink.bandwidthBytesPerSecond, 'bytes'));
  }
  if (uplink.maxAgeMs !== undefined) page.set('max_age', formatDuration(uplink.maxAgeMs));
  if (uplink.active !== undefined) {
    const { fromMinute, toMinute } = uplink.active;
    page.set('active', `${clockTime(fromMinute)}-${clockTime(toMinute)}`);
  }
  page.value(
    'stall_timeout',
    formatDuration(uplink.stallTimeoutMs),
    formatDuration(defaults.stallTimeoutMs),
  );
  const duration = formatDuration;
  page.value('batch.records', uplink.batch.records, defaults.batch.records);
  page.value('batch.bytes', formatSize(uplink.batch.bytes), formatSize(defaults.batch.bytes));
  page.value('batch.linger', duration(uplink.batch.lingerMs), duration(defaults.batch.lingerMs));
  page.value('backoff.base', duration(uplink.backoff.baseMs), duration(defaults.backoff.baseMs));
  page.value('backoff.cap', duration(uplink.backoff.capMs), duration(defaults.backoff.capMs));
  page.value('dead_letter.attempts', uplink.deadLetter.attempts, defaults.deadLetter.attempts);
  page.value(
    'dead_letter.quota',
    formatSize(uplink.deadLetter.quotaBytes),
    formatSize(defaults.deadLetter.quotaBytes),
  );
  addTarget(page, uplink.target);
}

function clockTime(minutes: number): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

function addTarget(page: TomlPage, target: UplinkTarget): void {
  page.header(`[uplink.${target.type}]`);
  switch (target.type) {
    case 'mqtt':
      addMqttTarget(page, target);
      break;
    case 'kafka':
      page.set('brokers', target.brokers);
      page.set('topic', target.topic);
      page.set('key', target.key);
      page.set('delivery', target.delivery);
      page.optional('checkpoint_topic', target.checkpointTopic);
      page.set('compression', target.compression);
      if (target.sasl) {
        page.set('sasl.mechanism', target.sasl.mechanism);
        addSecret(page, 'sasl.username', target.sasl.username);
        addSecret(page, 'sasl.password', target.sasl.password);
      }
      break;
    case 'rabbitmq':
      addSecret(page, 'url', target.url);
      page.set('exchange', target.exchange);
      page.set('routing_key', target.routingKey);
      page.set('mode', target.mode);
      page.optional('stream', target.stream);
      page.set('unroutable', target.unroutable);
      break;
    case 'nats':
      page.set('servers', target.servers);
      page.set('subject', target.subject);
      addSecret(page, 'credentials', target.credentials);
      break;
  }
  addClientTls(page, target.tls);
}

function addMqttTarget(page: TomlPage, target: MqttTargetConfig): void {
  const defaults = MQTT_TARGET_DEFAULTS;
  page.set('url', target.url);
  page.value('version', target.version, defaults.version);
  page.value('qos', target.qos, defaults.qos);
  page.value('topic', target.topic, defaults.topic);
  page.value('retain', target.retain, defaults.retain);
  page.optional('client_id', target.clientId);
  page.value(
    'keep_alive',
    formatDuration(target.keepAliveMs),
    formatDuration(defaults.keepAliveMs),
  );
  addSecret(page, 'username', target.username);
  addSecret(page, 'password', target.password);
  for (const { filter, topic, qos } of target.downlink) {
    page.header('[[uplink.mqtt.downlink]]');
    page.set('filter', filter);
    page.set('topic', topic);
    page.set('qos', qos);
  }
}

function addClientTls(page: TomlPage, tls: ClientTlsConfig | undefined): void {
  if (!tls) return;
  page.optional('tls.ca', tls.ca);
  page.optional('tls.cert', tls.cert);
  page.optional('tls.key', tls.key);
  page.optional('tls.server_name', tls.serverName);
}
