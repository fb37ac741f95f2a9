import { describe, expect, test } from 'vitest';
import { type LoadedConfig, loadConfig } from '../../../src/config/load.ts';
import { errorsOf, load } from './load-toml.ts';

/** A document, its one error and the remedy. */
type Case = readonly [source: string, error: string, remedy: string];

function cases(all: readonly Case[]): void {
  test.each(all)('%j', async (source, error, remedy) => {
    expect(await errorsOf(source)).toEqual([`cistern.toml:${error}\n${remedy}`]);
  });
}

describe('keys that do not exist', () => {
  cases([
    ['[storage]\n\nsise = "1GiB"\n', '3: error: storage.sise: unknown key', 'Did you mean "size"?'],
    ['[storge]\n', '1: error: storge: unknown key', 'Did you mean "storage"?'],
    ['[log]\ncolour = true', '2: error: log.colour: unknown key', 'Possible here: format, level.'],
    [
      '[[uplink]]\nname = "a"\nmqtt = { url = "mqtt://h", quos = 1 }',
      '3: error: uplink[0].mqtt.quos: unknown key',
      'Did you mean "qos"?',
    ],
    [
      '[[stream]]\nname = "a"\ntopics = ["a"]\n[[stream]]\nname = "b"\ntopics = ["b"]\nqouta = "1MiB"',
      '7: error: stream[1].qouta: unknown key',
      'Did you mean "quota"?',
    ],
    [
      'storage.max_comit_window = "1s"',
      '1: error: storage.max_comit_window: unknown key',
      'Did you mean "max_commit_window"?',
    ],
    [
      '[storage]\n"odd key" = 1',
      '2: error: storage."odd key": unknown key',
      'Possible here: allow_cow, max_commit_window, on_failure, path, segment, size, wear.',
    ],
  ]);
});

describe('values', () => {
  cases([
    [
      '[storage]\nsize = 12',
      '2: error: storage.size: expected a size, found 12',
      'Write it in quotes and with its unit, such as "64MiB".',
    ],
    [
      '[storage]\nsize = "1 GIB"',
      '2: error: storage.size: expected a size, found "1 GIB"',
      'Did you mean "1GiB"? Write it in quotes and with its unit, such as "64MiB".',
    ],
    [
      '[storage]\nsize = "32MiB"',
      '2: error: storage.size: 32MiB is less than 16 segments of 4MiB',
      'Write at least "64MiB", or a smaller segment.',
    ],
    [
      '[storage]\nsegment = "100kB"',
      '2: error: storage.segment: 100kB is not a multiple of 64KiB',
      'Write "4MiB", or the multiple of it that your card names as its preferred erase size.',
    ],
    [
      '[storage]\nmax_commit_window = "2h"',
      '2: error: storage.max_commit_window: "2h" is out of range',
      'Choose from 1ms to 1m.',
    ],
    [
      '[storage]\non_failure = "memmory"',
      '2: error: storage.on_failure: "memmory" is not a possible value',
      'Write "refuse".',
    ],
    [
      '[limits]\ninflight = "0"',
      '2: error: limits.inflight: expected a whole number, found "0"',
      'Write a number from 1 to 65535, without quotes.',
    ],
    [
      '[limits]\ninflight = 0',
      '2: error: limits.inflight: 0 is out of range',
      'Choose from 1 to 65535.',
    ],
    [
      '[[listener]]\nlisten = "127.0.0.1"',
      '2: error: listener[0].listen: expected an address, found "127.0.0.1"',
      'Write host and port, such as "127.0.0.1:1883", "0.0.0.0:1883" or "[::]:1883".',
    ],
    [
      '[[stream]]\nname = "a"\ntopics = [\n  "a/b",\n  "a/#/b",\n]',
      '5: error: stream[0].topics[1]: "a/#/b" is not a topic filter: "#" must be the whole last level',
      'A filter is like "sensors/+/temperature" or "sensors/#".',
    ],
    [
      '[[stream]]\nname = "a"\ntopics = "a/b"',
      '3: error: stream[0].topics: expected a list, found "a/b"',
      'Write it in brackets: ["one", "two"].',
    ],
    [
      '[node]\nid = "gw/42"',
      '2: error: node.id: expected a name, found "gw/42"',
      'Use 1 to 64 letters, digits, ".", "_" and "-", beginning with a letter or digit.',
    ],
    [
      '[stream]\nname = "a"',
      '1: error: stream: expected a list of tables, found a table',
      'There may be several: write each as [[stream]] in double brackets.',
    ],
    [
      '[[storage]]\nsize = "1GiB"',
      '1: error: storage: expected a table, found a list',
      'There is one of these: write [storage] in single brackets.',
    ],
    [
      '[uplink]\nmqtt = { url = "mqtt://h", password = "SECRET" }',
      '1: error: uplink: expected a list of tables, found a table',
      'There may be several: write each as [[uplink]] in double brackets.',
    ],
    [
      '[[uplink]]\nname = "a"\nmqtt = [{ url = "mqtt://h", password = "SECRET" }]',
      '3: error: uplink[0].mqtt: expected a table, found a list',
      'There is one of these: write [uplink.mqtt] in single brackets.',
    ],
    [
      '[[listener]]\nlisten = "1884"\nanonymous = true\n[[listener]]\nlisten = "127.0.0.1:1883"\nanonymous = true',
      '2: error: listener[0].listen: expected an address, found "1884"',
      'Write host and port, such as "127.0.0.1:1883", "0.0.0.0:1883" or "[::]:1883".',
    ],
    [
      '[[uplink]]\nname = "a"\n[uplink.mqtt]\nurl = "mqtt://h"\ntopic = "{stream}/{topik}"',
      '5: error: uplink[0].mqtt.topic: "{topik}" is not a placeholder',
      'Possible: {node} {stream} {partition} {topic} {topic[0]} {topic[1:]} {client_id} {property:NAME}.',
    ],
  ]);
});

describe('what could not work', () => {
  const uplink = (mqtt: string): string => `[[uplink]]\nname = "u"\n[uplink.mqtt]\n${mqtt}`;
  cases([
    [
      '[[stream]]\nname = "a"\ntopics = []',
      '3: error: stream[0].topics: is an empty list',
      'Write topics = ["sensors/#"], or ["#"] for all.',
    ],
    [
      'stream = []',
      '1: error: stream: is an empty list',
      'Write one as [[stream]] with its keys below, or take the key out.',
    ],
    [
      'listener = []',
      '1: error: listener: is an empty list',
      'Write one as [[listener]] with its keys below, or take the key out.',
    ],
    [
      '[[uplink]]\nname = "u"\nstreams = []\nmqtt.url = "mqtt://h"',
      '3: error: uplink[0].streams: is an empty list',
      'Name at least one, or take the key out: then it is all of them.',
    ],
    [
      '[[uplink]]\nname = "u"\nstreams = ["default", "default"]\nmqtt.url = "mqtt://h"',
      '3: error: uplink[0].streams[1]: "default" is there twice',
      'Take one of the two out.',
    ],
    [
      uplink('url = "mqtt://h"\ntopic = "site/#/{property:a+b}"'),
      '5: error: uplink[0].mqtt.topic: "site/#/{property:a+b}" has "#" in it, and nothing can be published there',
      'Write "{topic}" where the topic of the message is to stand, such as "site/{topic}".',
    ],
    [
      uplink('url = "mqtt://h:1883/site"'),
      '4: error: uplink[0].mqtt.url: "/site" behind the host has no meaning',
      'Write mqtt://h:1883 alone.',
    ],
    [
      uplink('url = "mqtt://300.1.1.1"'),
      '4: error: uplink[0].mqtt.url: expected a URL, found "mqtt://300.1.1.1"',
      'Write mqtt://host:port.',
    ],
    [
      uplink('url = "mqtt://localhost"'),
      "4: error: uplink[0].mqtt.url: mqtt://localhost is this gateway's own listener (127.0.0.1:1883): all would come back",
      'Name the broker that the messages are to go up to.',
    ],
    [
      `${uplink('url = "mqtt://h"\nclient_id = "me"')}\n${uplink('url = "mqtt://h"\nclient_id = "me"').replace('"u"', '"v"')}`,
      '10: error: uplink[1].mqtt.client_id: "me" is the client id of uplink[0] at the same upstream',
      'Give each its own, or take the key out: one is made from the node and the uplink.',
    ],
    [
      '[admin]\nlisten = "127.0.0.1:1883"',
      '2: error: admin.listen: 127.0.0.1:1883 is taken by the default listener',
      'Give each listener an address of its own.',
    ],
    [
      '[[listener]]\nlisten = "localhost:1"\n[[listener]]\nlisten = "127.0.0.1:1"',
      '4: error: listener[1].listen: 127.0.0.1:1 is taken by listener[0] (localhost:1)',
      'Give each listener an address of its own.',
    ],
    [
      '[[listener]]\nlisten = "0.0.0.0:9883"\nanonymous = true\n[admin]\nlisten = "127.0.0.1:9883"',
      '5: error: admin.listen: 127.0.0.1:9883 is taken by listener[0] (0.0.0.0:9883)',
      'Give each listener an address of its own.',
    ],
    [
      '[[listener]]\nlisten = "[fd00::1]:1"\nanonymous = true\n[[listener]]\nlisten = "[fd00:0::1]:1"\nanonymous = true',
      '5: error: listener[1].listen: [fd00:0::1]:1 is taken by listener[0] ([fd00::1]:1)',
      'Give each listener an address of its own.',
    ],
    [
      '[[listener]]\nlisten = "127.0.0.256:1883"',
      '2: error: listener[0].listen: expected an address, found "127.0.0.256:1883"',
      'Write host and port, such as "127.0.0.1:1883", "0.0.0.0:1883" or "[::]:1883".',
    ],
    [
      '[[listener]]\nlisten = "[12345::]:1883"\nanonymous = true',
      '2: error: listener[0].listen: expected an address, found "[12345::]:1883"',
      'Write host and port, such as "127.0.0.1:1883", "0.0.0.0:1883" or "[::]:1883".',
    ],
    [
      '[storage]\npath = "~/data"',
      '2: error: storage.path: "~" in "~/data" is not a home directory here',
      'Write the path in full.',
    ],
  ]);

  test('what stands beside each other well', async () => {
    const listeners = ['127.0.0.1:1', '127.0.0.2:1', '[::1]:1', '127.0.0.1:2']
      .map((listen) => `[[listener]]\nlisten = "${listen}"\n`)
      .join('');
    const uplinks = ['127.0.0.1:3', '127.0.0.3:1', 'broker.example:1', '[fe80::1]']
      .map((host, index) => `[[uplink]]\nname = "u${index}"\nmqtt.url = "mqtt://${host}"\n`)
      .join('');
    expect(
      await errorsOf(
        `${listeners}[[listener]]\nlisten = "[fe80::1%eth0]:1"\nanonymous = true\n${uplinks}`,
      ),
    ).toEqual([]);
  });

  test('--listen at the address of the admin server', async () => {
    expect(await errorsOf('', { listen: '127.0.0.1:9883' })).toEqual([
      'error: admin.listen: 127.0.0.1:9883 is taken by --listen\n' +
        'Give each listener an address of its own.',
    ]);
  });

  test('more retained messages than the ring could turn with are warned of', async () => {
    const { warnings } = await load(
      '[storage]\nsize = "64MiB"\n[limits]\nretained_bytes = "32MiB"',
    );
    expect(warnings).toMatchObject([
      { line: 4, key: 'limits.retained_bytes', message: expect.stringContaining('16 MiB') },
    ]);
  });
});

describe('secrets that stand elsewhere', () => {
  const source = [
    '[admin]',
    'token = "file:/etc/token"',
    '[[uplink]]',
    'name = "u"',
    '[uplink.mqtt]',
    'url = "mqtt://h"',
    'username = "env:USER_NAME"',
    'password = "file:/etc/password"',
  ].join('\n');
  const look = (
    files: Readonly<Record<string, string>>,
    env: Readonly<Record<string, string>>,
    uplinkFile: 'error' | 'warning' = 'error',
  ): Promise<LoadedConfig> =>
    loadConfig({
      path: 'c.toml',
      readText: () => Promise.resolve(source),
      secrets: {
        source: {
          readText: (path) => {
            const text = files[path];
            return text === undefined ? Promise.reject(new Error('ENOENT')) : Promise.resolve(text);
          },
          env,
        },
        uplinkFile,
      },
    });

  test('are all there: nothing to say', async () => {
    const { warnings } = await look(
      { '/etc/token': 'a\n', '/etc/password': 'b' },
      { USER_NAME: 'c' },
    );
    expect(warnings).toEqual([]);
  });

  test('are missing: each is an error with its line', async () => {
    const { message } = (await look({ '/etc/token': '\n' }, {}).catch(
      (error: unknown) => error,
    )) as Error;
    expect(message).toContain('c.toml:2: error: admin.token: the file /etc/token is empty\n');
    expect(message).toContain(
      'c.toml:7: error: uplink[0].mqtt.username: the variable USER_NAME is not set\n    Set USER_NAME',
    );
    expect(message).toContain(
      'c.toml:8: error: uplink[0].mqtt.password: the file /etc/password cannot be read\n    Check that it exists',
    );
  });

  test('that an uplink reads again later are a warning where the gateway starts', async () => {
    const { warnings } = await look({ '/etc/token': 'a' }, { USER_NAME: 'c' }, 'warning');
    expect(warnings).toMatchObject([{ line: 8, key: 'uplink[0].mqtt.password' }]);
    await expect(look({}, { USER_NAME: 'c' }, 'warning')).rejects.toThrow('admin.token');
  });
});

describe('what belongs together', () => {
  cases([
    [
      '[[listener]]\nlisten = "0.0.0.0:1883"',
      '2: error: listener[0].listen: 0.0.0.0:1883 can be reached from other machines and has no authentication',
      'Set password_file in [auth] (make the file with cistern passwd), jwt, or require_client_cert; or anonymous = true to let everyone on that network in; or keep it on 127.0.0.1.',
    ],
    [
      '[admin]\nlisten = "[::]:9883"',
      '2: error: admin.listen: [::]:9883 can be reached from other machines and there is no token',
      'Set admin.token = "file:PATH", or keep it on 127.0.0.1.',
    ],
    [
      '[[listener]]\nlisten = "127.0.0.1:1"\n[[listener]]\nlisten = "127.0.0.1:1"',
      '4: error: listener[1].listen: 127.0.0.1:1 is taken by listener[0]',
      'Give each listener an address of its own.',
    ],
    [
      '[[stream]]\nname = "a"\ntopics = ["a"]\n[[stream]]\nname = "a"\ntopics = ["b"]',
      '5: error: stream[1].name: "a" is the name of stream[0]',
      'Give each a name of its own.',
    ],
    [
      '[[stream]]\nname = "alarms"\ntopics = ["a"]\n[[uplink]]\nname = "u"\nstreams = ["alarm"]\nmqtt.url = "mqtt://h"',
      '6: error: uplink[0].streams[0]: there is no stream "alarm"',
      'Did you mean "alarms"?',
    ],
    [
      '[[stream]]\ntopics = ["a"]',
      '1: error: stream[0].name: is missing',
      'Write name = "telemetry", or what it is for.',
    ],
    [
      '\n[[uplink]]\nname = "u"',
      '2: error: uplink[0]: has no target',
      'Add [uplink.mqtt] with url = "mqtt://host:1883" below it.',
    ],
    [
      '[[uplink]]\nname = "u"\nmqtt = { url = "mqtt://h", password = "env:P" }',
      '3: error: uplink[0].mqtt.username: is missing beside password',
      'Write the user name that the password belongs to.',
    ],
    [
      '[storage]\nsize = "64MiB"\n[[stream]]\nname = "a"\ntopics = ["a"]\nquota = "40MiB"\n' +
        '[[stream]]\nname = "b"\ntopics = ["b"]\nquota = "2MiB"',
      '10: error: stream[1].quota: all quotas together are 40 MiB + 2 MiB = 42 MiB, and the ring has 41.6 MiB for quotas: 80 % of (16 - 3) segments of 4 MiB',
      'Lower the quotas, or let storage.size be larger.',
    ],
    [
      '[[stream]]\nname = "a"\ntopics = ["a"]\nwhen_full = "reject"\n[[uplink]]\nname = "u"\nmqtt.url = "mqtt://h"',
      '4: error: stream[0].when_full: "reject" needs a quota: without one nothing says when stream "a" is full',
      'Add quota, or write "drop_oldest".',
    ],
    [
      '[[stream]]\nname = "a"\ntopics = ["a"]\nquota = "1MiB"\nwhen_full = "block"',
      '5: error: stream[0].when_full: nothing reads stream "a", so "block" would never let anything in again',
      'Add the stream to an uplink, or write "drop_oldest".',
    ],
    [
      '[storage]\nsize = "64MiB"\n[[stream]]\nname = "a"\ntopics = ["a"]\nquota = "60MiB"',
      '6: error: stream[0].quota: the quota is 60 MiB, and the ring has 41.6 MiB for quotas: 80 % of (16 - 3) segments of 4 MiB',
      'Lower the quotas, or let storage.size be larger.',
    ],
    [
      '[storage]\nsegment = "1MiB"\n[limits]\npacket_size = "129KiB"',
      '4: error: limits.packet_size: 129KiB is more than an eighth of a segment of 1MiB',
      'Write at most "128KiB", or let storage.segment be larger.',
    ],
    [
      '[storage]\nwear.endurance = "30TB"',
      '2: error: storage.wear.lifetime: is missing',
      'Give both, such as endurance = "30TB" and lifetime = "5y", or budget alone.',
    ],
    [
      '[storage]\nwear.budget = "4GiB/day"\nwear.endurance = "30TB"\nwear.lifetime = "5y"',
      '2: error: storage.wear.budget: stands beside endurance or lifetime, which set it too',
      'Keep either budget, or endurance and lifetime.',
    ],
    [
      '[storage]\nwear.budget = "500MiB/day"',
      '2: error: storage.wear.budget: 500 MiB a day is below the 701 MiB that one page every 500ms ' +
        'costs, headers and checkpoints included',
      'Allow at least "702MiB/day", or let acks take longer, with storage.max_commit_window = "1s".',
    ],
    [
      '[storage]\nwear = { endurance = "30GB", lifetime = "5y" }',
      '2: error: storage.wear.endurance: 15.7 MiB a day is below the 701 MiB that one page every ' +
        '500ms costs, headers and checkpoints included',
      'Write lifetime = "40d" or less, or endurance = "1.35TB" or more.',
    ],
    [
      '[storage]\nwear = { endurance = "100TBW", lifetime = "5y" }',
      '2: error: storage.wear.endurance: expected a size, found "100TBW"',
      'Did you mean "100TB"? Write it in quotes and with its unit, such as "30TB".',
    ],
    [
      '[storage]\nwear = { endurance = "100TB", lifetime = "5 years" }',
      '2: error: storage.wear.lifetime: expected a duration, found "5 years"',
      'Did you mean "5y"? Write it in quotes and with its unit, such as "5y" or "1000d".',
    ],
    [
      '[storage]\nwear.budget = "4 gb"',
      '2: error: storage.wear.budget: expected a rate, found "4 gb"',
      'Did you mean "4GB/day"? Write it with its unit, such as "4GiB/day".',
    ],
  ]);

  test('an endurance or a lifetime as the remedy names it is taken', async () => {
    for (const [endurance, lifetime] of [
      ['30GB', '40d'],
      ['1.35TB', '5y'],
    ]) {
      const wear = `wear = { endurance = "${endurance}", lifetime = "${lifetime}" }`;
      expect((await load(`[storage]\n${wear}`)).warnings).toEqual([]);
    }
  });

  test('a budget as low as the window allows is taken, and a lower one with a longer window', async () => {
    expect((await load('[storage]\nwear.budget = "702MiB/day"')).warnings).toEqual([]);
    const longer = '[storage]\nwear.budget = "371MiB/day"\nmax_commit_window = "1s"';
    expect((await load(longer)).warnings).toEqual([]);
  });

  test('the default budget, which nobody asked for, does not stop a short window', async () => {
    const { warnings } = await load('[storage]\nmax_commit_window = "5ms"');
    expect(warnings.map(({ key, message }) => [key, message])).toEqual([
      [
        'storage.max_commit_window',
        'the default budget of 4 GiB a day is below the 66.3 GiB that one page every 5ms costs',
      ],
    ]);
  });

  test('a twin of any free port is no twin', async () => {
    const twice = '[[listener]]\nlisten = "127.0.0.1:0"\n'.repeat(2);
    expect((await load(twice)).config.listeners).toHaveLength(2);
  });
});

test('a document that is no TOML names the line and column', async () => {
  expect(await errorsOf('[storage]\nsize = 1GiB\n')).toEqual([
    expect.stringMatching(/^cistern\.toml:2: error: column \d+: this is not TOML: .+\nText, sizes/),
  ]);
});

test('one run tells every error, in the order of the lines', async () => {
  const source = '[[listener]]\nlisten = "x"\n[log]\nlevel = "loud"\n[storage]\nsize = 1\nsixe = 2';
  const found = await errorsOf(source);
  expect(found.map((each) => /^cistern\.toml:(\d+)/.exec(each)?.[1])).toEqual(['2', '4', '6', '7']);
});

test('an option of the command line is named as such, without a file', async () => {
  expect(await errorsOf('', { listen: '0.0.0.0:1883' })).toEqual([
    'error: --listen: 0.0.0.0:1883 can be reached from other machines and has no authentication\n' +
      'Add --password-file FILE (cistern passwd FILE USER makes it), or say in a configuration who may come in ([auth], or anonymous = true for everyone on that network), or keep it on 127.0.0.1.',
  ]);
  expect(await errorsOf('', { listen: 'nowhere' })).toEqual([
    'error: --listen: expected an address, found "nowhere"\n' +
      'Write host and port, such as "127.0.0.1:1883", "0.0.0.0:1883" or "[::]:1883".',
  ]);
});

test('a file that is not there', async () => {
  const loading = loadConfig({
    path: '/nowhere/cistern.toml',
    readText: () => Promise.reject(new Error('ENOENT')),
  });
  await expect(loading).rejects.toMatchObject({
    code: 'CONFIG_NOT_FOUND',
    message: 'The configuration /nowhere/cistern.toml cannot be read.',
    remedy: expect.stringContaining('--config'),
  });
});

test('no message has a secret in it', async () => {
  const source = [
    '[admin]',
    'token = ["hunter2"]',
    '[[uplink]]',
    'name = "u"',
    '[uplink.mqtt]',
    'url = "mqtt://me:hunter2@host"',
    'password = 2',
    '[[uplink]]',
    'name = "v"',
    'mqtt = { url = "amqp://me:hunter2@host" }',
  ].join('\n');
  const found = await errorsOf(source);
  expect(found).toHaveLength(4);
  expect(found.join('\n')).not.toContain('hunter2');
});
