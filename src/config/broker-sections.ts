import { isLoopback } from '../base/address.ts';
import { budgetFloor } from './cost.ts';
import {
  DAY_MS,
  DEFAULT_ADMIN_LISTEN,
  DEFAULT_LISTEN,
  LIMIT_DEFAULTS,
  LISTENER_DEFAULTS,
  LOG_DEFAULTS,
  MAX_LISTENERS,
  MAX_SEGMENT_BYTES,
  MAX_SEGMENTS,
  MIN_SEGMENTS,
  PACKET_SHARE,
  SEGMENT_UNIT_BYTES,
  STORAGE_DEFAULTS,
} from './defaults.ts';
import {
  address,
  anyBoolean,
  anyText,
  choice,
  dataPath,
  duration,
  integer,
  plainName,
  rate,
  secret,
  size,
  webPath,
} from './parsers.ts';
import type { TableReader } from './table-reader.ts';
import type {
  AdminConfig,
  AuthConfig,
  JwtConfig,
  LimitsConfig,
  ListenerConfig,
  ListenerTlsConfig,
  LogConfig,
  NodeConfig,
  StorageConfig,
  WearConfig,
} from './types.ts';
import { describeSize, formatDuration, formatSize } from './units.ts';

const YEAR_MS = 365.25 * DAY_MS;
/** What a number can count exactly, in a text that can be read. */
const MAX_BYTES = 8_191 * 2 ** 40;
/** To choose a remedy from. */
const WINDOWS_MS = [100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

export function readNode(table: TableReader): NodeConfig {
  const id = table.optional('id', plainName);
  table.finish();
  return { id };
}

export function readStorage(table: TableReader): StorageConfig {
  const defaults = STORAGE_DEFAULTS;
  const maxCommitWindowMs = table.value(
    'max_commit_window',
    duration({ min: 1, max: 60_000 }),
    defaults.maxCommitWindowMs,
  );
  const ringSize = readRingSize(table);
  const wearTable = table.table('wear');
  const storage: StorageConfig = {
    path: table.value('path', dataPath, defaults.path),
    ...ringSize,
    maxCommitWindowMs,
    onFailure: table.value(
      'on_failure',
      choice(['refuse', 'memory'], ['refuse']),
      defaults.onFailure,
    ),
    allowCow: table.value('allow_cow', anyBoolean, defaults.allowCow),
    wear: readWear(wearTable),
  };
  checkBudget(table, wearTable, storage);
  table.finish();
  return storage;
}

/** The size is rounded down to whole segments: a card is sold in GB, a segment is in MiB. */
function readRingSize(table: TableReader): { sizeBytes: number; segmentSizeBytes: number } {
  const segmentSizeBytes = table.value(
    'segment',
    size({ min: SEGMENT_UNIT_BYTES, max: MAX_SEGMENT_BYTES }),
    STORAGE_DEFAULTS.segmentSizeBytes,
  );
  if (segmentSizeBytes % SEGMENT_UNIT_BYTES !== 0) {
    const unit = formatSize(SEGMENT_UNIT_BYTES);
    table.issues.error(
      table.keyPath('segment'),
      `${formatSize(segmentSizeBytes)} is not a multiple of ${unit}`,
      'Write "4MiB", or the multiple of it that your card names as its preferred erase size.',
    );
  }
  const wanted = table.value('size', size({ min: 1, max: MAX_BYTES }), STORAGE_DEFAULTS.sizeBytes);
  const segments = Math.floor(wanted / segmentSizeBytes);
  if (segments < MIN_SEGMENTS) {
    table.issues.error(
      table.keyPath('size'),
      `${formatSize(wanted)} is less than ${MIN_SEGMENTS} segments of ${formatSize(segmentSizeBytes)}`,
      `Write at least "${formatSize(MIN_SEGMENTS * segmentSizeBytes)}", or a smaller segment.`,
    );
  }
  if (segments > MAX_SEGMENTS) {
    table.issues.error(
      table.keyPath('size'),
      `${formatSize(wanted)} is more than ${MAX_SEGMENTS} segments of ${formatSize(segmentSizeBytes)}`,
      `Write a larger segment, or at most "${formatSize(MAX_SEGMENTS * segmentSizeBytes)}".`,
    );
  }
  return { sizeBytes: segments * segmentSizeBytes, segmentSizeBytes };
}

function readWear(table: TableReader): WearConfig {
  const budgetPerSecond = table.optional('budget', rate('bytes', '"4GiB/day"'));
  const enduranceBytes = table.optional('endurance', size({ min: 1, max: MAX_BYTES }, '"30TB"'));
  const lifetime = duration({ min: DAY_MS, max: 100 * YEAR_MS }, '"5y" or "1000d"');
  const lifetimeMs = table.optional('lifetime', lifetime);
  const hasEndurance = table.has('endurance');
  if (table.has('budget') && (hasEndurance || table.has('lifetime'))) {
    table.issues.error(
      table.keyPath('budget'),
      'stands beside endurance or lifetime, which set it too',
      'Keep either budget, or endurance and lifetime.',
    );
  } else if (hasEndurance !== table.has('lifetime')) {
    table.issues.error(
      table.keyPath(hasEndurance ? 'lifetime' : 'endurance'),
      'is missing',
      'Give both, such as endurance = "30TB" and lifetime = "5y", or budget alone.',
    );
  }
  table.finish();
  const budgetBytesPerDay = Math.round(
    budgetPerSecond !== undefined
      ? budgetPerSecond * 86_400
      : enduranceBytes !== undefined && lifetimeMs !== undefined
        ? enduranceBytes / (lifetimeMs / DAY_MS)
        : STORAGE_DEFAULTS.wear.budgetBytesPerDay,
  );
  return { budgetBytesPerDay, enduranceBytes, lifetimeMs };
}

/** The longest commit window has a price, which no governor can go below while clients send. */
function checkBudget(table: TableReader, wearTable: TableReader, storage: StorageConfig): void {
  const { maxCommitWindowMs, wear } = storage;
  const { budgetBytesPerDay } = wear;
  const floor = budgetFloor(storage);
  if (budgetBytesPerDay >= floor) return;
  const window = formatDuration(maxCommitWindowMs);
  const price = `the ${describeSize(floor)} that one page every ${window} costs`;
  const key = ['budget', 'endurance'].find((each) => wearTable.has(each));
  if (key === undefined) {
    table.issues.warning(
      table.keyPath('max_commit_window'),
      `the default budget of ${describeSize(budgetBytesPerDay)} a day is below ${price}`,
      'Let it be longer, or set a storage.wear.budget that pays for it.',
    );
    return;
  }
  table.issues.error(
    wearTable.keyPath(key),
    `${describeSize(budgetBytesPerDay)} a day is below ${price}, headers and checkpoints included`,
    `${atLeast(wear, floor)}${orLongerWindow(storage)}.`,
  );
}

/** In the words in which the budget was given. */
function atLeast({ enduranceBytes, lifetimeMs }: WearConfig, floor: number): string {
  if (enduranceBytes === undefined || lifetimeMs === undefined) {
    return `Allow at least "${Math.ceil(floor / 2 ** 20)}MiB/day"`;
  }
  const days = Math.floor(enduranceBytes / floor);
  const terabytes = Math.ceil((floor * lifetimeMs) / DAY_MS / 1e10) / 100;
  const endurance = `endurance = "${terabytes}TB" or more`;
  return days < 1 ? `Write ${endurance}` : `Write lifetime = "${days}d" or less, or ${endurance}`;
}

function orLongerWindow(storage: StorageConfig): string {
  const { budgetBytesPerDay } = storage.wear;
  const windowMs = WINDOWS_MS.find(
    (maxCommitWindowMs) => budgetFloor({ ...storage, maxCommitWindowMs }) <= budgetBytesPerDay,
  );
  if (windowMs === undefined) return '';
  return `, or let acks take longer, with storage.max_commit_window = "${formatDuration(windowMs)}"`;
}

export function readAdmin(table: TableReader): AdminConfig {
  const listen = table.value('listen', address, DEFAULT_ADMIN_LISTEN);
  const token = table.optional('token', secret);
  table.finish();
  if (!isLoopback(listen) && !table.has('token')) {
    table.issues.error(
      table.keyPath('listen'),
      `${listen} can be reached from other machines and there is no token`,
      'Set admin.token = "file:PATH", or keep it on 127.0.0.1.',
    );
  }
  return { listen, token };
}

export function readLog(table: TableReader): LogConfig {
  const log: LogConfig = {
    level: table.value('level', choice(['debug', 'info', 'warn', 'error']), LOG_DEFAULTS.level),
    format: table.value('format', choice(['auto', 'json', 'text']), LOG_DEFAULTS.format),
  };
  table.finish();
  return log;
}

export function readAuth(table: TableReader): AuthConfig {
  const jwt = table.optionalTable('jwt');
  const auth: AuthConfig = {
    passwordFile: table.optional('password_file', anyText),
    aclFile: table.optional('acl_file', anyText),
    jwt: jwt && readJwt(jwt),
  };
  table.finish();
  return auth;
}

function readJwt(table: TableReader): JwtConfig {
  const jwt: JwtConfig = {
    jwksFile: table.required('jwks_file', anyText, '', 'Name the file that holds the keys.'),
    issuer: table.optional('issuer', anyText),
    audience: table.optional('audience', anyText),
    usernameClaim: table.value('username_claim', anyText, 'sub'),
    aclClaim: table.optional('acl_claim', anyText),
  };
  table.finish();
  return jwt;
}

export function readLimits(table: TableReader, segmentSizeBytes: number): LimitsConfig {
  const defaults = LIMIT_DEFAULTS;
  const count = integer({ min: 1, max: 100_000_000 });
  const bytes = size({ min: 1, max: MAX_BYTES });
  const limits: LimitsConfig = {
    packetSizeBytes: readPacketSize(table, segmentSizeBytes),
    connections: table.value('connections', count, defaults.connections),
    connectionRatePerSecond: table.value(
      'connection_rate',
      rate('connections', '"200/s"'),
      defaults.connectionRatePerSecond,
    ),
    // MQTT-3.1.2-21: Receive Maximum is a two-byte number and never 0.
    inflight: table.value('inflight', integer({ min: 1, max: 65_535 }), defaults.inflight),
    sessionQueueMessages: table.value(
      'session_queue_messages',
      count,
      defaults.sessionQueueMessages,
    ),
    sessionQueueBytes: table.value('session_queue_bytes', bytes, defaults.sessionQueueBytes),
    sessionExpiryMaxMs: table.value(
      'session_expiry_max',
      // A session expiry of 0xFFFFFFFF seconds means for ever (3.1.2.11.2), so it ends below that.
      duration({ min: 1000, max: 4_294_967_294_000 }),
      defaults.sessionExpiryMaxMs,
    ),
    subscriptionsPerClient: table.value(
      'subscriptions_per_client',
      count,
      defaults.subscriptionsPerClient,
    ),
    topicLevels: table.value(
      'topic_levels',
      integer({ min: 1, max: 65_536 }),
      defaults.topicLevels,
    ),
    topicBytes: table.value('topic_bytes', size({ min: 16, max: 65_535 }), defaults.topicBytes),
    retainedMessages: table.value('retained_messages', count, defaults.retainedMessages),
    retainedBytes: table.value('retained_bytes', bytes, defaults.retainedBytes),
    outputBufferBytes: table.value(
      'output_buffer',
      size({ min: 4096, max: 2 ** 31 }),
      defaults.outputBufferBytes,
    ),
  };
  table.finish();
  return limits;
}

function readPacketSize(table: TableReader, segmentSizeBytes: number): number {
  const most = Math.floor(segmentSizeBytes * PACKET_SHARE);
  const fallback = Math.min(LIMIT_DEFAULTS.packetSizeBytes, most);
  // 268,435,455 is the most that the remaining length of a packet can say (2.1.4).
  const bytes = table.value('packet_size', size({ min: 1024, max: 268_435_455 }), fallback);
  if (bytes > most) {
    table.issues.error(
      table.keyPath('packet_size'),
      `${formatSize(bytes)} is more than an eighth of a segment of ${formatSize(segmentSizeBytes)}`,
      `Write at most "${formatSize(most)}", or let storage.segment be larger.`,
    );
  }
  return bytes;
}

/** Without a `[[listener]]` there is one, on loopback. */
export function readListeners(root: TableReader, auth: AuthConfig): ListenerConfig[] {
  const range = { min: 1, max: MAX_LISTENERS };
  const listeners = root.tables('listener', range).map((each) => readListener(each, auth));
  if (listeners.length > 0 || root.has('listener')) return listeners;
  return [defaultListener(DEFAULT_LISTEN, auth)];
}

export function defaultListener(listen: string, auth: AuthConfig): ListenerConfig {
  return {
    listen,
    protocol: LISTENER_DEFAULTS.protocol,
    path: LISTENER_DEFAULTS.path,
    anonymous: isLoopback(listen) && !hasAuthentication(auth, undefined),
    proxyProtocol: false,
    auth,
    tls: undefined,
  };
}

function readListener(table: TableReader, shared: AuthConfig): ListenerConfig {
  const remedy = 'Write listen = "127.0.0.1:1883", or 0.0.0.0 to be reached from other machines.';
  const listen = table.required('listen', address, DEFAULT_LISTEN, remedy);
  const own = table.optionalTable('auth');
  const tls = table.optionalTable('tls');
  const auth = own ? readAuth(own) : shared;
  const tlsConfig = tls && readListenerTls(tls);
  const anonymous = table.optional('anonymous', anyBoolean);
  const listener: ListenerConfig = {
    listen,
    protocol: table.value(
      'protocol',
      choice(['mqtt', 'ws', 'mqtt-sn'], ['mqtt', 'ws']),
      LISTENER_DEFAULTS.protocol,
    ),
    path: table.value('path', webPath, LISTENER_DEFAULTS.path),
    anonymous: anonymous ?? (isLoopback(listen) && !hasAuthentication(auth, tlsConfig)),
    proxyProtocol: table.value('proxy_protocol', anyBoolean, false),
    auth,
    tls: tlsConfig,
  };
  table.finish();
  if (table.has('path') && listener.protocol !== 'ws') {
    table.issues.warning(
      table.keyPath('path'),
      `has no effect with protocol = "${listener.protocol}"`,
      'Take the key out: only a WebSocket has a path.',
    );
  }
  if (!listener.anonymous && !hasAuthentication(auth, tlsConfig) && isLoopback(listen)) {
    table.issues.error(
      table.keyPath('anonymous'),
      'is false, and there is nothing else by which a client could come in',
      'Set password_file or jwt in [auth] or here, or take the key out.',
    );
  }
  const problem = openListenerProblem(listener);
  if (problem) table.issues.error(table.keyPath('listen'), problem.message, problem.remedy);
  return listener;
}

/** A listener that other machines reach must say who may come in. */
export function openListenerProblem(
  listener: ListenerConfig,
): { message: string; remedy: string } | undefined {
  if (isLoopback(listener.listen) || listener.anonymous) return undefined;
  if (hasAuthentication(listener.auth, listener.tls)) return undefined;
  return {
    message: `${listener.listen} can be reached from other machines and has no authentication`,
    remedy:
      'Set password_file in [auth] (make the file with cistern passwd), jwt, or ' +
      'require_client_cert; or anonymous = true to let everyone on that network in; ' +
      'or keep it on 127.0.0.1.',
  };
}

function hasAuthentication(auth: AuthConfig, tls: ListenerTlsConfig | undefined): boolean {
  return (
    auth.passwordFile !== undefined || auth.jwt !== undefined || tls?.requireClientCert === true
  );
}

function readListenerTls(table: TableReader): ListenerTlsConfig {
  const tls: ListenerTlsConfig = {
    cert: table.required('cert', anyText, '', 'Name the file of the certificate chain (PEM).'),
    key: table.required('key', anyText, '', 'Name the file of the private key (PEM).'),
    ca: table.optional('ca', anyText),
    requireClientCert: table.value('require_client_cert', anyBoolean, false),
    userNameFrom: table.optional('user_name_from', choice(['cn', 'san'])),
    minVersion: table.value('min_version', choice(['1.2', '1.3']), LISTENER_DEFAULTS.tlsMinVersion),
  };
  table.finish();
  if (tls.requireClientCert && tls.ca === undefined) {
    table.issues.error(
      table.keyPath('ca'),
      'is missing',
      'require_client_cert needs the file of the authority that signs the clients.',
    );
  } else if (tls.userNameFrom !== undefined && tls.ca === undefined) {
    table.issues.error(
      table.keyPath('ca'),
      'is missing',
      'user_name_from needs the file of the authority that signs the clients.',
    );
  }
  return tls;
}
