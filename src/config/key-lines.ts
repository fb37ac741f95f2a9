import { elementPath, keyPath } from './key-path.ts';

/**
 * The line of every key, table header and array element of a TOML document, by its path. The parser
 * does not keep them, and an error without a line is not worth much in a file of two hundred.
 *
 * The document must be one that the TOML parser has accepted: this scanner knows where values end,
 * not whether they are right. On a document it misjudges it finds fewer lines, never throws.
 */
export function findKeyLines(source: string): ReadonlyMap<string, number> {
  const scanner = new KeyScanner(source);
  scanner.document();
  return scanner.lines;
}

class KeyScanner {
  /** From 1. The first mention wins, so a table is where its header is. */
  readonly lines = new Map<string, number>();
  readonly #source: string;
  /** Elements seen so far of each `[[array of tables]]`. */
  readonly #tableCounts = new Map<string, number>();
  #at = 0;
  #line = 1;

  constructor(source: string) {
    this.#source = source;
  }

  document(): void {
    let table = '';
    for (;;) {
      this.#skipBlank(true);
      const char = this.#peek();
      if (char === undefined) return;
      const start = this.#at;
      if (char === '[') table = this.#header();
      else this.#keyValue(table);
      // Whatever went wrong, go on behind it.
      if (this.#at === start) this.#advance();
    }
  }

  /** `[a.b]` or `[[a.b]]`; returns the path of the table that it opens. */
  #header(): string {
    const line = this.#line;
    this.#advance();
    const isArray = this.#peek() === '[';
    if (isArray) this.#advance();
    const parts = this.#keyParts();
    let path = '';
    parts.forEach((part, index) => {
      const name = keyPath(path, part);
      const opensElement = isArray && index === parts.length - 1;
      if (opensElement) this.#tableCounts.set(name, (this.#tableCounts.get(name) ?? 0) + 1);
      const count = this.#tableCounts.get(name);
      this.#note(name, line);
      path = count === undefined ? name : elementPath(name, count - 1);
    });
    this.#note(path, line);
    while (this.#peek() === ']') this.#advance();
    return path;
  }

  #keyValue(table: string): void {
    const line = this.#line;
    let path = table;
    for (const part of this.#keyParts()) {
      path = keyPath(path, part);
      this.#note(path, line);
    }
    this.#skipBlank(false);
    if (this.#peek() !== '=') return;
    this.#advance();
    this.#skipBlank(false);
    this.#value(path);
  }

  /** `a."b c".d`, up to whatever follows it. */
  #keyParts(): string[] {
    const parts: string[] = [];
    for (;;) {
      this.#skipBlank(false);
      const char = this.#peek();
      if (char === '"' || char === "'") parts.push(this.#string());
      else {
        const bare = /[A-Za-z0-9_-]*/y;
        bare.lastIndex = this.#at;
        const word = bare.exec(this.#source)?.[0] ?? '';
        this.#at += word.length;
        parts.push(word);
      }
      this.#skipBlank(false);
      if (this.#peek() !== '.') return parts;
      this.#advance();
    }
  }

  #value(path: string): void {
    const char = this.#peek();
    if (char === '"' || char === "'") this.#string();
    else if (char === '[') this.#array(path);
    else if (char === '{') this.#inlineTable(path);
    else {
      while (!/[,\]}#\n\r]/.test(this.#peek() ?? '\n')) this.#advance();
    }
  }

  #array(path: string): void {
    this.#advance();
    for (let index = 0; ; index++) {
      this.#skipBlank(true);
      if (this.#closes(']')) return;
      const element = elementPath(path, index);
      this.#note(element, this.#line);
      this.#value(element);
      this.#skipBlank(true);
      if (this.#peek() === ',') this.#advance();
      else {
        this.#closes(']');
        return;
      }
    }
  }

  #inlineTable(path: string): void {
    this.#advance();
    for (;;) {
      this.#skipBlank(true);
      if (this.#closes('}')) return;
      this.#keyValue(path);
      this.#skipBlank(true);
      if (this.#peek() === ',') this.#advance();
      else {
        this.#closes('}');
        return;
      }
    }
  }

  /** Any of the four kinds; returns its text, with escapes only where a key could have them. */
  #string(): string {
    const quote = this.#peek() ?? '"';
    const long = this.#source.startsWith(quote.repeat(3), this.#at);
    const delimiter = long ? quote.repeat(3) : quote;
    this.#skip(delimiter.length);
    const start = this.#at;
    while (this.#peek() !== undefined && !this.#source.startsWith(delimiter, this.#at)) {
      if (quote === '"' && this.#peek() === '\\') this.#advance();
      this.#advance();
    }
    const text = this.#source.slice(start, this.#at);
    this.#skip(delimiter.length);
    // A multi-line string may end in one or two quotes of its own, before the delimiter.
    while (long && this.#peek() === quote) this.#advance();
    return quote === '"' && text.includes('\\') ? unescapeKey(text) : text;
  }

  #closes(bracket: string): boolean {
    const char = this.#peek();
    if (char === bracket) this.#advance();
    return char === bracket || char === undefined;
  }

  #skipBlank(overLines: boolean): void {
    for (;;) {
      const char = this.#peek();
      if (char === ' ' || char === '\t' || char === '\r') this.#advance();
      else if (char === '\n' && overLines) this.#advance();
      else if (char === '#' && overLines) {
        while (this.#peek() !== '\n' && this.#peek() !== undefined) this.#advance();
      } else return;
    }
  }

  #note(path: string, line: number): void {
    if (!this.lines.has(path)) this.lines.set(path, line);
  }

  #peek(): string | undefined {
    return this.#source[this.#at];
  }

  #skip(count: number): void {
    for (let done = 0; done < count; done++) this.#advance();
  }

  #advance(): void {
    if (this.#source[this.#at] === '\n') this.#line++;
    this.#at++;
  }
}

/** TOML's escapes are JSON's, but for a few that no key of ours has. */
function unescapeKey(text: string): string {
  try {
    return String(JSON.parse(`"${text}"`));
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
