import { describe, expect, test } from 'vitest';
import { examineAuth } from '../../../src/auth/examine-auth.ts';
import { describeConfig } from '../../../src/config/describe.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { readTokenKeys } from '../../../src/platform/node/token-keys.ts';
import { errorsOf, load } from './load-toml.ts';

const OPEN = '[[listener]]\nlisten = "0.0.0.0:1883"\n';

describe('a listener beyond loopback', () => {
  test.each([
    ['[auth]\npassword_file = "p"\n', ''],
    ['[auth]\njwt = { jwks_file = "j" }\n', ''],
    ['', 'auth = { password_file = "p" }'],
    ['', 'anonymous = true'],
  ])('opens with %j and %j', async (before, inside) => {
    expect(await errorsOf(`${before}${OPEN}${inside}`)).toEqual([]);
  });

  test.each(['', '[auth]\nacl_file = "a"\n'])('does not open with %j', async (before) => {
    const found = await errorsOf(`${before}${OPEN}`);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/has no authentication\n.*cistern passwd/);
  });

  test('opens with a password file of the command line', async () => {
    const overrides = { listen: '0.0.0.0:1883', passwordFile: 'p' };
    const { config } = await load('', overrides);
    expect(config.listeners).toMatchObject([{ anonymous: false, auth: { passwordFile: 'p' } }]);
  });

  test('does not open where its own auth takes the shared file away', async () => {
    const source = `[auth]\npassword_file = "p"\n${OPEN}auth = { acl_file = "a" }`;
    expect(await errorsOf(source)).toHaveLength(1);
  });
});

test('on loopback a listener with a password file is not anonymous, and one without anything is', async () => {
  const { config } = await load('[auth]\npassword_file = "p"');
  expect(config.listeners).toMatchObject([{ anonymous: false }]);
  expect((await load('')).config.listeners).toMatchObject([{ anonymous: true }]);
});

test('rules about names that nothing proves are worth a warning', async () => {
  const { warnings } = await load('[auth]\nacl_file = "a"');
  expect(warnings.map(({ key }) => key)).toEqual(['listener[0].anonymous']);
  expect(warnings[0]?.message).toContain('nothing proves a user name');
  expect((await load('[auth]\nacl_file = "a"\npassword_file = "p"')).warnings).toEqual([]);
});

test('a listener that checks names and lets in who has none is worth a warning', async () => {
  const source = '[auth]\npassword_file = "p"\n[[listener]]\nlisten = ":1883"\nanonymous = true';
  const { warnings } = await load(source);
  expect(warnings[0]?.message).toContain('whoever gives no name comes in');
});

test('check shows a listener its own files, and reads them again as they were', async () => {
  const own = 'auth = { password_file = "q", jwt = { jwks_file = "j", audience = "gw" } }';
  const { config } = await load(`[auth]\npassword_file = "p"\n${OPEN}${own}`);
  const shown = describeConfig(config);
  expect(shown).toContain('[listener.auth]\npassword_file = "q"');
  const again = (await load(shown)).config;
  expect(again.listeners).toEqual(config.listeners);
  expect(again.auth).toEqual(config.auth);
});

describe('files that cannot be used are errors at the line that names them', () => {
  const FILES: Record<string, string> = {
    plain: 'ann:secret\n',
    good: '',
    acl: 'topic a\n',
    badAcl: 'topics a\n',
    jwks: '{}',
  };
  const readText = (path: string) =>
    path in FILES ? Promise.resolve(FILES[path] ?? '') : Promise.reject(new Error('ENOENT'));

  const examined = async (source: string, passwordFile?: string): Promise<string> => {
    const loading = loadConfig({
      path: 'c.toml',
      overrides: { passwordFile },
      readText: () => Promise.resolve(source),
      examineAuth: (auth) => examineAuth(auth, { readText, readTokenKeys }),
    });
    return loading.then(
      () => '',
      (error: unknown) => String(error),
    );
  };

  test('each, once', async () => {
    const listeners = OPEN + OPEN.replace('1883', '1884') + 'auth = { password_file = "none" }\n';
    const shared = '[auth]\npassword_file = "plain"\nacl_file = "badAcl"\njwt.jwks_file = "jwks"\n';
    const found = (await examined(shared + listeners))
      .split('\n')
      .filter((l) => !l.startsWith(' '));
    expect(found.slice(1).map((line) => line.slice(0, 90))).toEqual([
      expect.stringContaining(
        'c.toml:2: error: auth.password_file: the password file plain cannot',
      ),
      expect.stringContaining('c.toml:3: error: auth.acl_file: the ACL file badAcl cannot be used'),
      expect.stringContaining('c.toml:4: error: auth.jwt.jwks_file: the JWKS cannot be used'),
      expect.stringContaining('c.toml:9: error: listener[1].auth.password_file: the password file'),
    ]);
  });

  test('of the command line too', async () => {
    expect(await examined('', 'plain')).toContain(
      'error: --password-file: the password file plain',
    );
    expect(await examined('[auth]\nacl_file = "acl"', 'good')).toBe('');
  });
});
