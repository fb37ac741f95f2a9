import { mkdtemp, readFile, rm, stat, symlink, chmod, writeFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parsePasswordFile } from '../../../src/auth/password-file.ts';
import { askSecrets } from '../../../src/cli/ask-secret.ts';
import { cli } from '../../../src/cli/main.ts';
import { createNodePasswordHashing } from '../../../src/platform/node/password-hashing.ts';
import { TestIo } from './test-io.ts';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cistern-passwd-'));
  file = join(folder, 'passwd');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function passwd(args: readonly string[], stdin: readonly string[] = [], keys?: string[]) {
  const io = new TestIo({ stdin });
  const terminal = keys && new Keyboard(keys);
  const code = await cli(['passwd', ...args], Object.assign(io, { terminal }));
  return { code, out: io.out, err: io.err, terminal };
}

/** A terminal at which these keys are pressed. */
class Keyboard implements AsyncIterable<Uint8Array> {
  isRaw = false;
  wasRaw = false;
  readonly #keys: readonly string[];

  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  setRawMode(isRaw: boolean): void {
    this.isRaw = isRaw;
    this.wasRaw ||= isRaw;
  }

  async *[Symbol.asyncIterator]() {
    for (const key of this.#keys) yield await Promise.resolve(Buffer.from(key));
  }
}

async function isPassword(username: string, password: string): Promise<boolean> {
  const entry = parsePasswordFile(await readFile(file, 'utf8'), file).get(username);
  if (entry === undefined) return false;
  const given = Buffer.from(password);
  const hash = await createNodePasswordHashing().derive(given, entry.recipe, 64);
  return Buffer.from(hash).equals(Buffer.from(entry.hash));
}

describe('cistern passwd', () => {
  test('makes a file that only its owner may read', async () => {
    const { code, out } = await passwd(['-b', file, 'ann', 'pässword']);
    expect([code, out]).toEqual([
      0,
      `Made ${file}, which only its owner may read.\nThe password of ann is set.\n`,
    ]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await isPassword('ann', 'pässword')).toBe(true);
    expect(await readFile(file, 'utf8')).toMatch(/^ann:\$7\$10000\$[^$]{16}\$[^$]{88}\n$/);
  });

  test('takes a line of standard input, without its end', async () => {
    expect(await passwd(['--password-stdin', file, 'ann'], ['sec', 'ret\n'])).toMatchObject({
      code: 0,
    });
    expect(await isPassword('ann', 'secret')).toBe(true);
  });

  test('asks twice, shows nothing, and leaves the terminal as it was', async () => {
    const keys = ['no\x15s', 'e', 'x\x7fcré', 't\r', 'secrét\r'];
    const { code, out, err, terminal } = await passwd([file, 'ann'], [], keys);
    expect([code, err]).toEqual([0, 'Password: \nAgain: \n']);
    expect(out + err).not.toContain('secr');
    expect([terminal?.wasRaw, terminal?.isRaw]).toEqual([true, false]);
    expect(await isPassword('ann', 'secrét')).toBe(true);
  });

  test.each([
    ['two that differ', ['a\r', 'b\r'], 'not the same'],
    ['Ctrl-C', ['a\x03'], 'No password was given'],
    ['an end of the input', ['a'], 'No password was given'],
    ['nothing', ['\r', '\r'], 'the password is empty'],
  ])('given %s changes nothing', async (_, keys, message) => {
    const { code, err, terminal } = await passwd([file, 'ann'], [], keys);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(terminal?.isRaw).toBe(false);
    expect(await readdir(folder)).toEqual([]);
  });

  test('keeps comments, order, mode and a link, and leaves nothing beside the file', async () => {
    const target = join(folder, 'real');
    await writeFile(target, '# mine\nann:$6$AAAA$BBBB\nbob:x\n');
    await chmod(target, 0o640);
    await symlink(target, file);
    await passwd(['-b', file, 'ann', 'new']);
    expect((await readFile(target, 'utf8')).replace(/\$7\$\S+/, 'HASH')).toBe(
      '# mine\nann:HASH\nbob:x\n',
    );
    expect((await stat(target)).mode & 0o777).toBe(0o640);
    expect((await readdir(folder)).toSorted()).toEqual(['passwd', 'real']);
  });

  test('deletes a user, and says where there is none', async () => {
    await writeFile(file, 'ann:a\nbob:b\n');
    expect(await passwd(['-D', file, 'ann'])).toMatchObject({ code: 0, out: 'ann is deleted.\n' });
    expect(await readFile(file, 'utf8')).toBe('bob:b\n');
    expect(await passwd(['-D', file, 'ann'])).toMatchObject({ code: 2 });
    expect(await passwd(['-D', join(folder, 'none'), 'ann'])).toMatchObject({ code: 2 });
  });

  test('hashes what is plain', async () => {
    await writeFile(file, 'ann:secret\nbob:other\n');
    expect(await passwd(['-U', '-I', '5', file])).toMatchObject({
      code: 0,
      out: '2 passwords hashed.\n',
    });
    expect(await isPassword('ann', 'secret')).toBe(true);
    expect(await passwd(['-U', file])).toMatchObject({ out: '0 passwords hashed.\n' });
  });

  test('begins anew with -c', async () => {
    await writeFile(file, 'bob:b\n');
    await passwd(['-c', '-b', file, 'ann', 'pw']);
    expect([...parsePasswordFile(await readFile(file, 'utf8'), file).keys()]).toEqual(['ann']);
  });

  test.each([
    [['FILE'], 'an argument is missing'],
    [['FILE', 'ann', 'secret'], 'A password on the command line needs -b'],
    [['-b', 'FILE', 'ann'], 'an argument is missing'],
    [['-b', '-D', 'FILE', 'ann'], 'do not go together'],
    [['-b', 'FILE', 'a:b', 'pw'], 'a colon ends the name'],
    [['FILE', 'ann'], 'there is no terminal to ask at'],
    [['-b', '-I', '0', 'FILE', 'ann', 'pw'], 'takes a number from 1'],
  ])('%j is a slip of the finger', async (args, message) => {
    const { code, err } = await passwd(args.map((each) => (each === 'FILE' ? file : each)));
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(await readdir(folder)).toEqual([]);
  });

  test('names the folder it may not write in', async () => {
    const { code, err } = await passwd(['-b', join(folder, 'no', 'passwd'), 'ann', 'pw']);
    expect(code).toBe(4);
    expect(err).toContain('(ENOENT)');
  });
});

test('a key that comes in two pieces is one character', async () => {
  const bytes = Buffer.from('é\r');
  const keys = {
    setRawMode: () => undefined,
    async *[Symbol.asyncIterator]() {
      for (const byte of bytes) yield await Promise.resolve(Uint8Array.of(byte));
    },
  };
  const output = { write: () => undefined };
  expect(await askSecrets(keys, output, ['?'])).toEqual(['é']);
});
