import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  DEFAULT_ITERATIONS,
  type HashMaker,
  hashPassword,
  nameProblem,
  withoutUser,
  withPlainHashed,
  withUser,
} from '../../auth/password-editor.ts';
import { CisternError } from '../../base/errors.ts';
import { createNodePasswordHashing } from '../../platform/node/password-hashing.ts';
import { createNodeRandom } from '../../platform/node/random.ts';
import { replaceFile } from '../../platform/node/replace-file.ts';
import type { Arguments } from '../arguments.ts';
import { askSecrets } from '../ask-secret.ts';
import type { Command } from '../command.ts';
import { ExitCode } from '../exit-code.ts';
import type { CliIo } from '../io.ts';

/** What a pipe may bring as a password: MQTT's limit. */
const MAX_PASSWORD_BYTES = 65_535;

export const passwdCommand: Command = {
  spec: {
    name: 'passwd',
    summary: 'set, change or delete a user of a password file',
    usage: 'FILE USER | -b FILE USER PASSWORD | -D FILE USER | -U FILE',
    options: {
      batch: { short: 'b', help: 'Take PASSWORD from the command line, where others may see it.' },
      'password-stdin': { help: 'Take the password from standard input: one line.' },
      create: { short: 'c', help: 'Begin a new file: users that are in it are left out.' },
      delete: { short: 'D', help: 'Delete the user.' },
      upgrade: { short: 'U', help: 'Hash every password in FILE that stands there as it is.' },
      iterations: {
        value: 'N',
        short: 'I',
        help: `Rounds of PBKDF2-SHA512. Default: ${DEFAULT_ITERATIONS}`,
      },
    },
    positionals: { min: 1, max: 3 },
    notes: [
      'Asks for the password twice, without showing it. The file is replaced at once and whole: a\n' +
        'running gateway takes it up within seconds, and disconnects users that were deleted or have\n' +
        'another password. Comments and the order of lines stay. A new file has mode 0600.',
      'The format is that of mosquitto_passwd ($7$), which may change the same file; its options -b,\n' +
        '-c, -D and -U mean the same here, but -U leaves alone what is hashed already.',
    ],
    examples: [
      { command: 'cistern passwd /etc/cistern/passwd sensor-1', why: 'asks for the password' },
      {
        command: 'pass show gateway/sensor-1 | cistern passwd --password-stdin FILE sensor-1',
        why: 'from a password store',
      },
      { command: 'cistern passwd -D /etc/cistern/passwd sensor-1', why: 'sensor-1 is stolen' },
    ],
  },
  async run(args, io) {
    const [path = '', username, password] = args.positionals;
    checkUsage(args);
    if (args.has('upgrade')) return upgrade(path, args, io);
    checkName(username ?? '', args);
    if (args.has('delete')) return remove(path, username ?? '', io);
    const given = args.has('batch') ? (password ?? '') : await readPassword(args, io);
    if (given === '') throw args.usageError('the password is empty');
    const text = args.has('create') ? undefined : await readIfThere(path);
    const hash = await hashPassword(given, hashMaker(args));
    const isNew = text === undefined && !(await exists(path));
    await write(path, withUser(text ?? '', username ?? '', hash));
    if (isNew) io.stdout.write(`Made ${path}, which only its owner may read.\n`);
    io.stdout.write(`The password of ${username} is set.\n`);
    return ExitCode.ok;
  },
};

/** Which arguments go together. */
function checkUsage(args: Arguments): void {
  const modes = ['batch', 'password-stdin', 'delete', 'upgrade'].filter((name) => args.has(name));
  if (modes.length > 1) throw args.usageError(`--${modes.join(' and --')} do not go together`);
  const [mode] = modes;
  const wanted = mode === 'batch' ? 3 : mode === 'upgrade' ? 1 : 2;
  const count = args.positionals.length;
  if (count < wanted) throw args.usageError('an argument is missing');
  if (count > wanted) {
    const hint = wanted === 2 ? '. A password on the command line needs -b' : '';
    throw args.usageError(`there are ${count - wanted} arguments too many${hint}`);
  }
  if (args.has('create') && (mode === 'delete' || mode === 'upgrade')) {
    throw args.usageError(`--create and --${mode} do not go together`);
  }
}

function checkName(username: string, args: Arguments): void {
  const problem = nameProblem(username);
  if (problem !== undefined) throw args.usageError(`"${username}" cannot be a user: ${problem}`);
}

async function remove(path: string, username: string, io: CliIo): Promise<ExitCode> {
  const text = withoutUser(await readExisting(path), username);
  if (text === undefined) {
    throw new CisternError('USAGE', `${path} has no user ${username}.`);
  }
  await write(path, text);
  io.stdout.write(`${username} is deleted.\n`);
  return ExitCode.ok;
}

async function upgrade(path: string, args: Arguments, io: CliIo): Promise<ExitCode> {
  const { text, count } = await withPlainHashed(await readExisting(path), hashMaker(args));
  if (count > 0) await write(path, text);
  io.stdout.write(`${count === 1 ? 'One password' : `${count} passwords`} hashed.\n`);
  return ExitCode.ok;
}

function hashMaker(args: Arguments): HashMaker {
  return {
    hashing: createNodePasswordHashing(),
    random: createNodeRandom(),
    iterations: args.number('iterations', { min: 1, max: 10_000_000 }) ?? DEFAULT_ITERATIONS,
  };
}

async function readPassword(args: Arguments, io: CliIo): Promise<string> {
  if (args.has('password-stdin')) return readLine(io);
  if (io.terminal === undefined) {
    throw args.usageError('there is no terminal to ask at. Use --password-stdin');
  }
  const questions = ['Password: ', 'Again: '];
  const [first, second] = await askSecrets(io.terminal, io.stderr, questions);
  if (first !== second) throw new CisternError('USAGE', 'The two passwords are not the same.');
  return first ?? '';
}

/** All of the input without one line break at its end, which is the shell's and not the password's. */
async function readLine(io: CliIo): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of io.stdin) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_PASSWORD_BYTES) {
      throw new CisternError('USAGE', 'What came on standard input is too long for a password.');
    }
  }
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (/[\r\n\0]/.test(text)) {
    throw new CisternError('USAGE', 'What came on standard input is more than one line.');
  }
  return text;
}

async function readExisting(path: string): Promise<string> {
  const text = await readIfThere(path);
  if (text !== undefined) return text;
  throw new CisternError('USAGE', `There is no file ${path}.`);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cannot('read', path, error);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function write(path: string, text: string): Promise<void> {
  try {
    await replaceFile(path, text);
  } catch (error) {
    throw cannot('write', path, error);
  }
}

function cannot(what: string, path: string, cause: unknown): CisternError {
  const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
  return new CisternError('DATA_UNWRITABLE', `Cannot ${what} ${path} (${reason}).`, {
    cause,
    remedy: `This user needs the right to write in ${dirname(path)}: the file is replaced whole.`,
  });
}
