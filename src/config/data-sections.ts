import {
  DAY_MS,
  DEFAULT_STREAM_NAME,
  MAX_PARTITIONS,
  MAX_STREAMS,
  MAX_UPLINKS,
  STREAM_DEFAULTS,
  UPLINK_DEFAULTS,
} from './defaults.ts';
import { nearest } from './issue.ts';
import {
  activeHours,
  choice,
  duration,
  integer,
  listOf,
  listOfSome,
  plainName,
  rate,
  size,
  streamKey,
  topicFilter,
} from './parsers.ts';
import type { IssueLog, TableReader } from './table-reader.ts';
import { readTarget } from './target-sections.ts';
import type { StreamConfig, UplinkConfig } from './types.ts';

const MAX_AGE = { min: 1000, max: 36_525 * DAY_MS };
/** What a number can count exactly, in a text that can be read. */
const MAX_BYTES = 8_191 * 2 ** 40;

/** Without a `[[stream]]` there is one, `default`, for every topic. */
export function readStreams(root: TableReader): StreamConfig[] {
  const streams = root.tables('stream', { min: 1, max: MAX_STREAMS }).map(readStream);
  reportTwins(root, 'stream', streams);
  if (streams.length > 0 || root.has('stream')) return streams;
  return [{ ...STREAM_DEFAULTS, name: DEFAULT_STREAM_NAME, topics: ['#'] }];
}

const someTopics = listOfSome(topicFilter, 'Write topics = ["sensors/#"], or ["#"] for all.');

function readStream(table: TableReader): StreamConfig {
  const defaults = STREAM_DEFAULTS;
  const stream: StreamConfig = {
    name: table.required('name', plainName, '', 'Write name = "telemetry", or what it is for.'),
    topics: table.required('topics', someTopics, [], 'Write topics = ["sensors/#"].'),
    exclude: table.value('exclude', listOf(topicFilter), defaults.exclude),
    minQos: table.value('min_qos', choice([0, 1, 2]), defaults.minQos),
    partitions: table.value(
      'partitions',
      integer({ min: 1, max: MAX_PARTITIONS }),
      defaults.partitions,
    ),
    key: table.value('key', streamKey, defaults.key),
    quotaBytes: table.optional('quota', size({ min: 4096, max: MAX_BYTES })),
    maxAgeMs: table.optional('max_age', duration(MAX_AGE)),
    whenFull: table.value(
      'when_full',
      choice(['drop_oldest', 'reject', 'block']),
      defaults.whenFull,
    ),
    ack: table.value('ack', choice(['flash', 'memory']), defaults.ack),
  };
  table.finish();
  return stream;
}

export function readUplinks(root: TableReader, streams: readonly StreamConfig[]): UplinkConfig[] {
  const names = streams.map((stream) => stream.name);
  const uplinks = root
    .tables('uplink', { max: MAX_UPLINKS })
    .map((table) => readUplink(table, names));
  reportTwins(root, 'uplink', uplinks);
  return uplinks;
}

function readUplink(table: TableReader, streamNames: readonly string[]): UplinkConfig {
  const defaults = UPLINK_DEFAULTS;
  const uplink: UplinkConfig = {
    name: table.required('name', plainName, '', 'Write name = "cloud", or where it leads.'),
    streams: readStreamNames(table, streamNames) ?? streamNames,
    start: table.value('start', choice(['earliest', 'latest']), defaults.start),
    drain: table.value('drain', choice(['ordered', 'live_first'], ['ordered']), defaults.drain),
    priority: table.value('priority', listOf(plainName), defaults.priority),
    rateLimitPerSecond: table.optional('rate_limit', rate('messages', '"500msg/s"')),
    bandwidthBytesPerSecond: table.optional('bandwidth', rate('bytes', '"64KiB/s"')),
    maxAgeMs: table.optional('max_age', duration(MAX_AGE)),
    active: table.optional('active', activeHours),
    stallTimeoutMs: table.value(
      'stall_timeout',
      duration({ min: 1000, max: DAY_MS }),
      defaults.stallTimeoutMs,
    ),
    batch: readBatch(table.table('batch')),
    backoff: readBackoff(table.table('backoff')),
    deadLetter: readDeadLetter(table.table('dead_letter')),
    target: readTarget(table),
  };
  table.finish();
  return uplink;
}

function readStreamNames(
  table: TableReader,
  known: readonly string[],
): readonly string[] | undefined {
  const remedy = 'Name at least one, or take the key out: then it is all of them.';
  const names = table.optional('streams', listOfSome(plainName, remedy));
  names?.forEach((name, index) => {
    if (names.indexOf(name) < index) {
      const twin = `${table.keyPath('streams')}[${index}]`;
      table.issues.error(twin, `"${name}" is there twice`, 'Take one of the two out.');
    }
    if (known.includes(name)) return;
    const near = nearest(name, known);
    table.issues.error(
      `${table.keyPath('streams')}[${index}]`,
      `there is no stream "${name}"`,
      near === undefined
        ? `Configure it as a [[stream]], or name one of: ${known.join(', ')}.`
        : `Did you mean "${near}"?`,
    );
  });
  return names;
}

function readBatch(table: TableReader): UplinkConfig['batch'] {
  const defaults = UPLINK_DEFAULTS.batch;
  const batch = {
    records: table.value('records', integer({ min: 1, max: 100_000 }), defaults.records),
    bytes: table.value('bytes', size({ min: 1024, max: 64 * 2 ** 20 }), defaults.bytes),
    lingerMs: table.value('linger', duration({ min: 0, max: 60_000 }), defaults.lingerMs),
  };
  table.finish();
  return batch;
}

function readBackoff(table: TableReader): UplinkConfig['backoff'] {
  const defaults = UPLINK_DEFAULTS.backoff;
  const baseMs = table.value('base', duration({ min: 10, max: DAY_MS }), defaults.baseMs);
  const capMs = table.value('cap', duration({ min: 10, max: DAY_MS }), defaults.capMs);
  table.finish();
  if (capMs < baseMs) {
    table.issues.error(
      table.keyPath('cap'),
      'is shorter than base',
      'Let cap be the longest wait between two attempts, and base the first.',
    );
  }
  return { baseMs, capMs };
}

function readDeadLetter(table: TableReader): UplinkConfig['deadLetter'] {
  const defaults = UPLINK_DEFAULTS.deadLetter;
  const deadLetter = {
    attempts: table.value('attempts', integer({ min: 1, max: 1000 }), defaults.attempts),
    quotaBytes: table.value('quota', size({ min: 4096, max: MAX_BYTES }), defaults.quotaBytes),
  };
  table.finish();
  return deadLetter;
}

/** One client id at one upstream: each would throw the other out, for ever [MQTT-3.1.4-3]. */
export function reportTwinClients(uplinks: readonly UplinkConfig[], issues: IssueLog): void {
  const seen = new Map<string, number>();
  uplinks.forEach(({ target }, index) => {
    if (target.type !== 'mqtt' || target.clientId === undefined) return;
    const key = `${target.url} ${target.clientId}`;
    const before = seen.get(key);
    if (before === undefined) seen.set(key, index);
    else {
      issues.error(
        `uplink[${index}].mqtt.client_id`,
        `"${target.clientId}" is the client id of uplink[${before}] at the same upstream`,
        'Give each its own, or take the key out: one is made from the node and the uplink.',
      );
    }
  });
}

/** A name tells two of a kind apart on flash, in the status and upstream. */
function reportTwins(
  root: TableReader,
  kind: 'stream' | 'uplink',
  items: readonly { readonly name: string }[],
): void {
  const seen = new Map<string, number>();
  items.forEach(({ name }, index) => {
    const before = seen.get(name);
    if (before === undefined || name === '') seen.set(name, index);
    else {
      root.issues.error(
        `${kind}[${index}].name`,
        `"${name}" is the name of ${kind}[${before}]`,
        'Give each a name of its own.',
      );
    }
  });
}
