import { describe, expect, test } from 'vitest';
import { formatPbkdf2, parsePasswordFile } from '../../../src/auth/password-file.ts';

const SALT = Buffer.alloc(12, 1).toString('base64');
const HASH = Buffer.alloc(64, 2).toString('base64');
const ARGON_SALT = Buffer.alloc(64, 3).toString('base64').replaceAll('=', '');
const ARGON_HASH = Buffer.alloc(64, 4).toString('base64').replaceAll('=', '');

describe('a password file', () => {
  test('has the three hashes that Mosquitto writes', () => {
    const entries = parsePasswordFile(
      [
        `old:$6$${SALT}$${HASH}`,
        `plain:$7$101$${SALT}$${HASH}`,
        `new:$argon2id$v=19$m=47104,t=1,p=1$${ARGON_SALT}$${ARGON_HASH}`,
      ].join('\n'),
      'passwd',
    );
    const salt = Buffer.alloc(12, 1);
    expect(entries.get('old')?.recipe).toEqual({ scheme: 'sha512', salt });
    expect(entries.get('plain')?.recipe).toEqual({
      scheme: 'pbkdf2-sha512',
      salt,
      iterations: 101,
    });
    expect(entries.get('new')?.recipe).toEqual({
      scheme: 'argon2id',
      salt: Buffer.alloc(64, 3),
      memoryKib: 47_104,
      passes: 1,
      lanes: 1,
    });
    expect(entries.get('new')?.hash).toEqual(Buffer.alloc(64, 4));
  });

  test('may have comments, empty lines, Windows line ends and a user twice: the last one holds', () => {
    const first = formatPbkdf2(1, Buffer.alloc(12), Buffer.alloc(64));
    const last = formatPbkdf2(2, Buffer.alloc(12), Buffer.alloc(64));
    const text = `# who: may come in\r\n\r\na:${first}\r\nno colon here\r\n a :${last}\r\n`;
    const entries = parsePasswordFile(text, 'passwd');
    expect([...entries.keys()]).toEqual(['a']);
    expect(entries.get('a')?.text).toBe(last);
  });

  test.each([
    ['a:secret', 'line 1, user "a": the password is not hashed'],
    ['a:', 'there is no password'],
    [`a:$7$0$${SALT}$${HASH}`, 'the iterations are not 1 to'],
    [`a:$7$99999999$${SALT}$${HASH}`, 'the iterations are not 1 to'],
    [`a:$7$101$${SALT}`, 'the hash is cut short'],
    [`a:$7$101$${SALT}$${HASH.slice(0, 40)}`, 'the hash is cut short'],
    [`a:$6$${SALT}$${HASH}$x`, 'the hash is cut short'],
    [`a:$argon2id$v=16$m=8,t=1,p=1$${ARGON_SALT}$${ARGON_HASH}`, 'version of argon2id'],
    [`a:$argon2id$v=19$m=99999999,t=1,p=1$${ARGON_SALT}$${ARGON_HASH}`, 'its costs are beyond'],
    ['a:$5$abc$def', 'the password is not hashed'],
  ])('is refused with line, user and remedy, and without the password: %s', (line, problem) => {
    const parse = (): unknown => parsePasswordFile(`${line}\n`, '/etc/p');
    expect(parse).toThrow(problem);
    expect(parse).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.not.stringContaining('secret'),
        remedy: expect.stringContaining('cistern passwd /etc/p USER'),
      }),
    );
  });

  test('full of plain passwords names a few of them, and counts the rest', () => {
    const text = Array.from({ length: 40 }, (_, at) => `user${at}:pw`).join('\n');
    expect(() => parsePasswordFile(text, 'p')).toThrow(/"user4": .*; and 35 more\.$/);
  });
});
