import { parseRate, parseSize, type RateUnit } from './units.ts';

/** As data sheets and people write units; a single `M`, of a duration, may be anything. */
const SIZE_SLIPS: readonly (readonly [RegExp, string])[] = [
  [/^([kmgt])i?b?w?$/i, '$1'],
  [/^([kmgt])i?bytes?( written)?$/i, '$1'],
  [/^([kmgt])(ilo|ega|iga|era)bytes?$/i, '$1'],
  [/^b(ytes?)?$/i, ''],
];
const DURATION_SLIPS: readonly (readonly [RegExp, string])[] = [
  [/^(ms|msecs?|milliseconds?)$/i, 'ms'],
  [/^(s|secs?|seconds?)$/i, 's'],
  [/^(mins?|minutes?)$/i, 'm'],
  [/^(h|hrs?|hours?)$/i, 'h'],
  [/^(d|days?)$/i, 'd'],
  [/^(w|wks?|weeks?)$/i, 'w'],
  [/^(y|a|yrs?|years?)$/i, 'y'],
];
const QUANTITY = /^([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z][A-Za-z ]*)$/;

/** The size that was most likely meant by `100TBW`, `64mb` or `30 GBytes`, as text that is one. */
export function meantSize(text: string): string | undefined {
  const [, amount = '', unit = ''] = QUANTITY.exec(text.trim()) ?? [];
  const [slip, prefix] = SIZE_SLIPS.find(([pattern]) => pattern.test(unit)) ?? [];
  if (slip === undefined || prefix === undefined) return undefined;
  const letter = unit.replace(slip, prefix).toUpperCase();
  const meant = `${amount}${letter}${/^[kmgt]i(b|$)/i.test(unit) ? 'i' : ''}B`;
  return parseSize(meant) === undefined ? undefined : meant;
}

/** The duration that was most likely meant by `5 years` or `90 min`, as text that is one. */
export function meantDuration(text: string): string | undefined {
  const [, amount = '', unit = ''] = QUANTITY.exec(text.trim()) ?? [];
  if (/^(mo|months?)$/i.test(unit)) {
    const months = Number(amount);
    return months % 12 === 0 ? `${months / 12}y` : `${Math.round(months * 30.4375)}d`;
  }
  const [, meant] = DURATION_SLIPS.find(([pattern]) => pattern.test(unit)) ?? [];
  return meant === undefined ? undefined : `${amount}${meant}`;
}

/** The rate that was most likely meant by `4 GB per day` or `4GiB`, a `period` where none is named. */
export function meantRate(text: string, unit: RateUnit, period: string): string | undefined {
  const [amount = '', word = period] = text.split(/\/|\bper\b/i).map((part) => part.trim());
  const size = unit === 'bytes' && parseSize(amount) === undefined ? meantSize(amount) : amount;
  const each = meantDuration(`1 ${word}`)?.slice(1).replace(/^d$/, 'day') ?? word;
  const meant = `${size?.replaceAll(' ', '') ?? amount}/${each}`;
  return parseRate(meant, unit) === undefined ? undefined : meant;
}
