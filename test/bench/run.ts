/**
 * Cistern beside Mosquitto on this machine, in one run: broker on one core, load on another, rounds
 * in turn, medians and ratios as a table.
 *
 *   npm run bench [-- --rounds 3] [--measure-ms 3000] [--loads qos1-ingest,1to1-qos1] [--brokers Cistern,Mosquitto]
 */
import { execFile } from 'node:child_process';
import os from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { type BrokerKind, brokerKinds } from './brokers.ts';
import { type Load, loadNamed, loads } from './load/loads.ts';
import type { LoadResult } from './load.ts';

const execute = promisify(execFile);
const BROKER_CORE = 0;
const LOAD_CORE = 1;
/** Of a core, taken by neither broker nor load: the kernel's threads and timer ticks need some. */
const QUIET_CPU = 0.15;
const FIRST_PORT = 23_400;

interface Options {
  readonly rounds: number;
  readonly measureMs: number;
  readonly loads: readonly Load[];
  readonly brokers: readonly BrokerKind[];
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      'measure-ms': { type: 'string', default: '3000' },
      loads: { type: 'string' },
      brokers: { type: 'string' },
    },
  });
  const wanted = values.brokers?.split(',');
  return {
    rounds: Number(values.rounds),
    measureMs: Number(values['measure-ms']),
    loads: values.loads === undefined ? loads : values.loads.split(',').map(loadNamed),
    brokers: brokerKinds.filter(({ name }) => wanted === undefined || wanted.includes(name)),
  };
}

/** A fresh broker for each run, so that none measures what another left behind. */
async function measure(
  kind: BrokerKind,
  load: Load,
  port: number,
  measureMs: number,
): Promise<LoadResult> {
  const broker = await kind.start(BROKER_CORE, port);
  try {
    const args = [
      ['-c', String(LOAD_CORE), process.execPath, join(import.meta.dirname, 'load.ts')],
      ['--load', load.name, '--port', String(port), '--pid', String(broker.pid)],
      ['--measure-ms', String(measureMs)],
    ];
    const { stdout } = await execute('taskset', args.flat());
    return JSON.parse(stdout) as LoadResult;
  } finally {
    await broker.stop();
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function rate(perSecond: number): string {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(2)} M`;
  return perSecond >= 1000 ? `${(perSecond / 1000).toFixed(0)} k` : perSecond.toFixed(0);
}

function cell(results: readonly LoadResult[]): string {
  const rates = results.map((one) => one.perSecond);
  const cpu = (values: readonly number[]) => `${Math.round(median(values) * 100)} %`;
  const cores = `${cpu(results.map((one) => one.brokerCpu))}, ${cpu(results.map((one) => one.loadCpu))}`;
  const span = `${rate(Math.min(...rates))} to ${rate(Math.max(...rates))}`;
  return `**${rate(median(rates))}** (${span}; ${cores})`;
}

/** What a broker does for a second of processor time: holds on a busy machine too. */
function perCpuSecond(result: LoadResult): number {
  return result.perSecond / result.brokerCpu;
}

function ratio(
  ours: readonly LoadResult[],
  theirs: readonly LoadResult[],
  figure: (result: LoadResult) => number,
): string {
  if (ours.length === 0 || theirs.length === 0) return '';
  return `${(median(ours.map(figure)) / median(theirs.map(figure))).toFixed(1)} ×`;
}

/** What did not go as a user would want: messages that never arrived, or in another order. */
function complaints(name: string, results: readonly LoadResult[]): string[] {
  const lost = results.reduce((sum, one) => sum + one.expected - one.arrived, 0);
  const expected = results.reduce((sum, one) => sum + one.expected, 0);
  const misordered = results.reduce((sum, one) => sum + one.misordered, 0);
  const said: string[] = [];
  if (lost !== 0) said.push(`${name}: ${lost} of ${expected} messages did not arrive`);
  if (misordered !== 0) said.push(`${name}: ${misordered} did not follow the one before`);
  const others = Math.max(...results.map((one) => one.othersCpu));
  if (others > QUIET_CPU) {
    said.push(
      `${name}: not a quiet machine, others took up to ${Math.round(others * 100)} % of a core`,
    );
  }
  return said;
}

async function main(): Promise<void> {
  if (os.availableParallelism() < 2) throw new Error('The bench needs two cores.');
  const { rounds, measureMs, ...chosen } = options();
  const brokers: BrokerKind[] = [];
  for (const kind of chosen.brokers) {
    const missing = kind.missing();
    if (missing === undefined) brokers.push(kind);
    else process.stderr.write(`${kind.name} is left out: ${missing}.\n`);
  }
  const results = new Map<string, LoadResult[]>();
  let port = FIRST_PORT;
  for (let round = 1; round <= rounds; round += 1) {
    for (const load of chosen.loads) {
      for (const kind of brokers) {
        // Two ports each, never the same twice: the last one may still be in TIME_WAIT.
        port += 2;
        const result = await measure(kind, load, port, measureMs);
        const key = `${load.name} ${kind.name}`;
        results.set(key, [...(results.get(key) ?? []), result]);
        process.stderr.write(`round ${round} ${key}: ${rate(result.perSecond)}/s\n`);
      }
    }
  }
  report(chosen.loads, brokers, results);
}

function report(
  measured: readonly Load[],
  brokers: readonly BrokerKind[],
  results: ReadonlyMap<string, readonly LoadResult[]>,
): void {
  const of = (load: Load, name: string) => results.get(`${load.name} ${name}`) ?? [];
  const lines = [
    'Messages or deliveries a second: median (lowest to highest; CPU of the broker, of the load).',
    'The ceiling is what the load reaches against a broker that only answers.',
    '',
    `| | ${brokers.map((kind) => kind.name).join(' | ')} | Cistern ÷ Mosquitto | per CPU second |`,
    `|---|${brokers.map(() => '---|').join('')}---|---|`,
  ];
  const said: string[] = [];
  for (const load of measured) {
    const cells = brokers.map((kind) => cell(of(load, kind.name)));
    cells.push(ratio(of(load, 'Cistern'), of(load, 'Mosquitto'), (one) => one.perSecond));
    cells.push(ratio(of(load, 'Cistern'), of(load, 'Mosquitto'), perCpuSecond));
    lines.push(`| ${load.title} | ${cells.join(' | ')} |`);
    for (const kind of brokers) {
      said.push(...complaints(`${load.title}, ${kind.name}`, of(load, kind.name)));
    }
  }
  process.stdout.write(`${[...lines, '', ...said].join('\n')}\n`);
}

await main();
