/**
 * Cistern beside Mosquitto and aedes on this machine, in one run: broker on one core, load on
 * another, rounds in turn, medians and ratios as tables. See README.md here.
 *
 *   npm run bench [-- --rounds 3] [--measure-ms 2500] [--loads qos1-ingest,idle] [--brokers Cistern,Mosquitto]
 *   npm run bench -- --profile DIR [--loads qos1-ingest]
 */
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import os from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { type BrokerKind, brokerKinds, workFolder } from './brokers.ts';
import { type Load, loadNamed, loads } from './load/loads.ts';
import type { LoadResult } from './load/results.ts';
import { describeMachine, measureDisk } from './machine.ts';
import { topFunctions } from './profile.ts';
import { Measurements, report, summary } from './report.ts';

const execute = promisify(execFile);
const BROKER_CORE = 0;
const LOAD_CORE = 1;
/** Ports of the kernel's own choice begin above. */
const FIRST_PORT = 23_400;
/** The longest load takes a quarter of it on a slow machine. */
const LOAD_TIMEOUT_MS = 120_000;

interface Options {
  readonly rounds: number;
  readonly measureMs: number;
  readonly loads: readonly Load[];
  readonly brokers: readonly BrokerKind[];
  readonly profileFolder: string | undefined;
}

function brokerNamed(name: string): BrokerKind {
  const kind = brokerKinds.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (kind !== undefined) return kind;
  const names = brokerKinds.map((one) => one.name).join(', ');
  throw new Error(`There is no broker ${name}; there are ${names}.`);
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string' },
      'measure-ms': { type: 'string', default: '2500' },
      loads: { type: 'string' },
      brokers: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const profiling = values.profile !== undefined;
  const brokers = profiling ? 'Cistern' : values.brokers;
  return {
    rounds: Number(values.rounds ?? (profiling ? 1 : 3)),
    measureMs: Number(values['measure-ms']),
    loads: values.loads === undefined ? loads : values.loads.split(',').map(loadNamed),
    brokers: brokers === undefined ? brokerKinds : brokers.split(',').map(brokerNamed),
    profileFolder: values.profile && resolve(values.profile),
  };
}

/** A fresh broker for each run, so that none measures what another left behind. */
async function measure(
  kind: BrokerKind,
  load: Load,
  port: number,
  measureMs: number,
  profile?: string,
): Promise<LoadResult> {
  const broker = await kind.start({ core: BROKER_CORE, port, profile });
  try {
    const args = [
      ['-c', String(LOAD_CORE), process.execPath, join(import.meta.dirname, 'load.ts')],
      ['--load', load.name, '--port', String(port), '--pid', String(broker.pid)],
      ['--measure-ms', String(measureMs)],
    ];
    const { stdout } = await execute('taskset', args.flat(), { timeout: LOAD_TIMEOUT_MS });
    return JSON.parse(stdout) as LoadResult;
  } finally {
    await broker.stop();
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function whatIsThere(kinds: readonly BrokerKind[]): BrokerKind[] {
  return kinds.filter((kind) => {
    const missing = kind.missing();
    if (missing !== undefined) say(`${kind.name} is left out: ${missing}.`);
    return missing === undefined;
  });
}

async function compare(chosen: Options): Promise<void> {
  const brokers = whatIsThere(chosen.brokers);
  const machine = describeMachine(measureDisk(workFolder));
  say(machine);
  const measured = new Measurements();
  let port = FIRST_PORT;
  for (let round = 1; round <= chosen.rounds; round += 1) {
    for (const load of chosen.loads) {
      for (const kind of brokers) {
        if (kind.once === true && round > 1) continue;
        // Two ports each, never the same twice: the last one may still be in TIME_WAIT.
        port += 2;
        const name = `round ${round} ${load.name} ${kind.name}`;
        try {
          const result = await measure(kind, load, port, chosen.measureMs);
          measured.add(load, kind, result);
          say(`${name}: ${summary(result)}`);
        } catch (error) {
          const why = error instanceof Error ? error.message.trim() : String(error);
          measured.addFailure(load, kind, why);
          say(`${name}: ${why}`);
        }
      }
    }
  }
  process.stdout.write(`${report(machine, chosen.loads, brokers, measured)}\n`);
}

async function profile({ loads: chosen, measureMs, rounds }: Options, to: string): Promise<void> {
  mkdirSync(to, { recursive: true });
  const kind = brokerNamed('Cistern');
  let port = FIRST_PORT;
  for (let round = 1; round <= rounds; round += 1) {
    for (const load of chosen) {
      port += 2;
      const file = join(to, `${load.name}${round === 1 ? '' : `-${round}`}.cpuprofile`);
      const result = await measure(kind, load, port, measureMs, file);
      const top = topFunctions(file, result.fromNs, result.toNs);
      process.stdout.write(`${load.name}: ${summary(result)}, ${file}\n${top}\n\n`);
    }
  }
}

if (os.availableParallelism() < 2) throw new Error('The bench needs two cores.');
const chosen = options();
if (chosen.profileFolder === undefined) await compare(chosen);
else await profile(chosen, chosen.profileFolder);
