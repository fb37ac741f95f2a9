import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ensureProgram } from '../../build/lib/debian.ts';
import type { Status } from '../../src/admin/status.ts';
import { TestProcess } from '../support/child-process.ts';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { freePort } from '../support/free-port.ts';
import { MountedDisk } from '../support/mounted-disk.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { WireClient } from '../support/wire-client.ts';

const DATA_UNUSABLE = 4;
const BAD_CONFIGURATION = 3;
const OPERATING_ERROR = 1;

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'cistern-refused-'));
  undo.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

function disk(sizeMiB: number): MountedDisk {
  const mounted = new MountedDisk(sizeMiB);
  undo.push(() => mounted.dispose());
  return mounted;
}

async function start(options: Parameters<typeof startCistern>[0]): Promise<Cistern> {
  const broker = await startCistern(options);
  undo.push(() => broker.stop());
  return broker;
}

interface Refusal {
  readonly exitCode: number | NodeJS.Signals;
  /** What is on standard error beside the log: code and sentence, then the remedy. */
  readonly lines: readonly string[];
}

/** Runs `cistern run` with this configuration until it ends by itself. */
async function refusedStart(toml: string): Promise<Refusal & { readonly configPath: string }> {
  const configPath = join(await folder(), 'cistern.toml');
  await writeFile(configPath, toml);
  const child = new TestProcess(executablePath(), ['run', '--config', configPath]);
  undo.push(() => child.isRunning && child.end('SIGKILL'));
  const exitCode = await child.exited();
  const lines = child.stderr.filter((line) => !line.startsWith('{') && line !== '');
  // A stack trace is for us, not for whoever runs the gateway.
  expect(child.output()).not.toMatch(/^ {4}at /m);
  return { exitCode, lines, configPath };
}

async function configuration(parts: {
  readonly path: string;
  readonly size?: string;
  readonly listener?: number;
  readonly admin?: number;
  readonly more?: string;
}): Promise<string> {
  const { path, size = '64MiB', more = '' } = parts;
  return `[storage]
path = "${path}"
size = "${size}"
[admin]
listen = "127.0.0.1:${parts.admin ?? (await freePort())}"
[[listener]]
listen = "127.0.0.1:${parts.listener ?? (await freePort())}"
${more}`;
}

test('a second process on the same data is refused and told who holds it', async () => {
  const broker = await start({});
  const { exitCode, lines } = await refusedStart(await configuration({ path: broker.dataDir }));
  expect(exitCode).toBe(DATA_UNUSABLE);
  expect(lines[0]).toMatch(/^DATA_IN_USE: /);
  expect(lines[0]).toContain(`process ${broker.pid}`);
  expect(lines).toHaveLength(2);
  const { client } = await WireClient.connect(broker.mqttPort, { clientId: 'undisturbed' });
  client.destroy();
});

test('a second process is refused also where it names the data by another path', async () => {
  const broker = await start({});
  const place = await folder();
  const link = join(place, 'link');
  symlinkSync(broker.dataDir, link);
  const bound = join(place, 'bound');
  mkdirSync(bound);
  execFileSync('mount', ['--bind', broker.dataDir, bound]);
  undo.push(() => execFileSync('umount', [bound]));
  for (const path of [link, bound, `${broker.dataDir}/../${basename(broker.dataDir)}/`]) {
    const { exitCode, lines } = await refusedStart(await configuration({ path }));
    expect(exitCode, path).toBe(DATA_UNUSABLE);
    expect(lines[0], path).toMatch(/^DATA_IN_USE: .* is in use by process/);
  }
  await broker.kill9();
  const second = await start({ dataDir: link });
  expect(second.isRunning).toBe(true);
});

test('data that was copied, to another machine or on this one, keep the node and get a new lineage', async () => {
  const place = await folder();
  const [first, other] = ['0123456789abcdef0123456789abcdef', 'f'.repeat(32)].map((id) => {
    const path = join(place, id);
    writeFileSync(path, `${id}\n`);
    return path;
  }) as [string, string];
  const data = join(place, 'data');
  const identityOn = async (machine: string, path: string): Promise<Status['node']> => {
    const broker = await startOnMachine(machine, path);
    const { node } = await broker.status<Status>();
    await broker.shutDown();
    return node;
  };
  const made = await identityOn(first, data);
  const same = await identityOn(first, data);
  const copy = join(place, 'copy');
  cpSync(data, copy, { recursive: true });
  const cloned = await identityOn(other, copy);
  const clonedAgain = await identityOn(other, copy);
  expect(same).toMatchObject({ id: made.id, lineage: made.lineage });
  expect(cloned.id).toBe(made.id);
  expect(cloned.lineage).not.toBe(made.lineage);
  expect(clonedAgain.lineage).toBe(cloned.lineage);
  expect((await identityOn(first, data)).lineage).toBe(made.lineage);
  // A copy beside the original, on the same machine, is told by its inode.
  const beside = join(place, 'beside');
  cpSync(data, beside, { recursive: true });
  const twin = await identityOn(first, beside);
  expect(twin.lineage).not.toBe(made.lineage);
  expect((await identityOn(first, beside)).lineage).toBe(twin.lineage);
  renameSync(data, join(place, 'moved'));
  expect((await identityOn(first, join(place, 'moved'))).lineage).toBe(made.lineage);
}, 60_000);

/** Starts it where this file is /etc/machine-id, in a mount namespace of its own. */
async function startOnMachine(machineIdFile: string, dataDir: string): Promise<Cistern> {
  const wrapper = [
    'unshare',
    '--mount',
    'sh',
    '-c',
    `mount --bind "${machineIdFile}" /etc/machine-id && exec "$0" "$@"`,
  ];
  return start({ dataDir, wrapper });
}

test('after kill -9 the data is free at once', async () => {
  const broker = await start({});
  await broker.kill9();
  await broker.launch();
  expect(broker.isRunning).toBe(true);
});

test.each(['listener', 'admin'])(
  'a taken port of the %s: the error names the program that has it, and nothing is made',
  async (which) => {
    const holder: Mosquitto = await startMosquitto();
    undo.push(() => holder.stop());
    const data = join(await folder(), 'data');
    const toml = await configuration({ path: data, [which]: holder.port });
    const { exitCode, lines } = await refusedStart(toml);
    expect(exitCode).toBe(OPERATING_ERROR);
    expect(lines[0]).toMatch(/^PORT_IN_USE: /);
    expect(lines[0]).toContain(`${holder.port}`);
    expect(lines[0]).toContain(`mosquitto (pid ${holder.pid})`);
    expect(existsSync(data)).toBe(false);
  },
);

test('a bad configuration: every fault with file, line, key and remedy, and nothing is made', async () => {
  const data = join(await folder(), 'data');
  const toml = await configuration({ path: data, size: '64 megs', more: 'anonimous = true\n' });
  const { exitCode, lines, configPath } = await refusedStart(toml);
  expect(exitCode).toBe(BAD_CONFIGURATION);
  const text = lines.join('\n');
  expect(text).toContain(`${configPath}:3`);
  expect(text).toContain('storage.size');
  expect(text).toContain('MiB');
  expect(text).toContain(`${configPath}:8`);
  expect(text).toContain('anonimous');
  expect(text).toContain('anonymous');
  expect(() => rmSync(data, { recursive: true })).toThrow('ENOENT');
});

test('a listener open to everyone without a password is refused with the remedy', async () => {
  const path = join(await folder(), 'data');
  const toml = `[storage]\npath = "${path}"\n[[listener]]\nlisten = "0.0.0.0:${await freePort()}"\n`;
  const { exitCode, lines } = await refusedStart(toml);
  expect(exitCode).toBe(BAD_CONFIGURATION);
  expect(lines.join('\n')).toContain('anonymous = true');
});

test('a read-only data directory, with data or without: one sentence and exit code 4', async () => {
  const mounted = disk(128);
  const dataDir = join(mounted.path, 'data');
  const broker = await start({ dataDir });
  await broker.shutDown();
  mounted.makeReadOnly();
  for (const path of [dataDir, join(mounted.path, 'fresh')]) {
    const { exitCode, lines } = await refusedStart(await configuration({ path }));
    expect(exitCode, path).toBe(DATA_UNUSABLE);
    expect(lines[0]).toMatch(/^DATA_UNWRITABLE: /);
    expect(lines[0]).toContain(path);
    expect(lines.length).toBeLessThanOrEqual(2);
  }
  mounted.makeWritable();
  await broker.launch();
});

test('no room for the ring: one sentence and exit code 4; with a smaller ring it starts', async () => {
  const mounted = disk(96);
  const path = join(mounted.path, 'data');
  const { exitCode, lines } = await refusedStart(await configuration({ path, size: '128MiB' }));
  expect(exitCode).toBe(DATA_UNUSABLE);
  expect(lines[0]).toMatch(
    /^DEVICE_FULL: The ring of 128 MiB does not fit: it needs 128 MiB.* has .* MiB free\.$/,
  );
  expect(lines.length).toBeLessThanOrEqual(2);
  expect(existsSync(path)).toBe(false);
  const broker = await start({ dataDir: path, size: '64MiB' });
  expect(broker.isRunning).toBe(true);
}, 60_000);

test('a disk that others have filled: the ring has its room, so it starts and acknowledges', async () => {
  const mounted = disk(96);
  const broker = await start({ dataDir: join(mounted.path, 'data'), size: '64MiB' });
  await broker.shutDown();
  fill(mounted.path);
  await broker.launch();
  const { client } = await WireClient.connect(broker.mqttPort, { clientId: 'device' });
  const payload = Buffer.alloc(10_000, 'x');
  for (let messageId = 1; messageId <= 500; messageId += 1) {
    const message = { topic: 'a', payload, qos: 1, retain: false, dup: false } as const;
    client.send({ cmd: 'publish', ...message, messageId });
    await client.next('puback', (ack) => ack.messageId === messageId);
  }
  client.destroy();
  expect(await broker.shutDown()).toBe(0);
  await broker.launch();
});

test('check tells of the place what the start would, and makes nothing', async () => {
  const path = join(disk(96).path, 'data');
  const check = async (size: string) => {
    const configPath = join(await folder(), 'cistern.toml');
    await writeFile(configPath, await configuration({ path, size }));
    const child = new TestProcess(executablePath(), ['check', '--config', configPath]);
    return { exitCode: await child.exited(), output: child.output() };
  };
  const large = await check('128MiB');
  expect(large.exitCode).toBe(DATA_UNUSABLE);
  expect(large.output).toContain('DEVICE_FULL: The ring of 128 MiB does not fit');
  const small = await check('64MiB');
  expect(small.exitCode).toBe(0);
  expect(small.output).toMatch(/ring, on ext4 \(.*\) with .* free: the next start makes the ring/);
  expect(existsSync(path)).toBe(false);
}, 60_000);

test('check sees that the data directory is a file, and what a start without its stream would forget', async () => {
  const file = join(await folder(), 'file');
  await writeFile(file, '');
  const check = async (path: string, more = '') => {
    const configPath = join(await folder(), 'cistern.toml');
    await writeFile(configPath, await configuration({ path, more }));
    const child = new TestProcess(executablePath(), ['check', '--config', configPath]);
    return { exitCode: await child.exited(), output: child.output() };
  };
  const refused = await check(join(file, 'data'));
  expect(refused.exitCode).toBe(DATA_UNUSABLE);
  expect(refused.output).toContain(`${file} is a file.`);

  const dataDir = join(await folder(), 'data');
  const broker = await start({ dataDir, size: '64MiB' });
  const { client } = await WireClient.connect(broker.mqttPort, { clientId: 'device' });
  const message = { topic: 'a', payload: 'x', qos: 1, retain: false, dup: false } as const;
  client.send({ cmd: 'publish', ...message, messageId: 1 });
  await client.next('puback');
  client.destroy();
  await broker.shutDown();
  const renamed = await check(dataDir, '[[stream]]\nname = "renamed"\ntopics = ["#"]\n');
  expect(renamed.exitCode).toBe(0);
  expect(renamed.output).toContain('The ring holds one record of the stream "default"');
}, 60_000);

test('btrfs is refused by name; with allow_cow the ring is made to be overwritten in place', async () => {
  await ensureProgram('mkfs.btrfs', 'btrfs-progs');
  const mounted = new MountedDisk(400, 'btrfs');
  undo.push(() => mounted.dispose());
  const dataDir = join(mounted.path, 'data');
  const { exitCode, lines } = await refusedStart(await configuration({ path: dataDir }));
  expect(exitCode).toBe(DATA_UNUSABLE);
  expect(lines[0]).toMatch(/^DATA_UNSUITABLE: The ring would be on btrfs \(/);
  expect(lines[1]).toContain('allow_cow = true');
  expect(existsSync(dataDir)).toBe(false);
  const broker = await start({ dataDir, size: '64MiB', storage: 'allow_cow = true' });
  const ring = join(dataDir, 'ring');
  const attributes = execFileSync('lsattr', [ring]).toString().trim().split('\n');
  expect(attributes).toHaveLength(16);
  for (const line of attributes) expect(line).toMatch(/^-*C-* /);
  await broker.shutDown();
}, 60_000);

test('a ring in memory starts, and the alarm says what that means', async () => {
  const path = await mkdtemp('/dev/shm/cistern-volatile-');
  undo.push(() => rm(path, { recursive: true, force: true }));
  const broker = await start({ dataDir: join(path, 'data'), size: '64MiB' });
  const { alarms } = await broker.status<{
    readonly alarms: readonly { readonly code: string }[];
  }>();
  expect(alarms.map(({ code }) => code)).toEqual(['storage.volatile']);
  await broker.shutDown();
});

/** Takes every last block of the file system. */
function fill(path: string): void {
  for (const bytes of [2 ** 20, 4096]) {
    const chunk = Buffer.alloc(bytes, 1);
    for (let index = 0; ; index += 1) {
      try {
        writeFileSync(join(path, `filler-${bytes}-${index}`), chunk);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        break;
      }
    }
  }
}
