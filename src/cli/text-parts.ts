import type { WearStatus } from '../admin/status.ts';
import { describeSize } from '../config/units.ts';

const PAGE_COLUMNS = 80;
const WHAT_COLUMNS = 12;

/** A line of a page for people: what it is about, and what there is to say, broken at 80 columns. */
export function row(what: string, text: string): string {
  const lines: string[] = [];
  let line = what.padEnd(WHAT_COLUMNS - 1);
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > PAGE_COLUMNS) {
      lines.push(line);
      line = ' '.repeat(WHAT_COLUMNS - 1);
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
}

/** With thin groups of three: 1,234,567. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** The two largest units: `3 d 4 h`, `61 s` as `1 min 1 s`. */
export function duration(seconds: number): string {
  const units = [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ] as const;
  let rest = Math.round(seconds);
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0) parts.push(`${amount} ${unit}`);
  }
  return parts.length === 0 ? '0 s' : parts.slice(0, 2).join(' ');
}

/** To a tenth; what is there is never 0, and what is less than all is never 100. */
export function percent(part: number, whole: number): string {
  if (part === 0 || whole === 0) return '0 %';
  const share = (100 * part) / whole;
  if (share < 0.05) return '< 0.1 %';
  if (share > 99.9 && share < 100) return '> 99.9 %';
  return `${Math.round(10 * share) / 10} %`;
}

/** Of what flash was given, what clients had sent, and how many times that is; none, before the first. */
export function payload({ payloadBytes, amplification }: WearStatus): string {
  const times = payloadBytes === 0 ? '' : ` (${amplification} times)`;
  return `${describeSize(payloadBytes)} of payload${times}`;
}

/** Nobody plans by tenths of a century, and nobody knows what 0.04 years are. */
export function inYears(years: number): string {
  if (years > 100) return 'more than 100 years';
  if (years >= 1) return `${Number(years.toFixed(1))} years`;
  const days = Math.floor(years * 365.25);
  return days < 1 ? 'less than a day' : plural(days, 'day');
}
