import { TomlDate } from 'smol-toml';
import { splitAddress } from '../base/address.ts';
import { nearest } from './issue.ts';
import { formatDuration, formatSize, parseDuration, parseRate, parseSize } from './units.ts';
import type { RateUnit } from './units.ts';
import { meantDuration, meantRate, meantSize } from './unit-slips.ts';
import type { ActiveHours, Secret, StreamKey } from './types.ts';
import { filterProblem } from './topic-filter.ts';

/** What came of a value; `at` is the index of the element at fault, in a list. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string; readonly remedy: string; readonly at?: number };

/** Reads one TOML value. Pure: it neither knows its key nor reports anything. */
export type Parser<T> = (value: unknown) => Parsed<T>;

export function good<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

export function bad<T>(problem: string, remedy: string): Parsed<T> {
  return { ok: false, problem, remedy };
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

export type Table = Readonly<Record<string, unknown>>;

export function isTable(value: unknown): value is Table {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof TomlDate)
  );
}

/**
 * The value as the user wrote it, cut where it is long. What is in tables and lists is not shown: it
 * may be a password, and errors go to the journal.
 */
export function show(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (isTable(value)) return 'a table';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

export const anyBoolean: Parser<boolean> = (value) =>
  typeof value === 'boolean'
    ? good(value)
    : bad(`expected true or false, found ${show(value)}`, 'Write true or false, without quotes.');

export const anyText: Parser<string> = (value) =>
  typeof value === 'string' && value !== ''
    ? good(value)
    : bad(`expected text, found ${show(value)}`, 'Write it in quotes, and not empty.');

/** The path in the address of a WebSocket, as a client sends it. */
export const webPath: Parser<string> = (value) =>
  typeof value === 'string' && /^\/[\w\-.~!$&'()*+,;=:@%/]*$/.test(value)
    ? good(value)
    : bad(`${show(value)} is not a path`, 'Write it as in an address: path = "/mqtt".');

/** Where the data is kept. Only a shell knows what `~` means, and none has read this. */
export const dataPath: Parser<string> = (value) => {
  const path = anyText(value);
  if (!path.ok || !/^~(\/|$)/.test(path.value)) return path;
  return bad(`"~" in ${show(value)} is not a home directory here`, 'Write the path in full.');
};

/** Names that end up in topics, file names and identifiers of other systems. */
export const plainName: Parser<string> = (value) =>
  typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value)
    ? good(value)
    : bad(
        `expected a name, found ${show(value)}`,
        'Use 1 to 64 letters, digits, ".", "_" and "-", beginning with a letter or digit.',
      );

export function integer(range: Range): Parser<number> {
  return (value) => {
    if (Number.isInteger(value) && inRange(Number(value), range)) return good(Number(value));
    return Number.isInteger(value)
      ? bad(`${show(value)} is out of range`, `Choose from ${range.min} to ${range.max}.`)
      : bad(
          `expected a whole number, found ${show(value)}`,
          `Write a number from ${range.min} to ${range.max}, without quotes.`,
        );
  };
}

/** A remedy names `offered` alone: the others are known, and refused by a later check. */
export function choice<T extends string | number | boolean>(
  choices: readonly T[],
  offered: readonly T[] = choices,
): Parser<T> {
  return (value) => {
    const found = choices.find((candidate) => candidate === value);
    if (found !== undefined) return good(found);
    const near = typeof value === 'string' ? nearest(value, offered.map(String)) : undefined;
    const list = offered.map((each) => JSON.stringify(each)).join(', ');
    const remedy = offered.length === 1 ? `Write ${list}.` : `Write one of ${list}.`;
    return bad(
      `${show(value)} is not a possible value`,
      near === undefined ? remedy : `Did you mean ${JSON.stringify(near)}? ${remedy}`,
    );
  };
}

export function size(range: Range, example = '"64MiB"'): Parser<number> {
  const unit = { parse: parseSize, format: formatSize, meant: meantSize };
  return quantity('a size', example, unit, range);
}

export function duration(range: Range, example = '"500ms" or "7d"'): Parser<number> {
  const unit = { parse: parseDuration, format: formatDuration, meant: meantDuration };
  return quantity('a duration', example, unit, range);
}

/** Per second. */
export function rate(unit: RateUnit, example: string): Parser<number> {
  const period = /\/(\w+)/.exec(example)?.[1] ?? 's';
  return (value) => {
    const perSecond = typeof value === 'string' ? parseRate(value, unit) : undefined;
    if (perSecond !== undefined && perSecond > 0) return good(perSecond);
    const meant = typeof value === 'string' ? meantRate(value, unit, period) : undefined;
    return bad(
      `expected a rate, found ${show(value)}`,
      `${didYouMean(meant)}Write it with its unit, such as ${example}.`,
    );
  };
}

function didYouMean(meant: string | undefined): string {
  return meant === undefined ? '' : `Did you mean "${meant}"? `;
}

interface Unit {
  readonly parse: (text: string) => number | undefined;
  readonly format: (amount: number) => string;
  /** What was most likely meant by a text that cannot be parsed. */
  readonly meant: (text: string) => string | undefined;
}

function quantity(
  kind: string,
  example: string,
  { parse, format, meant }: Unit,
  range: Range,
): Parser<number> {
  return (value) => {
    const amount = typeof value === 'string' ? parse(value) : undefined;
    if (amount === undefined) {
      const like = didYouMean(typeof value === 'string' ? meant(value) : undefined);
      return bad(
        `expected ${kind}, found ${show(value)}`,
        `${like}Write it in quotes and with its unit, such as ${example}.`,
      );
    }
    if (inRange(amount, range)) return good(amount);
    return bad(
      `${show(value)} is out of range`,
      `Choose from ${format(range.min)} to ${format(range.max)}.`,
    );
  };
}

export function listOf<T>(parse: Parser<T>): Parser<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) {
      return bad(`expected a list, found ${show(value)}`, 'Write it in brackets: ["one", "two"].');
    }
    const items: T[] = [];
    for (const [at, each] of value.entries()) {
      const item = parse(each);
      if (!item.ok) return { ...item, at };
      items.push(item.value);
    }
    return good(items);
  };
}

/** As `listOf`, and an empty list is an error. */
export function listOfSome<T>(parse: Parser<T>, remedy: string): Parser<readonly T[]> {
  return (value) => {
    const list = listOf(parse)(value);
    return list.ok && list.value.length === 0 ? bad('is an empty list', remedy) : list;
  };
}

export const topicFilter: Parser<string> = (value) => {
  const problem = typeof value === 'string' ? filterProblem(value) : 'it is not text';
  return problem === undefined
    ? good(String(value))
    : bad(
        `${show(value)} is not a topic filter: ${problem}`,
        'A filter is like "sensors/+/temperature" or "sensors/#".',
      );
};

/** The host of an IPv6 address in brackets, a zone behind `%`; or a name or IPv4 address. */
const HOST = /^(\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]|[A-Za-z0-9._-]*)$/;

/** `host:port`, an IPv6 host in brackets; `:port` is every address of this machine. */
export const address: Parser<string> = (value) => {
  const parts = typeof value === 'string' ? splitAddress(value) : undefined;
  return parts && isHost(String(value).replace(/:\d+$/, ''))
    ? good(String(value))
    : bad(
        `expected an address, found ${show(value)}`,
        'Write host and port, such as "127.0.0.1:1883", "0.0.0.0:1883" or "[::]:1883".',
      );
};

/** `300.0.0.1` and `[12345::]` are the slips of a hand that nobody could listen on or connect to. */
function isHost(host: string): boolean {
  if (!HOST.test(host)) return false;
  if (host.startsWith('[')) return URL.canParse(`http://${host.replace(/%[^\]]*/, '')}/`);
  const octets = /^[\d.]+$/.test(host) ? host.split('.') : ['0', '0', '0', '0'];
  return octets.length === 4 && octets.every((each) => each !== '' && Number(each) <= 255);
}

/**
 * A URL of one of the schemes, of which a remedy names `offered`. Credentials in it are refused:
 * URLs are printed, secrets are not.
 */
export function url(schemes: readonly string[], offered = schemes): Parser<string> {
  return (value) => {
    const parsed = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
    if (
      parsed === undefined ||
      !schemes.includes(parsed.protocol.slice(0, -1)) ||
      !isHost(parsed.hostname) ||
      parsed.hostname === '' ||
      parsed.port === '0'
    ) {
      const examples = offered.map((scheme) => `${scheme}://host:port`).join(' or ');
      return bad(`expected a URL, found ${redacted(value)}`, `Write ${examples}.`);
    }
    if (parsed.username !== '' || parsed.password !== '') {
      return bad(
        'credentials do not belong in a URL',
        'Take them out and set username and password = "file:PATH" or "env:NAME".',
      );
    }
    if (!['', '/'].includes(parsed.pathname) || parsed.search !== '' || parsed.hash !== '') {
      const rest = `${parsed.pathname}${parsed.search}${parsed.hash}`;
      return bad(
        `${show(rest)} behind the host has no meaning`,
        `Write ${parsed.protocol}//${parsed.host} alone.`,
      );
    }
    return good(String(value));
  };
}

/** A URL that may have a password in it is shown without what stands before the host. */
function redacted(value: unknown): string {
  return show(typeof value === 'string' ? value.replace(/\/\/[^/@]*@/, '//***@') : value);
}

/** `file:PATH`, `env:NAME`, or the secret itself. The value is in no message. */
export const secret: Parser<Secret> = (value) => {
  if (typeof value !== 'string' || value === '') {
    return bad('expected a secret', 'Write it in quotes, as "file:PATH", "env:NAME" or itself.');
  }
  if (value.startsWith('file:')) {
    const path = value.slice(5);
    return path === ''
      ? bad('"file:" names no file', 'Write "file:" and the path of the file.')
      : good({ kind: 'file', path });
  }
  if (value.startsWith('env:')) {
    const name = value.slice(4);
    return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
      ? good({ kind: 'env', name })
      : bad('"env:" names no variable', 'Write "env:" and the name of the variable.');
  }
  return good({ kind: 'literal', value });
};

export const streamKey: Parser<StreamKey> = (value) => {
  if (value === 'topic' || value === 'client') return good({ by: value });
  if (typeof value === 'string' && /^property:./.test(value)) {
    return good({ by: 'property', name: value.slice('property:'.length) });
  }
  return bad(
    `${show(value)} is not a possible value`,
    'Write "topic", "client" or "property:" and the name of a user property.',
  );
};

/** `22:00-06:00`. */
export const activeHours: Parser<ActiveHours> = (value) => {
  const match =
    typeof value === 'string' ? /^(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(value.trim()) : null;
  const [fromHour = 99, fromMinute = 99, toHour = 99, toMinute = 99] =
    match?.slice(1).map(Number) ?? [];
  const from = fromHour * 60 + fromMinute;
  const to = toHour * 60 + toMinute;
  return fromMinute < 60 && toMinute < 60 && from < 1440 && to <= 1440
    ? good({ fromMinute: from, toMinute: to })
    : bad(`expected hours, found ${show(value)}`, 'Write from and to, such as "22:00-06:00".');
};

function inRange(value: number, range: Range): boolean {
  return value >= range.min && value <= range.max;
}
