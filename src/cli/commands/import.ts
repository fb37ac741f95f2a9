import { readdir, readFile } from 'node:fs/promises';
import { formatNote, importMosquitto } from '../../config/mosquitto/import.ts';
import type { Command } from '../command.ts';
import { ExitCode } from '../exit-code.ts';

export const importCommand: Command = {
  spec: {
    name: 'import',
    summary: 'print the configuration that does what a mosquitto.conf does',
    usage: 'FILE',
    options: {},
    positionals: { min: 1, max: 1 },
    notes: [
      'Reads a mosquitto.conf of Mosquitto 2.0 or 2.1, with the files of its include_dir, and ' +
        'prints\n' +
        'TOML that `cistern check` accepts. Each key names the line that it comes from. ' +
        'Listeners,\n' +
        'TLS, password_file, acl_file, limits and bridges are carried over; every other line is ' +
        'named\n' +
        'in comments at the end: what has no equivalent and what to do instead, and what needs\n' +
        'nothing. The first of these go to standard error, too.',
      'What would be more open than it was, or is not in this version yet, is printed behind ' +
        '"#" with\n' +
        'the reason. No password is printed: the command that puts it into a file is.',
      'Exit code: 0 there is a configuration, whatever was to be said of it; 3 FILE cannot be ' +
        'read.',
    ],
    examples: [
      {
        command: 'cistern import /etc/mosquitto/mosquitto.conf > cistern.toml',
        why: 'then: cistern check --config cistern.toml',
      },
    ],
  },
  async run(args, io) {
    const path = args.positionals[0] ?? '';
    const { toml, attention, withoutEffect, lineCount } = await importMosquitto(path, {
      readText: (file) => readFile(file, 'utf8'),
      listDirectory: (directory) => readdir(directory),
    });
    io.stdout.write(toml);
    for (const note of attention) io.stderr.write(`${formatNote(note)}\n`);
    const read =
      `${count(lineCount, 'line')} read, ${withoutEffect.length} of them need ` + 'nothing here';
    const rest =
      attention.length === 0
        ? 'nothing is left to be done.'
        : `${count(attention.length, 'note')} above, and at the end of the output.`;
    io.stderr.write(`${read}; ${rest}\n`);
    return ExitCode.ok;
  },
};

function count(number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? '' : 's'}`;
}
