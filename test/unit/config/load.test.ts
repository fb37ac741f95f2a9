import { describe, expect, test } from 'vitest';
import { costOf, describeCost } from '../../../src/config/cost.ts';
import { describeConfig } from '../../../src/config/describe.ts';
import { formatIssue } from '../../../src/config/issue.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { errorsOf, load } from './load-toml.ts';

const UPLINK = '[[uplink]]\nname = "cloud"\nmqtt = { url = "mqtt://upstream:1883" }\n';

describe('without a file', () => {
  test('it is the gateway that `cistern run` alone promises', async () => {
    const { config, warnings } = await loadConfig({
      readText: () => Promise.reject(new Error('nothing is to be read')),
    });
    expect(config.storage).toMatchObject({ path: './cistern-data', sizeBytes: 268_435_456 });
    expect(config.listeners).toHaveLength(1);
    expect(config.listeners[0]).toMatchObject({ listen: '127.0.0.1:1883', anonymous: true });
    expect(config.admin).toEqual({ listen: '127.0.0.1:9883', token: undefined });
    expect(config.streams.map(({ name, topics }) => ({ name, topics }))).toEqual([
      { name: 'default', topics: ['#'] },
    ]);
    expect(config.uplinks).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test('an empty file is the same', async () => {
    const { config } = await loadConfig({ readText: () => Promise.resolve('') });
    expect({ ...(await load('')).config, file: undefined }).toEqual(config);
  });
});

describe('with a file', () => {
  test('the default stream is gone once one is configured', async () => {
    const { config } = await load('[[stream]]\nname = "telemetry"\ntopics = ["sensors/#"]');
    expect(config.streams.map(({ name }) => name)).toEqual(['telemetry']);
  });

  test('units are resolved', async () => {
    const { config } = await load(`
      [storage]
      size = "1GB"
      segment = "4MiB"
      max_commit_window = "250ms"
      wear = { endurance = "30TB", lifetime = "5y" }
      [limits]
      session_expiry_max = "7d"
      connection_rate = "120/m"`);
    // Rounded down to whole segments.
    expect(config.storage.sizeBytes).toBe(238 * 4_194_304);
    expect(config.storage.maxCommitWindowMs).toBe(250);
    expect(config.storage.wear.budgetBytesPerDay).toBe(Math.round(30e12 / (5 * 365.25)));
    expect(config.limits.sessionExpiryMaxMs).toBe(604_800_000);
    expect(config.limits.connectionRatePerSecond).toBe(2);
  });

  test('an uplink takes all streams, or those it names', async () => {
    const streams = ['a', 'b'].map(
      (name) => `[[stream]]\nname = "${name}"\ntopics = ["${name}"]\n`,
    );
    const { config } = await load(`${streams.join('')}${UPLINK}`);
    expect(config.uplinks[0]).toMatchObject({
      streams: ['a', 'b'],
      start: 'earliest',
      batch: { records: 500, bytes: 262_144, lingerMs: 50 },
      backoff: { baseMs: 1000, capMs: 60_000 },
      target: { type: 'mqtt', url: 'mqtt://upstream:1883', version: 5, qos: 1, topic: '{topic}' },
    });
  });

  test('an uplink may be a table or inline, and 3.1.1 may be called by either name', async () => {
    const inline = await load('[[uplink]]\nname = "c"\nmqtt = { url = "mqtt://h", version = 4 }');
    const table = await load(
      '[[uplink]]\nname = "c"\n[uplink.mqtt]\nurl = "mqtt://h"\nversion = "3.1.1"',
    );
    expect(inline.config).toEqual(table.config);
  });

  test('a secret stays a reference', async () => {
    const { config } = await load(
      '[admin]\ntoken = "file:/etc/t"\n[[uplink]]\nname = "c"\n' +
        'mqtt = { url = "mqtt://h", username = "me", password = "env:PW" }',
    );
    expect(config.admin.token).toEqual({ kind: 'file', path: '/etc/t' });
    expect(config.uplinks[0]?.target).toMatchObject({
      username: { kind: 'literal', value: 'me' },
      password: { kind: 'env', name: 'PW' },
    });
  });

  test('anonymous beyond loopback is what the file says', async () => {
    const { config } = await load('[[listener]]\nlisten = "0.0.0.0:1883"\nanonymous = true');
    expect(config.listeners[0]?.anonymous).toBe(true);
  });

  test('a listener that nobody could use is an error, not silently open', async () => {
    const toml = '[[listener]]\nlisten = "127.0.0.1:1883"\nanonymous = false';
    expect(await errorsOf(toml)).toEqual([
      expect.stringContaining('listener[0].anonymous: is false, and there is nothing else'),
    ]);
  });
});

describe('the command line', () => {
  test('wins over the file', async () => {
    const { config } = await load('[storage]\npath = "/a"\n[[listener]]\nlisten = "127.0.0.1:5"', {
      data: '/b',
      listen: '[::1]:6',
    });
    expect(config.storage.path).toBe('/b');
    expect(config.listeners.map(({ listen }) => listen)).toEqual(['[::1]:6']);
  });

  test('--listen opens no more than the file allowed', async () => {
    const listen = '0.0.0.0:1883';
    const loopback = '[[listener]]\nlisten = "127.0.0.1:1883"\n';
    expect(await errorsOf(loopback, { listen })).toHaveLength(1);
    const { config } = await load(`${loopback}anonymous = true`, { listen });
    expect(config.listeners[0]).toMatchObject({ listen, anonymous: true });
  });
});

describe('warnings', () => {
  const warningsOf = async (source: string): Promise<string[]> =>
    (await load(source)).warnings.map(formatIssue);
  const stream = (name: string, topics: string, rest = ''): string =>
    `[[stream]]\nname = "${name}"\ntopics = [${topics}]\n${rest}\n`;

  test('a filter that an earlier stream takes all of', async () => {
    expect(
      await warningsOf(stream('all', '"sensors/#"') + stream('hot', '"sensors/+/hot"')),
    ).toEqual([
      'cistern.toml:7: warning: stream[1].topics[0]: "sensors/+/hot" can never match: ' +
        '"sensors/#" of stream "all" takes all of it before\n' +
        '    The first match wins: put stream "hot" before "all".',
    ]);
  });

  test('a filter that the stream itself excludes', async () => {
    expect(await warningsOf(stream('s', '"a/b"', 'exclude = ["a/+"]'))).toEqual([
      'cistern.toml:3: warning: stream[0].topics[0]: "a/b" can never match: exclude has "a/+"\n' +
        '    Take one of the two out.',
    ]);
  });

  test.each([
    ['a narrower one before', stream('hot', '"sensors/+/hot"') + stream('all', '"sensors/#"')],
    [
      'what the earlier leaves',
      stream('a', '"a/#"', 'exclude = ["a/x/#"]') + stream('b', '"a/x/y"'),
    ],
    [
      'lower QoS than the earlier takes',
      stream('a', '"a/#"', 'min_qos = 1') + stream('b', '"a/b"'),
    ],
    ['topics with $ after #', stream('a', '"#"') + stream('b', '"$SYS/#"')],
    ['one level more', stream('a', '"a/+"') + stream('b', '"a/#"')],
  ])('%s can match', async (_, source) => {
    expect(await warningsOf(source)).toEqual([]);
  });
});

describe('the effective configuration', () => {
  const full = `
    [node]
    id = "gw-0042"
    [storage]
    path = "/var/lib/cistern"
    size = "1GiB"
    segment = "8MiB"
    [storage.wear]
    budget = "8GiB/day"
    [admin]
    token = "file:/etc/cistern/token"
    [log]
    level = "debug"
    [limits]
    packet_size = "256KiB"
    session_expiry_max = "90m"
    [[listener]]
    listen = "0.0.0.0:1883"
    anonymous = true
    [[stream]]
    name = "alarms"
    topics = ["alarm/#"]
    min_qos = 1
    [[stream]]
    name = "telemetry"
    topics = ["sensors/#", "\\u007f\\"/x"]
    exclude = ["sensors/+/debug"]
    partitions = 4
    key = "client"
    quota = "64MiB"
    max_age = "7d"
    [[uplink]]
    name = "cloud"
    streams = ["telemetry"]
    start = "latest"
    batch = { records = 100 }
    backoff.cap = "5m"
    [uplink.mqtt]
    url = "mqtt://upstream:1883"
    version = "3.1.1"
    topic = "{node}/{topic}"
    retain = false
    username = "env:USER_NAME"
    password = "file:/etc/cistern/password"`;

  test.each([
    ['defaults', ''],
    ['everything', full],
    ['endurance', '[storage.wear]\nendurance = "30TB"\nlifetime = "5y"'],
  ])('is TOML that loads to the same: %s', async (_, source) => {
    const { config } = await load(source);
    expect((await load(describeConfig(config))).config).toEqual(config);
  });

  test('warns of nothing that its reader did not write', async () => {
    const { config } = await load('');
    expect((await load(describeConfig(config))).warnings).toEqual([]);
  });

  test('shows no secret', async () => {
    const { config } = await load(
      '[admin]\ntoken = "hunter2"\n[[uplink]]\nname = "c"\n' +
        'mqtt = { url = "mqtt://h", username = "hunter2", password = "hunter2" }',
    );
    expect(describeConfig(config)).not.toContain('hunter2');
    expect(describeConfig(config)).toContain('token = "***"');
  });
});

test('the cost says what the design promises it says', async () => {
  const { config } = await load('');
  const text = describeCost(costOf(config)).join('\n');
  expect(text).toContain('256 MiB on flash, in 64 segments');
  expect(text).toContain('4 GiB a day pays for 12 one-page commits a second, for ever');
  expect(text).toContain('171 MiB more can be written at once');
  expect(text).toContain('one page every 500ms costs 701 MiB a day');
  const { config: quotas } = await load('[[stream]]\nname = "a"\ntopics = ["a"]\nquota = "100MiB"');
  expect(describeCost(costOf(quotas)).join('\n')).toContain(
    '100 MiB of the 195 MiB that quotas may use',
  );
});
