import type { ConfigIssue } from './issue.ts';
import { nearest } from './issue.ts';
import { elementPath, keyPath } from './key-path.ts';
import { isTable, type Parser, show, type Table } from './parsers.ts';

/** Collects everything there is to say about one document, and finds the line of each key. */
export class IssueLog {
  readonly #file: string | undefined;
  readonly #lines: ReadonlyMap<string, number>;
  readonly #issues: ConfigIssue[] = [];

  constructor(file: string | undefined, lines: ReadonlyMap<string, number>) {
    this.#file = file;
    this.#lines = lines;
  }

  error(key: string, message: string, remedy: string): void {
    this.#add('error', key, message, remedy);
  }

  warning(key: string, message: string, remedy: string): void {
    this.#add('warning', key, message, remedy);
  }

  /** The key's own value is wrong, and a placeholder stands for it: what follows from that is no fault. */
  hasErrorAt(key: string): boolean {
    return this.#issues.some((issue) => issue.severity === 'error' && issue.key === key);
  }

  /** In the order of the lines; what has none comes first. */
  all(severity: ConfigIssue['severity']): ConfigIssue[] {
    return this.#issues
      .filter((issue) => issue.severity === severity)
      .sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  }

  #add(severity: ConfigIssue['severity'], key: string, message: string, remedy: string): void {
    const line = this.#lineOf(key);
    const file = line === undefined ? undefined : this.#file;
    this.#issues.push({ severity, file, line, key, message, remedy });
  }

  /** A key that is not in the document is looked for where it would be: in its table. */
  #lineOf(key: string): number | undefined {
    for (let path = key; path !== ''; path = path.replace(/(\.|^)[^.[\]]+$|\[\d+\]$/, '')) {
      const line = this.#lines.get(path);
      if (line !== undefined) return line;
      if (!/(\.|^)[^.[\]]+$|\[\d+\]$/.test(path)) return undefined;
    }
    return undefined;
  }
}

/**
 * Reads one table of the document key by key. A value that is missing or wrong gives its default, so
 * that one run finds every error; whoever reads must not use the result when there was any.
 *
 * The keys that were asked for are the keys that exist: `finish` reports all others.
 */
export class TableReader {
  readonly path: string;
  readonly issues: IssueLog;
  readonly #table: Table;
  readonly #asked = new Set<string>();

  constructor(table: Table, path: string, issues: IssueLog) {
    this.#table = table;
    this.path = path;
    this.issues = issues;
  }

  keyPath(key: string): string {
    return keyPath(this.path, key);
  }

  has(key: string): boolean {
    this.#asked.add(key);
    return this.#table[key] !== undefined;
  }

  value<T>(key: string, parse: Parser<T>, fallback: T): T {
    return this.optional(key, parse) ?? fallback;
  }

  optional<T>(key: string, parse: Parser<T>): T | undefined {
    if (!this.has(key)) return undefined;
    const parsed = parse(this.#table[key]);
    if (parsed.ok) return parsed.value;
    const path = this.keyPath(key);
    const place = parsed.at === undefined ? path : elementPath(path, parsed.at);
    this.issues.error(place, parsed.problem, parsed.remedy);
    return undefined;
  }

  /** As `optional`, and an error where the key is missing; `placeholder` then stands for it. */
  required<T>(key: string, parse: Parser<T>, placeholder: T, remedy: string): T {
    if (!this.has(key)) this.issues.error(this.keyPath(key), 'is missing', remedy);
    return this.value(key, parse, placeholder);
  }

  /** The sub-table, or an empty one where there is none. */
  table(key: string): TableReader {
    return this.optionalTable(key) ?? new TableReader({}, this.keyPath(key), this.issues);
  }

  optionalTable(key: string): TableReader | undefined {
    if (!this.has(key)) return undefined;
    const value = this.#table[key];
    const path = this.keyPath(key);
    if (isTable(value)) return new TableReader(value, path, this.issues);
    const remedy = Array.isArray(value)
      ? `There is one of these: write [${path.replaceAll(/\[\d+\]/g, '')}] in single brackets.`
      : `Write it as a table: [${path}] or ${key} = { … }.`;
    this.issues.error(path, `expected a table, found ${show(value)}`, remedy);
    return undefined;
  }

  /** The elements of an array of tables; none where there is none. One that is there has at least `min`. */
  tables(key: string, { min = 0, max }: { min?: number; max: number }): TableReader[] {
    if (!this.has(key)) return [];
    const value = this.#table[key];
    const path = this.keyPath(key);
    if (!Array.isArray(value) || !value.every(isTable)) {
      const remedy = `There may be several: write each as [[${path}]] in double brackets.`;
      this.issues.error(path, `expected a list of tables, found ${show(value)}`, remedy);
      return [];
    }
    if (value.length < min) {
      const remedy = `Write one as [[${path}]] with its keys below, or take the key out.`;
      this.issues.error(path, 'is an empty list', remedy);
    }
    if (value.length > max) {
      this.issues.error(path, `there are ${value.length} of them`, `Keep to ${max}.`);
    }
    return value
      .slice(0, max)
      .map((table, index) => new TableReader(table, elementPath(path, index), this.issues));
  }

  /** Reports the keys that nobody asked for. */
  finish(): void {
    for (const key of Object.keys(this.#table)) {
      if (this.#asked.has(key)) continue;
      const near = nearest(key, this.#asked);
      const known = [...this.#asked].sort().join(', ');
      const remedy = near === undefined ? `Possible here: ${known}.` : `Did you mean "${near}"?`;
      this.issues.error(this.keyPath(key), 'unknown key', remedy);
    }
  }
}
