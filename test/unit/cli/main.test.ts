import { createServer, type Server } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startAdmin } from '../../../src/admin/server.ts';
import { cli } from '../../../src/cli/main.ts';
import { createNodeHttp } from '../../../src/platform/node/http.ts';
import { exampleStatus } from '../admin/example-status.ts';
import { TestIo } from './test-io.ts';

async function run(
  argv: readonly string[],
  io = new TestIo(),
): Promise<{ code: number; out: string; err: string }> {
  const code = await cli(argv, io);
  return { code, out: io.out, err: io.err };
}

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cistern-cli-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function configFile(source: string): Promise<string> {
  const path = join(folder, 'cistern.toml');
  await writeFile(path, source);
  return path;
}

describe('help', () => {
  test('lists the commands, and none that is not there', async () => {
    const { code, out } = await run(['--help']);
    expect(code).toBe(0);
    for (const name of ['run', 'check', 'status', 'wear', 'import', 'log', 'pub', 'sub']) {
      expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    }
    expect(out).not.toMatch(/^ {2}uplink /m);
  });

  test.each(['run', 'check', 'status', 'wear', 'import', 'log', 'pub', 'sub'])(
    '%s has one, with examples',
    async (name) => {
      const asked = await run([name, '--help']);
      expect(asked.code).toBe(0);
      expect(asked.out).toContain(`Usage: cistern ${name} `);
      expect(asked.out).toMatch(/\nExamples:\n {2}# .+\n {2}.*cistern /);
      expect(await run(['help', name])).toEqual(asked);
      // In 100 columns, and no line ends in blanks.
      expect(
        asked.out.split('\n').filter((line) => line.length > 100 || line.endsWith(' ')),
      ).toEqual([]);
    },
  );

  test('the version is a line of its own', async () => {
    expect((await run(['--version'])).out).toMatch(/^cistern \d+\.\d+\.\d+\n$/);
  });
});

describe('what is not understood ends with 2 and two lines', () => {
  test.each([
    [['stauts'], 'There is no command "stauts". Did you mean status?\nUsage: cistern run|'],
    [
      ['uplink', 'list'],
      'cistern uplink is not in this version yet.\nThis version has run, check, ',
    ],
    [
      ['run', '--conifg', 'x'],
      'cistern run: there is no option --conifg. Did you mean --config?\n',
    ],
    [['check', 'file.toml'], 'cistern check: "file.toml" is one argument too many\nUsage: '],
    [['pub', '-m', 'x'], 'cistern pub: -t names no topic\nUsage: cistern pub '],
    [['pub', '-t', 'a/#', '-m', 'x'], 'cistern pub: "a/#" is not a topic to publish to'],
    [['pub', '-t', 'a'], 'cistern pub: say what to publish with exactly one of -m, -f, -l, -n'],
    [['pub', '-t', 'a', '-m', 'x', '-n'], 'cistern pub: say what to publish with exactly one of'],
    [['pub', '-t', 'a', '-m', 'x', '-q', '3'], 'cistern pub: -q takes one of 0, 1, 2, not "3"'],
    [['pub', '-t', 'a', '-m', 'x', '-c'], 'cistern pub: -c keeps the session of a client id'],
    [['pub', '-t', 'a', '-m', 'x', '-P', 'y'], 'cistern pub: -P needs a user name'],
    [['pub', '-t', 'a', '-m', 'x', '-x', '5'], 'cistern pub: -D and -x are of MQTT 5.0'],
    [
      ['pub', '-t', 'a', '-m', 'x', '--will-qos', '1'],
      'cistern pub: --will-qos needs --will-topic',
    ],
    [['pub', '-t', 'a', '-f', '/nowhere/x'], 'cistern pub: the file /nowhere/x cannot be read: '],
    [['sub'], 'cistern sub: -t names no topic\nUsage: cistern sub '],
    [['sub', '-t', 'a/#/b'], 'cistern sub: "a/#/b" is not a topic filter: "#" must be'],
    [['sub', '-t', 'a', '-F', '%y'], 'cistern sub: the format "%y" has an unknown field'],
    [['log', 'inspect'], 'cistern log: an argument is missing\nUsage: cistern log {inspect | '],
    [['log', 'mend', 'x'], 'cistern log: "mend" is not one of inspect, verify, dump\nUsage: '],
    [
      ['status', '--admin', '30301'],
      'cistern status: --admin takes HOST:PORT, such as 127.0.0.1:9883',
    ],
    [['status', '--admin', 'a:1', '--config', 'b'], 'cistern status: --admin and --config name'],
  ])('%j', async (argv, message) => {
    const { code, out, err } = await run(argv);
    expect([code, out]).toEqual([2, '']);
    expect(err.slice(0, message.length)).toBe(message);
    expect(err.trimEnd().split('\n')).toHaveLength(2);
  });

  test('no command at all', async () => {
    const { code, out, err } = await run([]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('Usage: cistern COMMAND');
  });
});

describe('check', () => {
  test('prints the effective configuration and its cost', async () => {
    const { code, out, err } = await run(['check']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('[[listener]]\nlisten = "127.0.0.1:1883"\n');
    expect(out).toContain('4 GiB a day pays for 12 one-page commits a second');
    expect(out).not.toContain('not kept to in this version');
  });

  test('ends with 3 and every error of the file', async () => {
    const path = await configFile('[storage]\nsise = "1GiB"\n[log]\nlevel = "loud"\n');
    const { code, out, err } = await run(['check', '--config', path]);
    expect([code, out]).toEqual([3, '']);
    expect(err).toBe(
      'CONFIG_INVALID: The configuration has 2 errors:\n' +
        `${path}:2: error: storage.sise: unknown key\n    Did you mean "size"?\n` +
        `${path}:4: error: log.level: "loud" is not a possible value\n` +
        '    Write one of "debug", "info", "warn", "error".\n',
    );
  });

  test.each([
    ['', false],
    ['topics = ["a/#"]', true],
    ['topics = ["#"]', false],
    ['topics = ["+/#"]', false],
    ['topics = ["#"]\nmin_qos = 1', true],
    ['topics = ["#"]\nexclude = ["b/#"]', true],
    ['topics = ["#"]\nexclude = ["b/#"]\n[[stream]]\nname = "b"\ntopics = ["b/#"]', false],
  ])('says whether topics are left that no stream keeps: %j', async (lines, isSaid) => {
    const path = await configFile(lines === '' ? '' : `[[stream]]\nname = "a"\n${lines}\n`);
    const { code, out, err } = await run(['check', '-c', path]);
    expect([code, err]).toEqual([0, '']);
    expect(out.includes('\n# What no [[stream]] takes')).toBe(isSaid);
  });

  test('warns on standard error, and that is no failure', async () => {
    const path = await configFile('[[stream]]\nname = "a"\ntopics = ["#", "b"]\nexclude = ["b"]\n');
    const { code, err } = await run(['check', '-c', path]);
    expect(code).toBe(0);
    expect(err).toMatch(
      /^.*cistern\.toml:3: warning: stream\[0\]\.topics\[1\]: "b" can never match/,
    );
  });

  test('a secret that is not where the configuration says ends with 3', async () => {
    const path = await configFile('[admin]\ntoken = "env:ADMIN_TOKEN"\n');
    const { code, err } = await run(['check', '-c', path]);
    expect(code).toBe(3);
    expect(err).toContain(`${path}:2: error: admin.token: the variable ADMIN_TOKEN is not set\n`);
    const io = new TestIo({ env: { ADMIN_TOKEN: 's3cret' } });
    expect((await run(['check', '-c', path], io)).code).toBe(0);
  });

  test('a file that is not there ends with 3', async () => {
    const { code, err } = await run(['check', '--config', join(folder, 'none.toml')]);
    expect(code).toBe(3);
    expect(err).toMatch(/^CONFIG_NOT_FOUND: .*none\.toml cannot be read\.\nCheck the path/);
  });
});

describe('status', () => {
  const closers: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  async function startGateway(token?: string): Promise<string> {
    const admin = await startAdmin({
      listen: '127.0.0.1:0',
      token: token === undefined ? undefined : () => Promise.resolve(token),
      source: { status: exampleStatus, ready: () => true },
      http: createNodeHttp(),
    });
    closers.push(() => admin.close());
    return admin.address;
  }

  test('--json prints the document as it is', async () => {
    const { code, out } = await run(['status', '--json', '--admin', await startGateway()]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual(exampleStatus());
  });

  test('without it, a page for people', async () => {
    const { code, out } = await run(['status', '--admin', await startGateway()]);
    expect(code).toBe(0);
    expect(out).toMatch(/^gw-0042 .*up 1 h 2 min/);
    expect(out).toMatch(/^cloud +backoff +400 \(78\.1 KiB\) +1 min 1 s/m);
  });

  test('wear --json prints its part of the document', async () => {
    const { code, out } = await run(['wear', '--json', '--admin', await startGateway()]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual(exampleStatus().wear);
  });

  test('wear, for people', async () => {
    const { code, out } = await run(['wear', '--admin', await startGateway()]);
    expect(code).toBe(0);
    expect(out).toMatch(/^budget +4 GiB a day$/m);
  });

  test('takes address and token from a configuration', async () => {
    const address = await startGateway('s3cret');
    const path = await configFile(`[admin]\nlisten = "${address}"\ntoken = "env:ADMIN_TOKEN"\n`);
    const argv = ['status', '--json', '--config', path];
    expect((await run(argv, new TestIo({ env: { ADMIN_TOKEN: 's3cret' } }))).code).toBe(0);
    const wrong = await run(argv, new TestIo({ env: { ADMIN_TOKEN: 'wrong' } }));
    expect(wrong.code).toBe(1);
    expect(wrong.err).toMatch(/^ADMIN_UNREACHABLE: .* asks for its token\.\nGive --config/);
    const unset = await run(argv);
    expect(unset.code).toBe(3);
    expect(unset.err).toMatch(/^CONFIG_INVALID: The variable ADMIN_TOKEN is not set\.\n/);
  });

  test('--watch goes on until a signal', async () => {
    const io = new TestIo();
    const watching = run(['status', '--json', '--watch', '--admin', await startGateway()], io);
    await expect.poll(() => io.out).not.toBe('');
    io.signal('SIGINT');
    expect((await watching).code).toBe(0);
  });

  test('nobody there', async () => {
    const { code, err } = await run(['status', '--admin', '127.0.0.1:1']);
    expect(code).toBe(1);
    expect(err).toBe(
      'ADMIN_UNREACHABLE: No gateway answers at 127.0.0.1:1.\n' +
        'Start one with "cistern run", or name its address with --admin or --config.\n',
    );
  });

  test('something else there', async () => {
    const server: Server = createServer((_, response) => response.end('<html>'));
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => void server.close(() => resolve())));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { code, err } = await run(['status', '--admin', `127.0.0.1:${port}`]);
    expect(code).toBe(1);
    expect(err).toContain('is not a Cistern gateway (HTTP 200)');
  });
});

test.each([
  ['pub', '-t', 'a', '-m', 'x'],
  ['sub', '-t', 'a'],
])('%s without a broker ends with 1 and what to do', async (...argv) => {
  const { code, out, err } = await run([...argv, '-p', '1']);
  expect([code, out]).toEqual([1, '']);
  expect(err).toMatch(
    /^BROKER_UNREACHABLE: No broker answers at 127\.0\.0\.1:1: connect ECONNREFUSED.*\nStart one/,
  );
});

test.each(['-m', '-l'])('pub %s does not end well before the acknowledgement', async (how) => {
  // Lets a client in, and cuts it off at whatever it says next.
  const broker = createTcpServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => {
      socket.write(Buffer.from([0x20, 2, 0, 0]));
      socket.once('data', () => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => void broker.listen(0, '127.0.0.1', resolve));
  const address = broker.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const message = how === '-m' ? ['-m', 'x'] : ['-l'];
  const io = new TestIo({ stdin: ['x\n'.repeat(500)] });
  const argv = ['pub', '-t', 'a', '-q', '1', '-p', String(port), ...message];
  expect(await run(argv, io)).toEqual({
    code: 1,
    out: '',
    err: 'BROKER_UNREACHABLE: The broker closed the connection.\n',
  });
  broker.close();
});
