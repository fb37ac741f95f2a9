import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { currentMosquitto } from './current-mosquitto.ts';

const root = resolve(import.meta.dirname, '../..');
/** On the disk of the working tree: a temporary folder in memory would make every sync free. */
export const workFolder = join(root, 'build/out/bench');
const START_TIMEOUT_MS = 60_000;

/** A broker that runs, alone on its core. */
export interface RunningBroker {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly core: number;
  readonly port: number;
  /** Where Node is to leave a profile of the whole run, for the kinds that can. */
  readonly profile?: string | undefined;
}

/** Of Cistern; another one shows what a load is like when the budget is felt. */
const wearBudget = process.env['CISTERN_BENCH_BUDGET'] ?? '100TB/day';

export interface BrokerKind {
  /** To choose it by. */
  readonly name: string;
  /** What it is called in the table, where its version follows. */
  readonly product: string;
  /** Measured in the first round only, because nothing is compared with it. */
  readonly once?: true;
  /** Why it cannot be measured here, or undefined. */
  readonly missing: () => string | undefined;
  /** Such as `2.0.11`; empty where there is none to tell. */
  readonly version: () => string;
  readonly start: (options: StartOptions) => Promise<RunningBroker>;
}

const installedMosquitto = '/usr/sbin/mosquitto';

/** Debian's. */
const mosquitto: BrokerKind = {
  name: 'Mosquitto',
  product: 'Mosquitto',
  missing: () => (existsSync(installedMosquitto) ? undefined : 'mosquitto is not installed'),
  version: () => mosquittoVersion(installedMosquitto, []),
  start: (options) => startMosquitto(options, installedMosquitto, []),
};

/** A current one, by `fetch-mosquitto.ts`. */
const mosquittoSid: BrokerKind = {
  name: 'Mosquitto-sid',
  product: 'Mosquitto',
  missing: () =>
    currentMosquitto.isThere()
      ? undefined
      : 'node build/with-node24.mjs test/bench/fetch-mosquitto.ts brings it',
  version: () => mosquittoVersion(currentMosquitto.command, currentMosquitto.args),
  start: (options) => startMosquitto(options, currentMosquitto.command, currentMosquitto.args),
};

/** Its help ends with a code other than 0, and differs by version; the first line is the same. */
function mosquittoVersion(command: string, args: readonly string[]): string {
  const { stdout } = spawnSync(command, [...args, '-h'], { encoding: 'utf8' });
  return /version (\S+)/.exec(stdout)?.[1] ?? 'of unknown version';
}

/** Without persistence and without limits of its own, so that it runs at its best. */
async function startMosquitto(
  { core, port }: StartOptions,
  command: string,
  args: readonly string[],
): Promise<RunningBroker> {
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
  return startOn(core, port, command, [...args, '-c', config]);
}

/** In a process of its own, in memory, as it is by default. */
const aedes: BrokerKind = {
  name: 'aedes',
  product: 'aedes',
  missing: () => undefined,
  version: () => packageVersion(join(root, 'node_modules/aedes/package.json')),
  start: ({ core, port }) => startOn(core, port, process.execPath, program('aedes-broker', port)),
};

const executable = join(root, 'build/out/cistern');

/** The packed executable as `cistern run` starts it: the default stream stores everything. */
const cistern: BrokerKind = {
  name: 'Cistern',
  product: 'Cistern',
  missing: () =>
    existsSync(executable) ? undefined : 'build/out/cistern is not there: npm run build',
  version: () => packageVersion(join(root, 'package.json')),
  start: async ({ core, port, profile }) => {
    const folder = await freshFolder('cistern');
    const config = join(folder, 'cistern.toml');
    const lines = [
      `[admin]\nlisten = "127.0.0.1:${port + 1}"`,
      '[log]\nlevel = "warn"',
      // Nobody else limits how fast clients may come.
      '[limits]\nconnection_rate = "100000/s"',
      // A load of seconds is not to be slowed down by what it would cost in a day.
      `[storage.wear]\nbudget = "${wearBudget}"`,
    ];
    await writeFile(config, `${lines.join('\n')}\n`);
    const listen = ['--listen', `127.0.0.1:${port}`];
    const args = ['run', '--config', config, '--data', join(folder, 'data'), ...listen];
    if (profile === undefined) return startOn(core, port, executable, args);
    // From the sources, so that the profile names functions and lines as they are written.
    const target = ['--cpu-prof-dir', dirname(profile), '--cpu-prof-name', basename(profile)];
    const source = ['--cpu-prof', ...target, join(root, 'src/main.ts')];
    return startOn(core, port, process.execPath, [...source, ...args]);
  },
};

/** See `null-broker.ts`. */
const ceiling: BrokerKind = {
  name: 'ceiling',
  product: 'ceiling',
  once: true,
  missing: () => undefined,
  version: () => '',
  start: ({ core, port }) => startOn(core, port, process.execPath, program('null-broker', port)),
};

export const brokerKinds: readonly BrokerKind[] = [
  mosquitto,
  mosquittoSid,
  aedes,
  cistern,
  ceiling,
];

function program(name: string, port: number): string[] {
  return [join(import.meta.dirname, `${name}.ts`), String(port)];
}

function packageVersion(file: string): string {
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

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
  // The shell and taskset replace themselves by the next, so the child's pid is the broker's. As many
  // open files as allowed: thousands of connections are more than what a shell starts with.
  const shell = ['-c', 'ulimit -n "$(ulimit -Hn)" && exec "$@"', 'sh'];
  const child = spawn('sh', [...shell, 'taskset', '-c', String(core), command, ...args], {
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
