import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = resolve(import.meta.dirname, '../..');
/** On the disk of the working tree: a temporary folder in memory would make every sync free. */
const workFolder = join(root, 'build/out/bench');
const START_TIMEOUT_MS = 60_000;

/** A broker that runs, alone on its core. */
export interface RunningBroker {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface BrokerKind {
  readonly name: string;
  /** Why it cannot be measured here, or undefined. */
  readonly missing: () => string | undefined;
  readonly start: (core: number, port: number) => Promise<RunningBroker>;
}

/** Without persistence and without limits of its own, so that it runs at its best. */
const mosquitto: BrokerKind = {
  name: 'Mosquitto',
  missing: () => (existsSync('/usr/sbin/mosquitto') ? undefined : 'mosquitto is not installed'),
  start: async (core, port) => {
    const config = join(await freshFolder('mosquitto'), 'mosquitto.conf');
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence false',
      'max_inflight_messages 0',
      'max_queued_messages 0',
      'set_tcp_nodelay true',
      'sys_interval 0',
      'log_dest none',
    ];
    await writeFile(config, `${lines.join('\n')}\n`);
    return startOn(core, port, '/usr/sbin/mosquitto', ['-c', config]);
  },
};

const executable = join(root, 'build/out/cistern');

/** The packed executable as `cistern run` starts it: the default stream stores everything. */
const cistern: BrokerKind = {
  name: 'Cistern',
  missing: () =>
    existsSync(executable) ? undefined : 'build/out/cistern is not there: npm run build',
  start: async (core, port) => {
    const folder = await freshFolder('cistern');
    const config = join(folder, 'cistern.toml');
    await writeFile(config, `[admin]\nlisten = "127.0.0.1:${port + 1}"\n[log]\nlevel = "warn"\n`);
    const listen = ['--listen', `127.0.0.1:${port}`];
    const data = ['--data', join(folder, 'data')];
    return startOn(core, port, executable, ['run', '--config', config, ...data, ...listen]);
  },
};

/** See `null-broker.ts`. */
const ceiling: BrokerKind = {
  name: 'ceiling',
  missing: () => undefined,
  start: (core, port) =>
    startOn(core, port, process.execPath, [
      fileURLToPath(import.meta.resolve('./null-broker.ts')),
      String(port),
    ]),
};

export const brokerKinds: readonly BrokerKind[] = [mosquitto, cistern, ceiling];

async function freshFolder(name: string): Promise<string> {
  const folder = join(workFolder, name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  return folder;
}

async function startOn(
  core: number,
  port: number,
  command: string,
  args: readonly string[],
): Promise<RunningBroker> {
  // taskset replaces itself by the command, so the child's pid is the broker's.
  const child = spawn('taskset', ['-c', String(core), command, ...args], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000);
  });
  await listening(child, port, () => said);
  return { port, pid: child.pid as number, stop: () => stopped(child) };
}

async function listening(child: ChildProcess, port: number, said: () => string): Promise<void> {
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += 50) {
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')} ended: ${said()}`);
    if (await accepts(port)) return;
    await sleep(50);
  }
  child.kill('SIGKILL');
  throw new Error(`${child.spawnargs.join(' ')} does not listen: ${said()}`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1');
    const answer = (value: boolean) => {
      socket.destroy();
      done(value);
    };
    socket.on('connect', () => answer(true));
    socket.on('error', () => answer(false));
  });
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await exited;
  clearTimeout(timer);
}
