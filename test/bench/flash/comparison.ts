import type { PayloadKind } from './telemetry.ts';

/** One store, one payload, one size of commit. */
export interface Measured {
  readonly store: string;
  readonly payload: PayloadKind;
  /** Messages handed over at once. */
  readonly batch: number;
  readonly payloadBytes: number;
  readonly deviceBytes: number;
  readonly flushes: number;
  readonly calls: number;
  readonly commits: number;
  readonly seconds: number;
}

export interface Aim {
  readonly text: string;
  readonly holds: boolean;
}

/** Name of the store that the aims are about. */
const OURS = 'Cistern';
const JSON_BATCH = 100;
const MAX_JSON_RATIO = 0.5;
const MAX_RANDOM_RATIO = 1.05;
const FULL_COMMIT_BYTES = 8192;
const PAGE_BYTES = 4096;

export function ratioOf({ deviceBytes, payloadBytes }: Measured): number {
  return deviceBytes / payloadBytes;
}

/** A Markdown table: a row for each payload and size of commit, a column for each store. */
export function ratioTable(runs: readonly Measured[]): string {
  const stores = [...new Set(runs.map(({ store }) => store))];
  const lines = [
    `| payload | messages a commit | ${stores.join(' | ')} |`,
    `|---|---|${stores.map(() => '---').join('|')}|`,
  ];
  for (const rows of rowsOf(runs)) {
    const [first] = rows;
    if (first === undefined) continue;
    const cells = stores.map((store) => {
      const run = rows.find((one) => one.store === store);
      return run === undefined ? '' : threeDigits(ratioOf(run));
    });
    const bytes = (first.payloadBytes / (first.calls * first.batch)).toFixed(0);
    lines.push(`| ${first.payload}, ${bytes} B | ${first.batch} | ${cells.join(' | ')} |`);
  }
  return `${lines.join('\n')}\n`;
}

/** What was aimed at, as far as these runs can tell. */
export function aims(runs: readonly Measured[]): Aim[] {
  const ours = runs.filter(({ store }) => store === OURS);
  const json = ours.filter(({ payload, batch }) => payload === 'json' && batch === JSON_BATCH);
  const random = ours.filter(
    (run) => run.payload === 'random' && run.payloadBytes / run.calls >= FULL_COMMIT_BYTES,
  );
  return [
    ...json.map((run) => ({
      text: `JSON at ${JSON_BATCH} a commit below ${MAX_JSON_RATIO}: ${threeDigits(ratioOf(run))}`,
      holds: ratioOf(run) < MAX_JSON_RATIO,
    })),
    ...random.map((run) => ({
      text: `random at ${run.batch} a commit below ${MAX_RANDOM_RATIO}: ${threeDigits(ratioOf(run))} (the payload's pages alone: ${threeDigits(wholePagesRatio(run))})`,
      holds: ratioOf(run) < MAX_RANDOM_RATIO,
    })),
    ...rowsOf(runs).flatMap(comparisonOf),
  ];
}

/** What a store would write that puts nothing but payload into whole pages. */
function wholePagesRatio({ payloadBytes, calls }: Measured): number {
  const bytes = payloadBytes / calls;
  return (Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES) / bytes;
}

function comparisonOf(row: readonly Measured[]): Aim[] {
  const ours = row.find(({ store }) => store === OURS);
  const others = row.filter(({ store }) => store !== OURS);
  if (ours === undefined || others.length === 0) return [];
  const best = others.reduce((least, run) => (ratioOf(run) < ratioOf(least) ? run : least));
  const times = ratioOf(best) / ratioOf(ours);
  return [
    {
      text: `${ours.payload} at ${ours.batch}: ${best.store}, the best of the others, writes ${times.toFixed(1)} times as much`,
      holds: times >= 1,
    },
  ];
}

function rowsOf(runs: readonly Measured[]): Measured[][] {
  return [...Map.groupBy(runs, ({ payload, batch }) => `${payload} ${batch}`).values()];
}

function threeDigits(ratio: number): string {
  return ratio >= 100 ? ratio.toFixed(0) : ratio.toPrecision(3);
}
