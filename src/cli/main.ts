import { CisternError } from '../base/errors.ts';
import { nearest } from '../config/issue.ts';
import { type CommandSpec, formatHelp, parseArguments } from './arguments.ts';
import type { Command } from './command.ts';
import { ExitCode, exitCodeOf } from './exit-code.ts';
import type { CliIo } from './io.ts';
import { VERSION } from './version.ts';

interface CommandEntry {
  readonly summary: string;
  /** Loaded when it is called for: `pub` has no need of the database. */
  load(): Promise<Command>;
}

const COMMANDS: ReadonlyMap<string, CommandEntry> = new Map<string, CommandEntry>([
  [
    'run',
    {
      summary: 'run the gateway',
      load: async () => (await import('./commands/run.ts')).runCommand,
    },
  ],
  [
    'check',
    {
      summary: 'check a configuration, and print what it means and costs',
      load: async () => (await import('./commands/check.ts')).checkCommand,
    },
  ],
  [
    'status',
    {
      summary: 'show what a running gateway does',
      load: async () => (await import('./commands/status.ts')).statusCommand,
    },
  ],
  [
    'wear',
    {
      summary: 'show what a running gateway writes to flash, and how long that may last',
      load: async () => (await import('./commands/wear.ts')).wearCommand,
    },
  ],
  [
    'import',
    {
      summary: 'print the configuration that does what a mosquitto.conf does',
      load: async () => (await import('./commands/import.ts')).importCommand,
    },
  ],
  [
    'passwd',
    {
      summary: 'set, change or delete a user of a password file',
      load: async () => (await import('./commands/passwd.ts')).passwdCommand,
    },
  ],
  [
    'log',
    {
      summary: 'look into the ring of a data directory: inspect, verify, dump',
      load: async () => (await import('./commands/log.ts')).logCommand,
    },
  ],
  [
    'pub',
    {
      summary: 'publish a message, with the options of mosquitto_pub',
      load: async () => (await import('./commands/pub.ts')).pubCommand,
    },
  ],
  [
    'sub',
    {
      summary: 'print messages, with the options of mosquitto_sub',
      load: async () => (await import('./commands/sub.ts')).subCommand,
    },
  ],
]);

/** Commands of the contract that a later version brings. */
const LATER: ReadonlySet<string> = new Set(['uplink']);

/**
 * Runs one command line, `argv` without the program's name, and resolves to the exit code: 0 done,
 * 1 an operating error, 2 a command line not understood, 3 a configuration with errors, 4 data in
 * use, unusable or damaged. An error that is no {@link CisternError} is a programmer error, and is thrown.
 */
export async function cli(argv: readonly string[], io: CliIo): Promise<ExitCode> {
  try {
    return await dispatch(argv, io);
  } catch (error) {
    if (!(error instanceof CisternError)) throw error;
    io.stderr.write(formatError(error));
    return exitCodeOf(error.code);
  }
}

function formatError(error: CisternError): string {
  const remedy = error.remedy === undefined ? '' : `${error.remedy}\n`;
  // A slip of the finger is answered with the usage, not with a code to look up.
  if (error.code === 'USAGE') return `${error.message}\n${remedy}`;
  return `${error.code}: ${error.message}\n${remedy}`;
}

async function dispatch(argv: readonly string[], io: CliIo): Promise<ExitCode> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === 'version') {
    io.stdout.write(`cistern ${VERSION}\n`);
    return ExitCode.ok;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const [topic] = rest;
    if (name === 'help' && topic !== undefined) return printHelp(await find(topic), io);
    (name === undefined ? io.stderr : io.stdout).write(overview());
    return name === undefined ? ExitCode.usage : ExitCode.ok;
  }
  const command = await find(name);
  if (asksForHelp(command.spec, rest)) return printHelp(command, io);
  return command.run(parseArguments(command.spec, rest), io);
}

/** `--help` counts wherever it stands before a `--`; so does `-h`, unless it is the host. */
function asksForHelp(spec: CommandSpec, argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const options = end < 0 ? argv : argv.slice(0, end);
  const takesH = Object.values(spec.options).some(({ short }) => short === 'h');
  return options.includes('--help') || (!takesH && options.includes('-h'));
}

async function find(name: string): Promise<Command> {
  const entry = COMMANDS.get(name);
  if (entry) return entry.load();
  if (LATER.has(name)) {
    throw new CisternError('USAGE', `cistern ${name} is not in this version yet.`, {
      remedy: `This version has ${[...COMMANDS.keys()].join(', ')}.`,
    });
  }
  const near = nearest(name, COMMANDS.keys());
  const hint = near === undefined ? '' : ` Did you mean ${near}?`;
  throw new CisternError('USAGE', `There is no command "${name}".${hint}`, {
    remedy: `Usage: cistern ${[...COMMANDS.keys()].join('|')} [OPTION …]   (cistern --help tells more)`,
  });
}

function printHelp(command: Command, io: CliIo): ExitCode {
  io.stdout.write(formatHelp(command.spec));
  return ExitCode.ok;
}

function overview(): string {
  const commands = [...COMMANDS].map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}`);
  const lines = [
    `Cistern ${VERSION}: an MQTT broker for edge gateways, with a bounded ring on flash`,
    '',
    'Usage: cistern COMMAND [OPTION …]',
    '',
    ...commands,
    '',
    'cistern COMMAND --help tells more of each; cistern --version names the version.',
    '',
    'Examples:',
    '  # a gateway on this machine alone: MQTT on 127.0.0.1:1883, data in ./cistern-data',
    '  cistern run',
    '  # watch what arrives',
    "  cistern sub -t '#' -v",
    '  # publish, acknowledged when it is on flash',
    '  cistern pub -t sensors/1/temperature -m 21.5 -q 1',
    '',
    'Exit codes: 0 done, 1 operating error, 2 usage, 3 configuration, 4 data in use, unusable or damaged.',
  ];
  return `${lines.join('\n')}\n`;
}
