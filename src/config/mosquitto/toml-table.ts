import { formatOrigin, type NoteLog, type Origin, plainLine } from './notes.ts';

export type TomlValue =
  | string
  | number
  | boolean
  | readonly TomlValue[]
  | { readonly [key: string]: TomlValue };

interface Entry {
  readonly key: string;
  readonly value: TomlValue;
  readonly from: readonly Origin[];
  /** Said on a line of its own above. */
  readonly why: string | undefined;
  readonly isHeld: boolean;
}

export interface EntryOptions {
  readonly from?: Origin | readonly Origin[] | undefined;
  readonly why?: string | undefined;
  /** Printed behind a "#", so that it does not hold. */
  readonly isHeld?: boolean;
}

/**
 * One table of the configuration that is being written, with where each line comes from. A table
 * that is held is printed behind "#" with the reasons: it is there to be read and completed, and
 * does nothing.
 */
export class TomlTable {
  readonly #header: string;
  readonly #from: Origin | undefined;
  readonly #entries: Entry[] = [];
  readonly #children: { readonly key: string; readonly table: TomlTable }[] = [];
  readonly #reasons: string[] = [];

  /** `header` with its brackets, such as `[[listener]]`. */
  constructor(header: string, from?: Origin) {
    this.#header = header;
    this.#from = from;
  }

  set(key: string, value: TomlValue, options: EntryOptions = {}): void {
    const { from, why, isHeld = false } = options;
    const origins = from === undefined ? [] : 'file' in from ? [from] : from;
    this.#entries.push({ key, value, from: origins, why, isHeld });
  }

  /** A table below this one, under `key`; `header` with its brackets. */
  child(key: string, header: string): TomlTable {
    const table = new TomlTable(header);
    this.#children.push({ key, table });
    return table;
  }

  /** The table below this one that `child` made. */
  descend(key: string): TomlTable | undefined {
    return this.#children.find((child) => child.key === key)?.table;
  }

  hold(reason: string): void {
    if (!this.#reasons.includes(reason)) this.#reasons.push(reason);
  }

  get isHeld(): boolean {
    return this.#reasons.length > 0;
  }

  get reasons(): readonly string[] {
    return this.#reasons;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0 && this.#children.length === 0;
  }

  /** What a reader of the TOML gets, were the table not held. */
  data(): Record<string, TomlValue> {
    const live = this.#entries.filter((entry) => !entry.isHeld);
    const children = this.#children.map(({ key, table }) => [key, table.data()] as const);
    return Object.fromEntries([
      ...live.map(({ key, value }) => [key, value] as const),
      ...children,
    ]);
  }

  /** The lines that are named in it. */
  origins(): Origin[] {
    return [
      ...(this.#from ? [this.#from] : []),
      ...this.#entries.flatMap(({ from }) => from),
      ...this.#children.flatMap(({ table }) => table.origins()),
    ];
  }

  /** Its values that name files of this machine. */
  paths(): { readonly path: string; readonly from: readonly Origin[] }[] {
    const own = this.#entries.flatMap(({ key, value, from }) =>
      pathsIn(key, value).map((path) => ({ path, from })),
    );
    return [...own, ...this.#children.flatMap(({ table }) => table.paths())];
  }

  lines(): string[] {
    const body = this.#body();
    if (!this.isHeld) return ['', ...body];
    const reasons = this.#reasons.map((reason) => `# Held back: ${plainLine(reason)}`);
    return ['', ...reasons, ...body.map((line) => (line === '' ? '#' : `# ${line}`))];
  }

  #body(): string[] {
    return [
      withRemark(this.#header, this.#from ? [this.#from] : []),
      ...this.#entries.flatMap(entryLines),
      ...this.#children.flatMap(({ table }) => table.#body()),
    ];
  }
}

/** Says that the table is there and why it does nothing; nothing where it is not held. */
export function noteHeld(
  table: TomlTable,
  at: Origin | undefined,
  subject: string,
  notes: NoteLog,
): void {
  if (!table.isHeld) return;
  const reasons = table.reasons.map((reason) => reason.replace(/\.$/, '')).join('; ');
  const text = `It is printed behind "#", and does nothing: ${reasons}.`;
  notes.add('to do', at, subject, text);
}

const PATH_KEYS: ReadonlySet<string> = new Set([
  'path',
  'password_file',
  'acl_file',
  'cert',
  'key',
  'ca',
]);

function pathsIn(key: string, value: TomlValue): string[] {
  if (typeof value === 'string') return PATH_KEYS.has(key) ? [value] : [];
  if (typeof value !== 'object' || isList(value)) return [];
  return Object.entries(value).flatMap(([inner, each]) => pathsIn(inner, each));
}

function entryLines({ key, value, from, why, isHeld }: Entry): string[] {
  const remark = why === undefined ? [] : [`# ${plainLine(why)}`];
  const line = withRemark(`${key} = ${toToml(value)}`, from);
  return [...remark, isHeld ? `# ${line}` : line];
}

function withRemark(text: string, from: readonly Origin[]): string {
  return from.length === 0 ? text : `${text}  # ${plainLine(from.map(formatOrigin).join(', '))}`;
}

/** TOML's basic strings have the escapes of JSON, which leaves out DEL and what terminals obey. */
function toToml(value: TomlValue): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.toWellFormed()).replaceAll(
      /[\u007f-\u009f]/g,
      (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
    );
  }
  if (typeof value !== 'object') return String(value);
  if (isList(value)) return `[${value.map(toToml).join(', ')}]`;
  const pairs = Object.entries(value).map(([key, each]) => `${key} = ${toToml(each)}`);
  return `{ ${pairs.join(', ')} }`;
}

function isList(value: TomlValue): value is readonly TomlValue[] {
  return Array.isArray(value);
}
