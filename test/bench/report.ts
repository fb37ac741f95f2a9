import type { BrokerKind } from './brokers.ts';
import type { Load } from './load/loads.ts';
import type { IdleResult, LatencyResult, LoadResult, ThroughputResult } from './load/results.ts';

/** Of a core, taken by neither broker nor load: the kernel's threads and timer ticks need some. */
const QUIET_CPU = 0.15;
const OURS = 'Cistern';
const BYTES_A_KIB = 1024;

/** All that was measured: the results of a load on a broker, a round each. */
export class Measurements {
  readonly #byName = new Map<string, LoadResult[]>();
  readonly #failures: string[] = [];

  add(load: Load, kind: BrokerKind, result: LoadResult): void {
    const key = `${load.name} ${kind.name}`;
    this.#byName.set(key, [...(this.#byName.get(key) ?? []), result]);
  }

  /** A broker that a load brings down is a result too; the rest goes on. */
  addFailure(load: Load, kind: BrokerKind, why: string): void {
    this.#failures.push(`${load.title}, ${kind.name}: ${why}`);
  }

  of(load: Load, kind: BrokerKind): readonly LoadResult[] {
    return this.#byName.get(`${load.name} ${kind.name}`) ?? [];
  }

  get failures(): readonly string[] {
    return this.#failures;
  }
}

/** How the loads of one kind are shown: a table of its own. */
interface Section<Result extends LoadResult> {
  readonly kind: Result['kind'];
  readonly intro: string;
  /** What a cell says of a broker's rounds. */
  readonly cell: (results: readonly Result[]) => string;
  /** What is divided by the other broker's, medians of the rounds. */
  readonly ratios: readonly ((result: Result) => number)[];
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Three digits, as many as the spread of the rounds is worth. */
function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

function rate(perSecond: number): string {
  if (perSecond >= 1e6) return `${digits(perSecond / 1e6)} M`;
  return perSecond >= 1000 ? `${digits(perSecond / 1000)} k` : perSecond.toFixed(0);
}

const percent = (values: readonly number[]) => `${digits(100 * median(values))} %`;
const ms = (values: readonly number[]) => median(values).toFixed(2);

const throughput: Section<ThroughputResult> = {
  kind: 'throughput',
  intro: [
    'Messages or deliveries a second: median (lowest to highest; CPU of the broker, of the load).',
    'Ratios: per second, and per second of the broker’s CPU.',
  ].join(' '),
  cell: (results) => {
    const rates = results.map((one) => one.perSecond);
    const broker = percent(results.map((one) => one.brokerCpu));
    const load = percent(results.map((one) => one.loadCpu));
    const span = `${rate(Math.min(...rates))} to ${rate(Math.max(...rates))}; `;
    return `**${rate(median(rates))}** (${rates.length > 1 ? span : ''}${broker}, ${load})`;
  },
  ratios: [(one) => one.perSecond, (one) => one.perSecond / one.brokerCpu],
};

const latency: Section<LatencyResult> = {
  kind: 'latency',
  intro: [
    'Latency from when a message was due, ms: p50 / p99 / p99.9, medians of the rounds (CPU of the',
    'broker). Ratios: p99, and CPU.',
  ].join(' '),
  cell: (results) => {
    const p50 = ms(results.map((one) => one.p50Ms));
    const p99 = ms(results.map((one) => one.p99Ms));
    const p999 = ms(results.map((one) => one.p999Ms));
    return `${p50} / **${p99}** / ${p999} (${percent(results.map((one) => one.brokerCpu))})`;
  },
  ratios: [(one) => one.p99Ms, (one) => one.brokerCpu],
};

const idle: Section<IdleResult> = {
  kind: 'idle',
  intro: [
    'Connections made a second (CPU of the broker meanwhile); anonymous memory of the broker for each.',
    'Ratios: connections a second, and memory.',
  ].join(' '),
  cell: (results) => {
    const perSecond = rate(median(results.map((one) => one.connectionsPerSecond)));
    const cpu = percent(results.map((one) => one.brokerCpu));
    const kib = median(results.map((one) => one.bytesEach)) / BYTES_A_KIB;
    return `**${perSecond}** (${cpu}); **${digits(kib)} KiB**`;
  },
  ratios: [(one) => one.connectionsPerSecond, (one) => one.bytesEach],
};

/** Cistern's figures divided by another broker's. */
function ratioCell<Result extends LoadResult>(
  section: Section<Result>,
  ours: readonly Result[],
  theirs: readonly Result[],
): string {
  if (ours.length === 0 || theirs.length === 0) return '–';
  const ratios = section.ratios.map(
    (figure) => median(ours.map(figure)) / median(theirs.map(figure)),
  );
  return ratios.map((ratio) => `${digits(ratio)} ×`).join(', ');
}

function table<Result extends LoadResult>(
  section: Section<Result>,
  loads: readonly Load[],
  brokers: readonly BrokerKind[],
  measured: Measurements,
): string[] {
  const shown = loads.filter((load) => load.kind === section.kind);
  if (shown.length === 0) return [];
  const isResult = (one: LoadResult): one is Result => one.kind === section.kind;
  const of = (load: Load, kind: BrokerKind) => measured.of(load, kind).filter(isResult);
  const titles = new Map(
    brokers.map((kind) => [kind, `${kind.product} ${kind.version()}`.trim()] as const),
  );
  const ours = brokers.find((kind) => kind.name === OURS);
  const rivals = brokers.filter((kind) => kind !== ours && kind.once === undefined);
  const compared = ours === undefined ? [] : rivals;
  const header = [...titles.values(), ...compared.map((kind) => `${OURS} ÷ ${titles.get(kind)}`)];
  const rows = shown.map((load) => {
    const cells = brokers.map((kind) => {
      const results = of(load, kind);
      return results.length === 0 ? '–' : section.cell(results);
    });
    const ratios = compared.map((kind) =>
      ratioCell(section, ours === undefined ? [] : of(load, ours), of(load, kind)),
    );
    return `| ${[load.title, ...cells, ...ratios].join(' | ')} |`;
  });
  const head = [`| | ${header.join(' | ')} |`, `|---|${header.map(() => '---|').join('')}`];
  return [section.intro, '', ...head, ...rows, ''];
}

/** What did not go as a user would want: messages that never arrived, or in another order. */
function complaints(name: string, results: readonly LoadResult[]): string[] {
  const lost = results.reduce((sum, one) => sum + one.expected - one.arrived, 0);
  const expected = results.reduce((sum, one) => sum + one.expected, 0);
  const misordered = results.reduce((sum, one) => sum + one.misordered, 0);
  const said: string[] = [];
  if (lost !== 0) said.push(`${name}: ${lost} of ${expected} did not arrive`);
  if (misordered !== 0) said.push(`${name}: ${misordered} did not follow the one before`);
  return said;
}

/** A figure taken while others worked is worth little; only what a second of CPU bought may hold. */
function noise(results: readonly LoadResult[]): string[] {
  const disturbed = results.filter((one) => one.othersCpu > QUIET_CPU);
  if (disturbed.length === 0) return [];
  const most = digits(100 * Math.max(...disturbed.map((one) => one.othersCpu)));
  const runs = `${disturbed.length} of ${results.length} runs`;
  return [`not a quiet machine: others took up to ${most} % of a core, and too much in ${runs}`];
}

/** Markdown, with what went wrong as a list at its end. */
export function report(
  machine: string,
  loads: readonly Load[],
  brokers: readonly BrokerKind[],
  measured: Measurements,
): string {
  const lines = [
    `${machine}.`,
    'The ceiling is what the load reaches, measured once, against a broker that only answers.',
    '',
    ...table(throughput, loads, brokers, measured),
    ...table(latency, loads, brokers, measured),
    ...table(idle, loads, brokers, measured),
  ];
  const said = [...measured.failures];
  const all: LoadResult[] = [];
  for (const load of loads) {
    for (const kind of brokers) {
      const results = measured.of(load, kind);
      all.push(...results);
      said.push(...complaints(`${load.title}, ${kind.name}`, results));
    }
  }
  said.push(...noise(all));
  return [...lines, ...said.map((line) => `- ${line}`)].join('\n');
}

/** One run in a few words, for who waits. */
export function summary(result: LoadResult): string {
  switch (result.kind) {
    case 'throughput':
      return `${rate(result.perSecond)}/s`;
    case 'latency':
      return `p99 ${digits(result.p99Ms)} ms, CPU ${percent([result.brokerCpu])}`;
    case 'idle':
      return `${rate(result.connectionsPerSecond)}/s, ${digits(result.bytesEach / BYTES_A_KIB)} KiB`;
  }
}
