const DAY_MS = 86_400_000;
/** Days of 400 years of the Gregorian calendar, after which it repeats. */
const ERA_DAYS = 146_097;

/**
 * `2026-11-22T12:00:00.000Z` of milliseconds since 1970 (any year from 0000 to 9999). Here so that
 * what formats a time need not be able to read the clock.
 */
export function formatIsoTime(wallMs: number): string {
  const days = Math.floor(wallMs / DAY_MS);
  const { year, month, day } = civilDate(days);
  const inDayMs = wallMs - days * DAY_MS;
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const date = `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`;
  const time = [inDayMs / 3_600_000, (inDayMs / 60_000) % 60, (inDayMs / 1000) % 60].map(two);
  return `${date}T${time.join(':')}.${String(Math.floor(inDayMs % 1000)).padStart(3, '0')}Z`;
}

/** Years are counted from March here, so that the day a leap year adds is the last of its year. */
function civilDate(daysSince1970: number): { year: number; month: number; day: number } {
  const sinceEra = daysSince1970 + 719_468;
  const era = Math.floor(sinceEra / ERA_DAYS);
  const dayOfEra = sinceEra - era * ERA_DAYS;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return { year, month, day };
}
