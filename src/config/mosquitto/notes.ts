/** Where a line stands; `line` counts from 1. */
export interface Origin {
  readonly file: string;
  readonly line: number;
}

/**
 * What became of a line that is not simply a key of the new configuration:
 * - `not understood`: Mosquitto would not accept it either, or a later Mosquitto brought it;
 * - `no equivalent`: Cistern cannot do it, and the text says what to do instead;
 * - `to do`: somebody has to do something by hand before it works as it did;
 * - `differs`: it was carried over, and means something a little different;
 * - `no effect`: Cistern works so anyway, or needs nothing of the kind.
 */
export type NoteKind = 'not understood' | 'no equivalent' | 'to do' | 'differs' | 'no effect';

export interface Note {
  readonly kind: NoteKind;
  /** Absent where it is not about one line. */
  readonly at: Origin | undefined;
  /** The option, or what else it is about. Never a value that may be a secret. */
  readonly subject: string;
  /** One sentence or two, with a full stop. */
  readonly text: string;
}

/** Collects what an import has to say, in the order it comes up. */
export class NoteLog {
  readonly #notes: Note[] = [];

  add(kind: NoteKind, at: Origin | undefined, subject: string, text: string): void {
    this.#notes.push({ kind, at, subject, text });
  }

  /** Those of these kinds, by file and line in the order in which they were read. */
  all(...kinds: readonly NoteKind[]): Note[] {
    const files = [...new Set(this.#notes.map(({ at }) => at?.file))];
    const rank = ({ at }: Note): number => (at === undefined ? -1 : files.indexOf(at.file));
    return this.#notes
      .filter(({ kind }) => kinds.includes(kind))
      .sort((a, b) => rank(a) - rank(b) || (a.at?.line ?? 0) - (b.at?.line ?? 0));
  }
}

export function formatOrigin({ file, line }: Origin): string {
  return `${file}:${line}`;
}

/** One line of text without what a terminal or a TOML comment must not hold. */
export function plainLine(text: string): string {
  return text.toWellFormed().replaceAll(/[\p{Cc}\u2028\u2029]/gu, ' ');
}
