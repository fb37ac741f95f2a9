import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { cli } from '../../../src/cli/main.ts';
import { freePort } from '../../support/free-port.ts';
import { TestIo } from './test-io.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');

// Each test starts processes, on a machine that may have other work.
vi.setConfig({ testTimeout: 30_000 });

let folder: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cistern-run-'));
  const lines = [
    '[storage]',
    'size = "1MiB"',
    'segment = "64KiB"',
    '[admin]',
    'listen = "127.0.0.1:0"',
    '[[listener]]',
    'listen = "127.0.0.1:0"',
  ];
  await writeFile(join(folder, 'c.toml'), `${lines.join('\n')}\n`);
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

interface Gateway {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  out(): string;
  err(): string;
}

/** `cistern run` as a process of its own. */
function start(): Gateway {
  const argv = [MAIN, 'run', '--config', join(folder, 'c.toml'), '--data', join(folder, 'data')];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const exit = once(child, 'close').then(([code]) => code as number | null);
  return { child, exit, out: () => out, err: () => err };
}

/** What the gateway says of where it is, once it says so. */
async function address(gateway: Gateway, what: 'mqtt' | 'admin'): Promise<string> {
  const pattern = new RegExp(`^ {2}${what} +(?:http://)?(127\\.0\\.0\\.1:\\d+)`, 'm');
  await expect.poll(() => gateway.out(), { timeout: 10_000 }).toMatch(pattern);
  return pattern.exec(gateway.out())?.[1] ?? '';
}

test('a message goes from pub to sub, the status counts it, and SIGTERM ends it with 0', async () => {
  const gateway = start();
  const port = (await address(gateway, 'mqtt')).split(':')[1] ?? '';
  expect(gateway.out()).toContain('Making the ring: 100 % of 1 MiB\n');

  const subscriber = new TestIo();
  const subscribing = cli(
    ['sub', '-p', port, '-t', 's/#', '-v', '-C', '2', '-q', '1', '-d'],
    subscriber,
  );
  await expect.poll(() => subscriber.err).toContain('received SUBACK');
  const publisher = new TestIo({ stdin: ['-5\n', '7\n'] });
  expect(await cli(['pub', '-p', port, '-t', 's/1', '-l', '-q', '1'], publisher)).toBe(0);
  expect(await subscribing).toBe(0);
  expect(subscriber.out).toBe('s/1 -5\ns/1 7\n');

  const admin = await address(gateway, 'admin');
  const status = new TestIo();
  expect(await cli(['status', '--json', '--admin', admin], status)).toBe(0);
  expect(JSON.parse(status.out)).toMatchObject({
    messages: { received: 2, delivered: 2 },
    streams: [{ name: 'default', partitions: [{ tailOffset: 2, durableOffset: 2 }] }],
  });

  // As `timeout` does, which sends it to the process and to its group.
  gateway.child.kill('SIGTERM');
  gateway.child.kill('SIGTERM');
  expect(await gateway.exit).toBe(0);
  expect(gateway.err()).toContain('"event":"app.stopped"');
});

test('a second one on the same data ends with 4 and names the first', async () => {
  const first = start();
  await address(first, 'mqtt');
  const second = start();
  expect(await second.exit).toBe(4);
  expect(second.err()).toContain(
    `DATA_IN_USE: The data in ${join(folder, 'data')} is in use by process ${first.child.pid}.\n`,
  );
});

test('SIGTERM while the ring is being made ends it at once, and the next start goes on', async () => {
  const path = join(folder, 'c.toml');
  const lines = ['[storage]', 'size = "192MiB"', '[admin]', 'listen = "127.0.0.1:0"'];
  await writeFile(path, `${[...lines, '[[listener]]', 'listen = "127.0.0.1:0"'].join('\n')}\n`);
  const first = start();
  await expect.poll(() => first.out(), { timeout: 10_000 }).toContain('Making the ring: 0 %');
  first.child.kill('SIGTERM');
  expect(await first.exit).toBe(0);
  expect(first.out()).not.toContain(' 100 %');
  const second = start();
  await address(second, 'mqtt');
});

test.each(['listener', 'admin'])(
  'a taken port of the %s is told before anything is made',
  async (which) => {
    const holder = createServer();
    await new Promise<void>((resolve) => void holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as AddressInfo;
    const [admin, listener] = which === 'admin' ? [port, 0] : [0, port];
    const lines = ['[admin]', `listen = "127.0.0.1:${admin}"`];
    lines.push('[[listener]]', `listen = "127.0.0.1:${listener}"`);
    await writeFile(join(folder, 'c.toml'), `${lines.join('\n')}\n`);
    const gateway = start();
    expect(await gateway.exit).toBe(1);
    holder.close();
    expect(gateway.err()).toContain(`PORT_IN_USE: 127.0.0.1:${port} is taken by node (pid `);
    expect(gateway.out()).not.toContain('Making the ring');
    expect(existsSync(join(folder, 'data'))).toBe(false);
  },
);

test('who connects while the ring is being made is refused, and finds a whole broker later', async () => {
  const port = await freePort();
  const lines = ['[storage]', 'size = "192MiB"', '[admin]', 'listen = "127.0.0.1:0"'];
  lines.push('[[listener]]', `listen = "127.0.0.1:${port}"`);
  await writeFile(join(folder, 'c.toml'), `${lines.join('\n')}\n`);
  const gateway = start();
  await expect.poll(() => gateway.out(), { timeout: 10_000 }).toContain('Making the ring: 0 %');
  const early = new TestIo();
  const publish = ['pub', '-p', String(port), '-t', 'a', '-m', 'x', '-q', '1'];
  expect(await cli(publish, early)).toBe(1);
  expect(early.err).toContain('ECONNREFUSED');
  await address(gateway, 'mqtt');
  expect(await cli(publish, new TestIo())).toBe(0);
});

test('after a kill, log dump shows each message once, in its order', async () => {
  const data = join(folder, 'data');
  const numbers = Array.from({ length: 600 }, (_, index) => `${index}`);
  for (const half of [numbers.slice(0, 300), numbers.slice(300)]) {
    const gateway = start();
    const port = (await address(gateway, 'mqtt')).split(':')[1] ?? '';
    const io = new TestIo({ stdin: half.map((each) => `${each}${'.'.repeat(200)}\n`) });
    expect(await cli(['pub', '-p', port, '-t', 's', '-l', '-q', '1'], io)).toBe(0);
    gateway.child.kill('SIGKILL');
    await gateway.exit;
  }
  const last = start();
  await address(last, 'mqtt');
  last.child.kill('SIGTERM');
  await last.exit;
  const io = new TestIo();
  expect(await cli(['log', 'dump', data, '--json'], io)).toBe(0);
  const records = io.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { offset: number; payload: string });
  expect(records.map(({ payload }) => payload.replace(/\.+$/, ''))).toEqual(numbers);
  expect(new Set(records.map(({ offset }) => offset)).size).toBe(numbers.length);
});

test('log looks into the ring, and verify finds a byte that is wrong', async () => {
  const gateway = start();
  const port = (await address(gateway, 'mqtt')).split(':')[1] ?? '';
  const io = new TestIo({ stdin: ['-5\n', '7\n', Buffer.from([0xff, 0x0a]).toString('latin1')] });
  expect(await cli(['pub', '-p', port, '-t', 's/1', '-l', '-q', '1'], io)).toBe(0);
  gateway.child.kill('SIGTERM');
  await gateway.exit;
  const data = join(folder, 'data');
  const run = async (...argv: string[]): Promise<{ code: number; out: string; err: string }> => {
    const process = new TestIo();
    const code = await cli(['log', ...argv], process);
    return { code, out: process.out, err: process.err };
  };

  const dumped = await run('dump', data, '--json');
  const records = dumped.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(records).toMatchObject([
    { stream: 'default', offset: 0, topic: 's/1', qos: 1, retain: false, payload: '-5' },
    { stream: 'default', offset: 1, topic: 's/1', payload: '7' },
    { stream: 'default', offset: 2, topic: 's/1' },
  ]);
  expect((await run('dump', data, '--stream', 'default', '--json')).out).toBe(dumped.out);
  expect(await run('dump', data, '--stream', 'defalt')).toEqual({
    code: 2,
    out: '',
    err:
      `cistern log: the ring in ${data} has no record of a stream "defalt"\n` +
      'Streams with records: default.\n',
  });
  expect((await run('inspect', data)).out).toMatch(
    /default \(partition id \d+\): 3 records, offsets 0 to 2/,
  );
  expect(await run('verify', data)).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^\d+ records in 1 live segment: every checksum is right\.\n$/),
  });

  // The first page is the segment header; what follows it is the first batch.
  const slot = join(data, 'ring', 'slot-0000');
  const bytes = await readFile(slot);
  bytes[4096 + 40] = (bytes[4096 + 40] ?? 0) ^ 0xff;
  await writeFile(slot, bytes);
  expect(await run('verify', data)).toMatchObject({
    code: 4,
    out: expect.stringMatching(/^slot 0: \d+ bytes from 4096 on are damaged\.\n/),
  });
  const told = (await run('verify', data, '--json')).out.trimEnd().split('\n');
  expect(told.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { slot: 0, damage: [expect.stringMatching(/from 4096 on are damaged/)] },
    { findings: expect.any(Number), segments: expect.any(Number) },
  ]);
  await rm(slot);
  const gone = await run('verify', data);
  expect(gone.code).toBe(4);
  expect(gone.out).toMatch(/^No segment is live: .*\n0 records in 0 live segments, 1 finding\.\n$/);

  expect(await run('inspect', join(folder, 'nothing'))).toMatchObject({
    code: 4,
    err: expect.stringMatching(/^DATA_UNSUITABLE: There is no ring in .*nothing\.\nName the data/),
  });
});
