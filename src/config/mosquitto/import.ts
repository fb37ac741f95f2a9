import { type ConfLine, type ConfSource, type ConfVisitor, readConf } from './conf-lines.ts';
import { differingDefaults, translateLimits, translateLog, translateStorage } from './general.ts';
import { openAddresses, translateAuth, translateListeners } from './listeners.ts';
import type { ConfModel } from './model.ts';
import { ModelBuilder } from './model-builder.ts';
import { formatOrigin, type Note, NoteLog, type Origin, plainLine } from './notes.ts';
import type { TomlTable } from './toml-table.ts';
import { translateBridges } from './uplinks.ts';

export interface Imported {
  /**
   * A configuration that `cistern check` accepts. What has no place in it stands in comments, so
   * that it alone tells everything; no password is in it.
   */
  readonly toml: string;
  /** What somebody should read before it runs, in the order of the lines. */
  readonly attention: readonly Note[];
  /** Lines that needed nothing. */
  readonly withoutEffect: readonly Note[];
  /** Lines in all, without the empty ones and the comments. */
  readonly lineCount: number;
}

/**
 * Translates the `mosquitto.conf` at `path`, of Mosquitto 2.0 or 2.1, with the files that it
 * includes. Every line is in the result: as a key that names it, or as a note. Fails with
 * CONFIG_NOT_FOUND where `path` cannot be read; whatever is in it, there is a result.
 */
export async function importMosquitto(path: string, source: ConfSource): Promise<Imported> {
  const notes = new NoteLog();
  const builder = new ModelBuilder(notes);
  const lines: ConfLine[] = [];
  const visitor: ConfVisitor = {
    line(line) {
      lines.push(line);
      builder.line(line);
    },
    enterFile: () => builder.enterFile(),
    leaveFile: () => builder.leaveFile(),
  };
  await readConf(path, source, visitor, notes);
  const model = builder.finish();
  const tables = translate(model, notes);
  noteRelativePaths(tables, notes);
  noteForgotten(lines, tables, notes);
  const attention = notes.all('not understood', 'no equivalent', 'to do', 'differs');
  const withoutEffect = notes.all('no effect');
  const page = [
    ...header(path, attention.length),
    ...tables.flatMap((table) => table.lines()),
    ...differences(model),
    ...noteLines('# To be read before it runs:', attention),
    ...noteLines('# Lines that need nothing here:', withoutEffect),
  ];
  return { toml: `${page.join('\n')}\n`, attention, withoutEffect, lineCount: lines.length };
}

/** `mosquitto.conf:12: no equivalent: psk_file: …` */
export function formatNote({ kind, at, subject, text }: Note): string {
  const where = at === undefined ? '' : `${formatOrigin(at)}: `;
  return plainLine(`${where}${kind}: ${subject}: ${text}`);
}

function translate(model: ConfModel, notes: NoteLog): TomlTable[] {
  const listeners = translateListeners(model, notes);
  const tables = [
    translateStorage(model, notes),
    translateLog(model, notes),
    translateLimits(model, notes),
    translateAuth(model, notes),
    ...listeners,
    ...translateBridges(model, openAddresses(listeners), notes),
  ];
  return tables.filter((table) => !table.isEmpty);
}

/** Mosquitto takes them from the directory that it runs in, which is not where Cistern will. */
function noteRelativePaths(tables: readonly TomlTable[], notes: NoteLog): void {
  const said = new Set<string>();
  for (const { path, from } of tables.flatMap((table) => table.paths())) {
    if (path.startsWith('/') || said.has(path)) continue;
    said.add(path);
    const text =
      `"${path}" is relative to the directory that the broker is started in: write ` +
      'it from the root.';
    notes.add('to do', from[0], 'path', text);
  }
}

/** What neither a key nor a note names changes nothing beside the other lines. */
function noteForgotten(
  lines: readonly ConfLine[],
  tables: readonly TomlTable[],
  notes: NoteLog,
): void {
  const named = new Set<string>();
  const name = (at: Origin | undefined): void => void (at && named.add(formatOrigin(at)));
  for (const at of tables.flatMap((table) => table.origins())) name(at);
  for (const { at } of notes.all(
    'not understood',
    'no equivalent',
    'to do',
    'differs',
    'no effect',
  )) {
    name(at);
  }
  for (const line of lines) {
    if (named.has(formatOrigin(line.at))) continue;
    const text = 'It changes nothing beside the other lines.';
    notes.add('no effect', line.at, plainLine(line.name), text);
  }
}

function header(path: string, attention: number): string[] {
  const things = attention === 1 ? 'one thing' : `${attention} things`;
  return [
    `# Made from ${plainLine(path)} by \`cistern import\`.`,
    '# Behind a key stands the line that it comes from.',
    ...(attention === 0 ? [] : [`# At the end: ${things} to be read before it runs.`]),
    '# Then: cistern check --config FILE, stop Mosquitto, cistern run --config FILE.',
  ];
}

function differences(model: ConfModel): string[] {
  const lines = differingDefaults(model);
  if (lines.length === 0) return [];
  return [
    '',
    "# Defaults that are not Mosquitto's (in brackets), with the key that changes them:",
    ...lines.map((line) => `# - ${line}`),
  ];
}

function noteLines(title: string, notes: readonly Note[]): string[] {
  if (notes.length === 0) return [];
  return ['', title, ...notes.map((note) => `# - ${formatNote(note)}`)];
}
