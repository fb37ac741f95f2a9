import { parseArgs } from 'node:util';
import { CisternError } from '../base/errors.ts';
import { nearest } from '../config/issue.ts';

export interface OptionSpec {
  /** What stands for the value in the help; absent for a switch. */
  readonly value?: string;
  /** One letter. */
  readonly short?: string;
  readonly help: string;
  /**
   * Arguments the option takes beyond the first, by that first one: `-D publish user-property NAME
   * VALUE` takes four in all. The value is then all of them, joined by U+0000.
   */
  readonly more?: (rest: readonly string[]) => number;
}

export interface CommandSpec {
  /** Such as `pub`. */
  readonly name: string;
  readonly summary: string;
  /** What follows the name in the usage line. */
  readonly usage: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** How many arguments it takes beside its options. */
  readonly positionals: { readonly min: number; readonly max: number };
  /** Paragraphs of the help, below the options. */
  readonly notes?: readonly string[];
  readonly examples: readonly { readonly command: string; readonly why: string }[];
}

/** A command line that was understood. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #spec: CommandSpec;
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(
    spec: CommandSpec,
    values: ReadonlyMap<string, readonly string[]>,
    positionals: readonly string[],
  ) {
    this.#spec = spec;
    this.#values = values;
    this.positionals = positionals;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The value; the last one where the option is there more than once. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  /** All values, in order. */
  texts(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** A number in `[min, max]`, whole unless `fraction` is set. */
  number(
    name: string,
    range: { min: number; max: number; fraction?: boolean },
  ): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    const fits = range.fraction === true || Number.isInteger(value);
    if (fits && value >= range.min && value <= range.max) return value;
    throw this.usageError(
      `${this.#shown(name)} takes a number from ${range.min} to ${range.max}, not "${text}"`,
    );
  }

  /** One of `choices`, by its name. */
  choice<T>(name: string, choices: ReadonlyMap<string, T>): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const found = choices.get(text);
    if (found !== undefined) return found;
    const list = [...choices.keys()].join(', ');
    throw this.usageError(`${this.#shown(name)} takes one of ${list}, not "${text}"`);
  }

  usageError(message: string): CisternError {
    return usageError(this.#spec, message);
  }

  #shown(name: string): string {
    const short = this.#spec.options[name]?.short;
    return short === undefined ? `--${name}` : `-${short}`;
  }
}

/**
 * Reads a command line by its table. Values may begin with a dash, as in `-m -5`: a temperature is
 * often below zero. Fails with USAGE.
 */
export function parseArguments(spec: CommandSpec, argv: readonly string[]): Arguments {
  const values = new Map<string, string[]>();
  const { rest, taken } = takeLongOptions(spec, argv);
  for (const { name, value } of taken) values.set(name, [...(values.get(name) ?? []), value]);
  const { tokens } = parseArgs({
    args: rest,
    // Strict parsing would refuse a value that begins with a dash; the checks below are the rest of it.
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      Object.entries(spec.options).map(([name, option]) => [
        name,
        {
          type: option.value === undefined ? ('boolean' as const) : ('string' as const),
          ...(option.short === undefined ? {} : { short: option.short }),
        },
      ]),
    ),
  });
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = Object.hasOwn(spec.options, token.name) ? spec.options[token.name] : undefined;
    if (option === undefined) throw unknownOption(spec, token.rawName);
    if (option.value === undefined && token.value !== undefined) {
      throw usageError(spec, `${token.rawName} takes no value`);
    }
    if (option.value !== undefined && token.value === undefined) {
      throw usageError(spec, `${token.rawName} needs a value (${option.value})`);
    }
    values.set(token.name, [...(values.get(token.name) ?? []), token.value ?? '']);
  }
  checkPositionals(spec, positionals);
  return new Arguments(spec, values, positionals);
}

/** Takes out the options with more than one value, which `parseArgs` does not know. */
function takeLongOptions(
  spec: CommandSpec,
  argv: readonly string[],
): { rest: string[]; taken: { name: string; value: string }[] } {
  const named = new Map<string, { name: string; option: OptionSpec }>();
  for (const [name, option] of Object.entries(spec.options)) {
    named.set(`--${name}`, { name, option });
    if (option.short !== undefined) named.set(`-${option.short}`, { name, option });
  }
  const rest: string[] = [];
  const taken: { name: string; value: string }[] = [];
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? '';
    if (argument === '--') return { rest: [...rest, ...argv.slice(at)], taken };
    const found = named.get(argument);
    if (found?.option.more) {
      const following = argv.slice(at + 1);
      const count = 1 + found.option.more(following);
      if (following.length < count) {
        throw usageError(spec, `${argument} needs ${found.option.value ?? 'a value'}`);
      }
      taken.push({ name: found.name, value: following.slice(0, count).join('\0') });
      at += count;
      continue;
    }
    rest.push(argument);
    // The value of another option is no option, even where it looks like one.
    const next = argv[at + 1];
    if (found?.option.value !== undefined && next !== undefined) {
      rest.push(next);
      at++;
    }
  }
  return { rest, taken };
}

function checkPositionals(spec: CommandSpec, positionals: readonly string[]): void {
  const { min, max } = spec.positionals;
  const extra = positionals[max];
  if (extra !== undefined) throw usageError(spec, `"${extra}" is one argument too many`);
  if (positionals.length < min) throw usageError(spec, 'an argument is missing');
}

function unknownOption(spec: CommandSpec, rawName: string): CisternError {
  const names = Object.keys(spec.options).map((name) => `--${name}`);
  const near = rawName.startsWith('--') ? nearest(rawName, names) : undefined;
  const hint = near === undefined ? '' : `. Did you mean ${near}?`;
  return usageError(spec, `there is no option ${rawName}${hint}`);
}

function usageError(spec: CommandSpec, message: string): CisternError {
  return new CisternError('USAGE', `cistern ${spec.name}: ${message}`, {
    remedy: `Usage: cistern ${spec.name} ${spec.usage}`,
  });
}

/** The help of one command, for a terminal of 80 columns or more. */
export function formatHelp(spec: CommandSpec): string {
  const options = Object.entries(spec.options).map(([name, { short, value, help }]) => {
    const shortText = short === undefined ? '    ' : `-${short}, `;
    const valueText = value === undefined ? '' : ` ${value}`;
    return { left: `${shortText}--${name}${valueText}`, help };
  });
  const width = Math.min(32, Math.max(0, ...options.map(({ left }) => left.length)));
  const lines = [
    `cistern ${spec.name}: ${spec.summary}`,
    '',
    `Usage: cistern ${spec.name} ${spec.usage}`,
    ...(options.length === 0 ? [] : ['', 'Options:']),
    ...options.map(({ left, help }) =>
      left.length <= width
        ? `  ${left.padEnd(width)}  ${help}`
        : `  ${left}\n  ${' '.repeat(width)}  ${help}`,
    ),
    ...(spec.notes ?? []).flatMap((note) => ['', note]),
    '',
    'Examples:',
    ...spec.examples.flatMap(({ command, why }) => [`  # ${why}`, `  ${command}`]),
  ];
  return `${lines.join('\n')}\n`;
}
