import { LIMIT_DEFAULTS, LOG_DEFAULTS, PACKET_SHARE, STORAGE_DEFAULTS } from '../defaults.ts';
import type { LogConfig } from '../types.ts';
import { formatDuration, formatSize } from '../units.ts';
import type { ConfListener, ConfModel } from './model.ts';
import type { NoteLog } from './notes.ts';
import type { Given, Settings } from './settings.ts';
import { TomlTable } from './toml-table.ts';

const DEFAULT_PATH = '/var/lib/cistern';
const DAY_MS = 86_400_000;
/** As Mosquitto counts them. */
const EXPIRATION_UNITS_MS: ReadonlyMap<string, number> = new Map([
  ['s', 1000],
  ['h', 3_600_000],
  ['d', DAY_MS],
  ['w', 7 * DAY_MS],
  ['m', 30 * DAY_MS],
  ['y', 365 * DAY_MS],
]);
/** The longest that `limits.session_expiry_max` takes. */
const MAX_EXPIRATION_MS = 4_294_967_294_000;
const MIN_PACKET_BYTES = 1024;
/** Beyond it the segments would make the ring larger than it is by default. */
const MAX_PACKET_BYTES = 2 * 2 ** 20;
/** What a PUBLISH may have beside its payload: the longest topic, header and a few properties. */
const PACKET_OVERHEAD_BYTES = 2 * LIMIT_DEFAULTS.topicBytes;

export function translateStorage({ general }: ConfModel, notes: NoteLog): TomlTable {
  const table = new TomlTable('[storage]');
  const location = general.text('persistence_location');
  table.set('path', location ? pathBeside(location.value) : DEFAULT_PATH, {
    from: location?.at,
    why: 'A directory of its own: Cistern does not read mosquitto.db.',
  });
  const persistence = general.flag('persistence');
  if (persistence?.value === true) {
    const text =
      'mosquitto.db is not read: sessions begin anew, and retained messages come back as they ' +
      'are published again.';
    notes.add('to do', persistence.at, 'persistence', text);
  } else if (persistence) {
    const text =
      'Sessions, retained messages and QoS 1 and 2 are always kept on flash; limits and ' +
      'storage.size bound them.';
    notes.add('differs', persistence.at, 'persistence', text);
  }
  const packetBytes = packetLimit(general)?.bytes ?? 0;
  if (packetBytes > STORAGE_DEFAULTS.segmentSizeBytes * PACKET_SHARE) {
    table.set('segment', formatSize(MAX_PACKET_BYTES / PACKET_SHARE), {
      why: 'A packet may be an eighth of a segment.',
    });
  }
  return table;
}

/** "/var/lib/mosquitto/" becomes "/var/lib/cistern"; any other place gets a directory in it. */
function pathBeside(location: string): string {
  const path = location.replace(/\/+$/, '');
  if (/(^|\/)mosquitto$/.test(path)) return path.replace(/mosquitto$/, 'cistern');
  return `${path}/cistern`;
}

/** `[log]`, empty where the default does. */
export function translateLog({ logDestinations, logTypes }: ConfModel, notes: NoteLog): TomlTable {
  const table = new TomlTable('[log]');
  const isSilent = logDestinations.at(-1)?.value.split(/\s+/)[0] === 'none';
  for (const destination of logDestinations) noteDestination(destination, notes);
  const level = isSilent ? 'error' : levelOf(logTypes);
  if (level === undefined || level === LOG_DEFAULTS.level) {
    for (const { at } of logTypes) {
      notes.add('no effect', at, 'log_type', `It is the default: level "${LOG_DEFAULTS.level}".`);
    }
  } else {
    const from = (isSilent ? logDestinations : logTypes).map(({ at }) => at);
    table.set('level', level, { from });
    if (isSilent) {
      for (const { at } of logTypes) notes.add('no effect', at, 'log_type', 'log_dest is none.');
    }
  }
  return table;
}

function noteDestination({ value, at }: Given<string>, notes: NoteLog): void {
  const [where = ''] = value.split(/\s+/);
  const journal = 'The log goes to standard error; under systemd the journal keeps it.';
  if (where === 'topic') {
    const text = 'The log cannot be subscribed to: read standard error, or the journal.';
    notes.add('no equivalent', at, 'log_dest', text);
  } else if (where === 'file') {
    const text = `${journal} For a file: StandardError=append:FILE in the unit.`;
    notes.add('differs', at, 'log_dest', text);
  } else if (where === 'none') {
    notes.add('differs', at, 'log_dest', 'Errors are logged all the same.');
  } else {
    notes.add('no effect', at, 'log_dest', journal);
  }
}

/** The level at which all of these types are logged; undefined where none is given. */
function levelOf(types: readonly Given<string>[]): LogConfig['level'] | undefined {
  const names = new Set(types.map(({ value }) => value.split(/\s+/)[0]));
  if (names.size === 0) return undefined;
  if (['debug', 'all'].some((name) => names.has(name))) return 'debug';
  const detailed = ['information', 'notice', 'subscribe', 'unsubscribe', 'websockets'];
  if (detailed.some((name) => names.has(name))) return 'info';
  return names.has('warning') ? 'warn' : 'error';
}

/** `[limits]`, empty where nothing is limited. */
export function translateLimits(model: ConfModel, notes: NoteLog): TomlTable {
  const table = new TomlTable('[limits]');
  const { general } = model;
  const packet = packetLimit(general);
  if (packet) {
    const bytes = Math.min(Math.max(packet.bytes, MIN_PACKET_BYTES), MAX_PACKET_BYTES);
    table.set('packet_size', formatSize(bytes), { from: packet.at, why: packet.why });
    if (packet.bytes > MAX_PACKET_BYTES) {
      const text =
        `A packet may be an eighth of a storage.segment, and ${formatSize(bytes)} is ` +
        'what the default ring has room for: raise packet_size, segment and size together, if ' +
        'such packets come.';
      notes.add('differs', packet.at, packet.option, text);
    }
  }
  addConnections(table, model, notes);
  const inflight = general.integer('max_inflight_messages');
  if (inflight && inflight.value >= 0) {
    const most = inflight.value === 0 ? 65_535 : Math.min(inflight.value, 65_535);
    table.set('inflight', most, {
      from: inflight.at,
      why: 'Each way: it is Receive Maximum, too.',
    });
  }
  addQueueLimits(table, general, notes);
  addExpiration(table, general, notes);
  return table;
}

interface PacketLimit {
  readonly bytes: number;
  readonly at: Given<number>['at'];
  readonly option: string;
  readonly why: string | undefined;
}

/** The tighter of the two limits; 0 is none. */
function packetLimit(general: Settings): PacketLimit | undefined {
  const packet = general.integer('max_packet_size');
  const payload = general.integer('message_size_limit');
  const limits: PacketLimit[] = [];
  if (packet && packet.value > 0) {
    limits.push({ bytes: packet.value, at: packet.at, option: 'max_packet_size', why: undefined });
  }
  if (payload && payload.value > 0) {
    limits.push({
      bytes: payload.value + PACKET_OVERHEAD_BYTES,
      at: payload.at,
      option: 'message_size_limit',
      why:
        `Of the whole packet: the payload and ${formatSize(PACKET_OVERHEAD_BYTES)}. A larger ` +
        'one ends the connection.',
    });
  }
  return limits.sort((a, b) => a.bytes - b.bytes)[0];
}

/** Mosquitto counts by listener, Cistern all together. */
function addConnections(table: TomlTable, { general, listeners }: ConfModel, notes: NoteLog): void {
  const global = limit(general.integer('global_max_connections'));
  const each = listeners.map((listener) => limit(maxConnections(listener)));
  const given = each.filter((one) => one !== undefined);
  const sum = given.reduce((total, { value }) => total + value, 0);
  const isBounded = given.length > 0 && given.length === each.length;
  if (listeners.length > 1) {
    const text = isBounded
      ? 'limits.connections is for all listeners together: it has the sum.'
      : 'limits.connections is for all listeners together, and another one here has no limit: ' +
        'none is set.';
    for (const { at } of given) notes.add('differs', at, 'max_connections', text);
  }
  const candidates = [
    ...(global ? [{ value: global.value, from: [global.at] }] : []),
    ...(isBounded ? [{ value: sum, from: given.map(({ at }) => at) }] : []),
  ].sort((a, b) => a.value - b.value);
  const [tightest] = candidates;
  if (!tightest) return;
  const value = Math.min(Math.max(tightest.value, 1), 100_000_000);
  table.set('connections', value, { from: tightest.from });
}

function maxConnections({ settings }: ConfListener): Given<number> | undefined {
  return settings.integer('max_connections');
}

/** Below 0 is none. */
function limit(given: Given<number> | undefined): Given<number> | undefined {
  return given && given.value >= 0 ? given : undefined;
}

function addQueueLimits(table: TomlTable, general: Settings, notes: NoteLog): void {
  const messages = general.integer('max_queued_messages');
  const bytes = general.integer('max_queued_bytes');
  if (messages && messages.value > 0) {
    const most = Math.min(messages.value, 100_000_000);
    table.set('session_queue_messages', most, { from: messages.at });
  }
  if (bytes && bytes.value > 0) {
    table.set('session_queue_bytes', formatSize(bytes.value), { from: bytes.at });
  }
  for (const [option, given] of [
    ['max_queued_messages', messages],
    ['max_queued_bytes', bytes],
  ] as const) {
    if (!given) continue;
    const text =
      given.value > 0
        ? 'When the queue is full the oldest message goes, not the newest.'
        : 'Without a limit a client that stays away would fill the ring: ' +
          `${formatSize(LIMIT_DEFAULTS.sessionQueueBytes)} and ` +
          `${LIMIT_DEFAULTS.sessionQueueMessages} messages hold.`;
    notes.add('differs', given.at, option, text);
  }
}

function addExpiration(table: TomlTable, general: Settings, notes: NoteLog): void {
  const given = general.text('persistent_client_expiration');
  if (!given) return;
  const match = /^(\d{1,9})\s*([a-z])$/.exec(given.value);
  const unitMs = EXPIRATION_UNITS_MS.get(match?.[2] ?? '');
  const expirationMs = Number(match?.[1]) * (unitMs ?? 0);
  if (!match || expirationMs === 0) {
    const text = 'It takes a number and one of s h d w m y. The line is left out.';
    notes.add('not understood', given.at, 'persistent_client_expiration', text);
    return;
  }
  table.set('session_expiry_max', formatDuration(Math.min(expirationMs, MAX_EXPIRATION_MS)), {
    from: given.at,
  });
}

/** Where the defaults differ in a way that somebody may notice, a line each. */
export function differingDefaults(model: ConfModel): string[] {
  const { general } = model;
  const given = (...options: readonly string[]): boolean =>
    options.some((option) => general.integer(option) ?? general.text(option));
  const defaults = LIMIT_DEFAULTS;
  const lines = [
    given('persistent_client_expiration')
      ? ''
      : `a session ends ${formatDuration(defaults.sessionExpiryMaxMs)} after its client left ` +
        '(never): limits.session_expiry_max',
    given('max_queued_messages', 'max_queued_bytes')
      ? ''
      : `${defaults.sessionQueueMessages} messages wait for a client, and the oldest goes first ` +
        '(1000, the newest): limits.session_queue_messages',
    given('max_packet_size', 'message_size_limit')
      ? ''
      : `a packet has at most ${formatSize(defaults.packetSizeBytes)} (2.0: 256MB, 2.1: 2MB): ` +
        'limits.packet_size',
    given('max_inflight_messages')
      ? ''
      : `${defaults.inflight} messages may be in flight (20): limits.inflight`,
    model.bridges.length === 0
      ? ''
      : 'no topic tells of a bridge ($SYS/broker/connection/NAME/state): see `cistern status`',
  ];
  return lines.filter((line) => line !== '');
}
