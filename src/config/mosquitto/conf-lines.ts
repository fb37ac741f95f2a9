import { CisternError } from '../../base/errors.ts';
import type { NoteLog, Origin } from './notes.ts';

/** One line that is neither empty nor a comment. */
export interface ConfLine {
  readonly at: Origin;
  /** The first word. */
  readonly name: string;
  /** The rest, without blanks around it; '' where there is none. */
  readonly value: string;
}

/** Where the files are. Handed in, so that a test needs none. */
export interface ConfSource {
  readText(path: string): Promise<string>;
  /** The names in a directory, in any order. */
  listDirectory(path: string): Promise<readonly string[]>;
}

/** What reads the lines. The files of `include_dir` come between `enterFile` and `leaveFile`. */
export interface ConfVisitor {
  line(line: ConfLine): void;
  enterFile(): void;
  leaveFile(): void;
}

/**
 * Takes a file apart. Mosquitto takes "#" for a comment only as the very first character and stops
 * at an indented one; here it is a comment too, since nobody can have meant anything else.
 */
export function parseConf(file: string, text: string): ConfLine[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .flatMap((raw, index) => {
      const match = /^\s*([^\s#]\S*)(?:\s+(.*\S))?\s*$/s.exec(raw);
      if (!match) return [];
      const at = { file, line: index + 1 };
      return [{ at, name: match[1] ?? '', value: match[2] ?? '' }];
    });
}

/**
 * Reads `path`, and where it names an `include_dir` the files there that end in ".conf", in the
 * order Mosquitto loads them. Fails with CONFIG_NOT_FOUND where `path` itself cannot be read; what
 * cannot be read of an include is a note.
 */
export async function readConf(
  path: string,
  source: ConfSource,
  visitor: ConfVisitor,
  notes: NoteLog,
): Promise<void> {
  const text = await source.readText(path).catch((cause: unknown) => {
    throw new CisternError('CONFIG_NOT_FOUND', `The configuration ${path} cannot be read.`, {
      cause,
      remedy: 'Check the path, and that this user may read it: Debian keeps it in /etc/mosquitto.',
    });
  });
  for (const line of parseConf(path, text)) {
    if (line.name === 'include_dir') await readIncludes(line, source, visitor, notes);
    else visitor.line(line);
  }
}

async function readIncludes(
  { at, value: directory }: ConfLine,
  source: ConfSource,
  visitor: ConfVisitor,
  notes: NoteLog,
): Promise<void> {
  const unread = (what: string, error: unknown): void => {
    const reason = error instanceof Error ? error.message : String(error);
    const text =
      `${what} cannot be read (${reason}), so nothing of it is here: import it again ` +
      'as a user who may.';
    notes.add('to do', at, 'include_dir', text);
  };
  const names = await source.listDirectory(directory).catch((error: unknown) => {
    unread(directory === '' ? 'A directory without a name' : directory, error);
    return undefined;
  });
  if (names === undefined) return;
  const files = names.filter((name) => name.endsWith('.conf')).sort(byLoadOrder);
  const list = files.length === 0 ? 'no file' : files.join(', ');
  notes.add('no effect', at, 'include_dir', `Cistern has one file: ${list} of it is read in here.`);
  for (const name of files) {
    const file = `${directory.replace(/\/+$/, '')}/${name}`;
    let text: string;
    try {
      text = await source.readText(file);
    } catch (error) {
      unread(file, error);
      continue;
    }
    visitor.enterFile();
    for (const line of parseConf(file, text)) {
      if (line.name !== 'include_dir') visitor.line(line);
      else
        notes.add(
          'not understood',
          line.at,
          'include_dir',
          'Mosquitto takes it in its main file only.',
        );
    }
    visitor.leaveFile();
  }
}

/** Case-sensitive and alphabetical, with the capital of each letter before the small one. */
function byLoadOrder(a: string, b: string): number {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()];
  if (x !== y) return x < y ? -1 : 1;
  return a < b ? -1 : 1;
}
