import { execFile } from 'node:child_process';
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestProcess } from '../support/child-process.ts';
import { executablePath, startCistern } from '../support/executable.ts';
import { freePort } from '../support/free-port.ts';
import { accepts, waitFor } from '../support/wait-for.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const IDLE_LIMIT_KIB = 40 * 1024;

let folder: string;
let program: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cistern-executable-'));
  program = executablePath();
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** A number of /proc/PID/status, in KiB. */
async function memoryOf(pid: number, field: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status);
  if (match === null) throw new Error(`no ${field} in /proc/${pid}/status`);
  return Number(match[1]);
}

async function cacheFolder(name: string, mode = 0o700): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  await chmod(path, mode);
  return path;
}

describe('build/out/cistern', () => {
  test('is one file that needs nothing of this repository, and knows its version', async () => {
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      version: string;
    };
    const { stdout } = await run(program, ['--version'], { cwd: folder, env: {} });
    expect(stdout.trim().endsWith(manifest.version)).toBe(true);
    expect((await stat(program)).size).toBeLessThan(150e6);
  });

  test('cannot be made to run other code by NODE_OPTIONS', async () => {
    const preload = join(folder, 'preload.cjs');
    await writeFile(preload, "console.log('injected');\n");
    const env = { NODE_OPTIONS: `--require=${preload}` };
    const { stdout, stderr } = await run(program, ['--version'], { env });
    expect(stdout + stderr).not.toContain('injected');
  });

  test('takes clients within a second, stays small, and ends cleanly on SIGTERM', async () => {
    const cistern = await startCistern();
    try {
      const client = await connectAsync(`mqtt://127.0.0.1:${cistern.mqttPort}`, {
        reconnectPeriod: 0,
      });
      await client.publishAsync('a/b', 'x', { qos: 1 });
      expect(await memoryOf(cistern.pid, 'RssAnon')).toBeLessThan(IDLE_LIMIT_KIB);
      const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
      expect(await cistern.shutDown()).toBe(0);
      await closed;
      await cistern.launch();
      expect(cistern.startMs).toBeLessThan(1000);
    } finally {
      await cistern.stop();
    }
  });
});

describe('the database library inside it', () => {
  test('is unpacked once, for this user alone, and repaired where the copy is damaged', async () => {
    const cache = await cacheFolder('cache');
    const cistern = await startCistern({ env: { CACHE_DIRECTORY: cache } });
    try {
      const [name, ...others] = await readdir(cache);
      expect(others).toEqual([]);
      const path = join(cache, name as string);
      const good = await readFile(path);
      expect((await stat(path)).mode & 0o777).toBe(0o500);
      await cistern.kill9();

      await chmod(path, 0o700);
      const file = await open(path, 'r+');
      await file.write(Buffer.from('damage'), 0, 6, 100_000);
      await file.close();
      await cistern.launch();
      expect((await readFile(path)).equals(good)).toBe(true);
    } finally {
      await cistern.stop();
    }
  });

  test('is never unpacked where others can write, and the error says what to do', async () => {
    const cache = await cacheFolder('shared-cache', 0o777);
    const env = { CACHE_DIRECTORY: cache, HOME: '/', XDG_CACHE_HOME: '', XDG_RUNTIME_DIR: '' };
    const started = startCistern({ env });
    await expect(started).rejects.toThrow(/Set CACHE_DIRECTORY to a directory of this user/);
    expect(await readdir(cache)).toEqual([]);
  });

  test('that cannot be unpacked anywhere ends the start with one sentence and a remedy', async () => {
    const env = {
      CACHE_DIRECTORY: '/proc/no/such',
      HOME: '/',
      XDG_CACHE_HOME: '',
      XDG_RUNTIME_DIR: '',
    };
    const started = startCistern({ env });
    await expect(started).rejects.toThrow(/DATA_UNWRITABLE: .*\n?Set CACHE_DIRECTORY/);
  });
});

describe('npm start', () => {
  test('runs the broker, and hands on a SIGTERM and the exit code', async () => {
    const [mqttPort, adminPort] = [await freePort(), await freePort()];
    const config = join(folder, 'start.toml');
    const lines = [
      `storage = { path = ${JSON.stringify(join(folder, 'start-data'))}, size = "64MiB" }`,
      `admin = { listen = "127.0.0.1:${adminPort}" }`,
      `listener = [{ listen = "127.0.0.1:${mqttPort}" }]`,
    ];
    await writeFile(config, `${lines.join('\n')}\n`);
    const start = new TestProcess('npm', ['--prefix', root, 'start', '--', '--config', config]);
    try {
      await waitFor('npm start to take clients', () => accepts(mqttPort), 60_000);
    } finally {
      const code = await start.end('SIGTERM', 20_000);
      expect(code, start.output()).toBe(0);
    }
    expect(await accepts(mqttPort)).toBe(false);
  });
});
