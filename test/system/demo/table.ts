import type { LedgerEntry } from '../../support/ledger.ts';
import { firsts, type Reckoning } from '../../support/reckoning.ts';

/** A stretch of the script, by the clock of the ledgers. */
export interface Phase {
  readonly title: string;
  readonly startMs: number;
  readonly endMs: number;
}

const MOST_NAMED = 10;

/** What became of the readings, a line each, and what the words mean. */
export function formatReckoning(reckoning: Reckoning): string[] {
  const { lost, outOfOrder, unknown } = reckoning;
  return [
    line(
      'published',
      reckoning.published,
      `readings tried at least once; ${number(reckoning.repeated)} were sent again after a reconnect`,
    ),
    line('acknowledged', reckoning.acknowledged, 'PUBACK received by the device'),
    line('arrived upstream', reckoning.arrived, 'received by the independent subscriber'),
    line('lost', lost.length, 'acknowledged and never arrived: must be 0'),
    line(
      'duplicated',
      reckoning.duplicated,
      'arrived once more: at least once is what QoS 1 promises',
    ),
    line(
      'out of order',
      outOfOrder.length,
      "a device's first arrivals, lower number after higher: must be 0",
    ),
    ...named('lost', lost),
    ...named('out of order', outOfOrder),
    ...(unknown.length > 0 ? named('arrived, never published', unknown) : []),
  ];
}

/** Per phase: when, how much, and what was acknowledged but not upstream at its end. */
export function formatPhases(
  phases: readonly Phase[],
  publisher: readonly LedgerEntry[],
  upstream: readonly LedgerEntry[],
): string[] {
  const tried = times(publisher, 'tried');
  const acknowledged = times(publisher, 'acknowledged');
  const arrived = times(upstream, 'arrived');
  const originMs = phases[0]?.startMs ?? 0;
  const width = Math.max(...phases.map(({ title }) => title.length));
  const heads = ['published', 'acknowledged', 'arrived', 'waiting at its end'];
  const rows = phases.map(({ title, startMs, endMs }) => {
    const within = (list: readonly number[]): number => until(list, endMs) - until(list, startMs);
    const waiting = until(acknowledged, endMs) - until(arrived, endMs);
    const counts = [within(tried), within(acknowledged), within(arrived), Math.max(0, waiting)];
    const cells = counts.map((count, index) => number(count).padStart(heads[index]?.length ?? 0));
    const seconds = ((endMs - startMs) / 1000).toFixed(1).padStart(5);
    return `  ${clock(startMs - originMs)}  ${seconds} s  ${title.padEnd(width)}  ${cells.join('  ')}`;
  });
  return [`  ${' '.repeat(18)}${'phase'.padEnd(width)}  ${heads.join('  ')}`, ...rows];
}

/** `mm:ss.d` */
export function clock(elapsedMs: number): string {
  const minutes = Math.floor(elapsedMs / 60_000);
  const seconds = (elapsedMs % 60_000) / 1000;
  return `${String(minutes).padStart(2, '0')}:${seconds.toFixed(1).padStart(4, '0')}`;
}

export function number(value: number): string {
  return value.toLocaleString('en-US');
}

function line(word: string, value: number, meaning: string): string {
  return `  ${word.padEnd(17)}${number(value).padStart(9)}   ${meaning}`;
}

function named(what: string, keys: readonly string[]): string[] {
  if (keys.length === 0) return [];
  const more = keys.length > MOST_NAMED ? ` and ${keys.length - MOST_NAMED} more` : '';
  return [`  ${what}: ${keys.slice(0, MOST_NAMED).join(', ')}${more}`];
}

/** When each reading met the event first, in ascending order. */
function times(entries: readonly LedgerEntry[], event: LedgerEntry['event']): number[] {
  return [...firsts(entries, event).values()].map(({ atMs }) => atMs).toSorted((a, b) => a - b);
}

/** How many of the ascending times lie before `atMs`. */
function until(ascending: readonly number[], atMs: number): number {
  const index = ascending.findIndex((time) => time >= atMs);
  return index === -1 ? ascending.length : index;
}
