import type { NoteLog, Origin } from './notes.ts';

/** A value that a line gives. */
export interface Given<T> {
  readonly value: T;
  readonly at: Origin;
}

type Value = boolean | number | string;

/** The lines of one section that are translated, by option. */
export class Settings {
  readonly #given = new Map<string, Given<Value>>();
  readonly #notes: NoteLog;

  constructor(notes: NoteLog) {
    this.#notes = notes;
  }

  /** As in Mosquitto, the last line wins. */
  set(option: string, given: Given<Value>): void {
    const before = this.#given.get(option);
    if (before) {
      const text =
        `Line ${given.at.line} of ${given.at.file} says it again, and the last one ` + 'holds.';
      this.#notes.add('no effect', before.at, option, text);
    }
    this.#given.set(option, given);
  }

  flag(option: string): Given<boolean> | undefined {
    const given = this.#given.get(option);
    return typeof given?.value === 'boolean' ? { value: given.value, at: given.at } : undefined;
  }

  integer(option: string): Given<number> | undefined {
    const given = this.#given.get(option);
    return typeof given?.value === 'number' ? { value: given.value, at: given.at } : undefined;
  }

  text(option: string): Given<string> | undefined {
    const given = this.#given.get(option);
    return typeof given?.value === 'string' ? { value: given.value, at: given.at } : undefined;
  }
}

/** `true`, `false`, `1` or `0`, as Mosquitto reads it. */
export function parseFlag(text: string): boolean | undefined {
  const word = withoutRemark(text);
  if (word === 'true' || word === '1') return true;
  return word === 'false' || word === '0' ? false : undefined;
}

export function parseWhole(text: string): number | undefined {
  const word = withoutRemark(text);
  const value = /^[+-]?\d{1,15}$/.test(word) ? Number(word) : undefined;
  // `-0` is what "-0" says, and prints as "0" only sometimes.
  return value === undefined ? undefined : value + 0;
}

/** Behind a word Mosquitto lets a remark stand; only texts may hold a "#". */
function withoutRemark(text: string): string {
  return text.replace(/\s+#.*$/s, '');
}
