/** Units of a size, in bytes: binary ones for memory and flash, decimal ones as makers of cards use them. */
const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['kB', 1e3],
  ['KB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['TB', 1e12],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
]);

const DURATION_UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
  ['y', 31_557_600_000],
]);

/** What a rate may be a rate of. */
export type RateUnit = 'bytes' | 'messages' | 'connections';

const PERIODS_MS: ReadonlyMap<string, number> = new Map([
  ['s', 1000],
  ['m', 60_000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['day', 86_400_000],
  ['d', 86_400_000],
]);

const QUANTITY = /^([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)$/;

/** Bytes of a text such as `256MiB` or `1.5GB`; undefined where it is not a size. A bare number is not. */
export function parseSize(text: string): number | undefined {
  return scale(text, SIZE_UNITS);
}

/** Milliseconds of a text such as `500ms` or `7d`; undefined where it is not a duration. */
export function parseDuration(text: string): number | undefined {
  return scale(text, DURATION_UNITS);
}

/** Per second, of a text such as `64KiB/s`, `500msg/s`, `200/s` or `4GiB/day`. */
export function parseRate(text: string, unit: RateUnit): number | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const periodMs = PERIODS_MS.get(text.slice(slash + 1).trim());
  const amount = parseAmount(text.slice(0, slash).trim(), unit);
  if (periodMs === undefined || amount === undefined) return undefined;
  return (amount * 1000) / periodMs;
}

function parseAmount(text: string, unit: RateUnit): number | undefined {
  if (unit === 'bytes') return parseSize(text);
  const match = QUANTITY.exec(text);
  if (!match) return undefined;
  const names = unit === 'messages' ? ['', 'msg', 'messages'] : ['', 'conn', 'connections'];
  return names.includes(match[2] ?? '') ? Number(match[1]) : undefined;
}

function scale(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const match = QUANTITY.exec(text.trim());
  const factor = match && units.get(match[2] ?? '');
  if (!match || factor === undefined || factor === null) return undefined;
  return Math.round(Number(match[1]) * factor);
}

/** The shortest exact text of a size: `formatSize(2 ** 28)` is `256MiB`. Parses back to `bytes`. */
export function formatSize(bytes: number): string {
  let shortest = `${bytes}B`;
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB', 'TB', 'GB', 'MB', 'kB']) {
    const factor = SIZE_UNITS.get(unit) ?? 1;
    const text = `${bytes / factor}${unit}`;
    const isExact = bytes >= factor && bytes % factor === 0;
    if (isExact && digits(text) < digits(shortest)) shortest = text;
  }
  return shortest;
}

function digits(text: string): number {
  return text.replaceAll(/\D/g, '').length;
}

/** A size for people, rounded to three digits: `1.43 GiB`. */
export function describeSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const factor = SIZE_UNITS.get(unit) ?? 1;
    if (bytes >= factor) return `${Number((bytes / factor).toPrecision(3))} ${unit}`;
  }
  return `${Math.round(bytes)} B`;
}

/** The shortest exact text of a duration: `formatDuration(60_000)` is `1m`. Parses back to `ms`. */
export function formatDuration(ms: number): string {
  for (const unit of ['y', 'd', 'h', 'm', 's']) {
    const factor = DURATION_UNITS.get(unit) ?? 1;
    if (ms >= factor && ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return `${ms}ms`;
}

/** A rate in its shortest exact text: a second, minute or hour where that is a whole number, else a day. */
export function formatRate(perSecond: number, unit: RateUnit): string {
  const amounts = ['s', 'min', 'h', 'day'].map((period) => {
    const amount = (perSecond * (PERIODS_MS.get(period) ?? 1000)) / 1000;
    return { period, amount: Math.round(amount), error: Math.abs(amount - Math.round(amount)) };
  });
  // 7 a minute times 60 is not quite 7 again.
  const whole = amounts.find(({ amount, error }) => error <= amount * 1e-12);
  const { amount, period } = whole ?? amounts.at(-1) ?? { amount: 0, period: 'day' };
  const suffix = unit === 'messages' ? 'msg' : '';
  const text = unit === 'bytes' ? formatSize(amount) : `${amount}${suffix}`;
  return `${text}/${period}`;
}
