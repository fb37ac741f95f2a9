import { expect, test } from 'vitest';
import { describeSecret, resolveSecret } from '../../../src/config/secret.ts';

const files = new Map([
  ['/token', 'hunter2\n'],
  ['/empty', '\n'],
  ['/inner', ' two\nlines\r\n'],
]);
const source = {
  readText: (path: string): Promise<string> => {
    const text = files.get(path);
    return text === undefined ? Promise.reject(new Error('ENOENT')) : Promise.resolve(text);
  },
  env: { TOKEN: 'from-env', EMPTY: '' },
};

test.each([
  [{ kind: 'literal', value: 'as it is ' } as const, 'as it is '],
  [{ kind: 'env', name: 'TOKEN' } as const, 'from-env'],
  [{ kind: 'file', path: '/token' } as const, 'hunter2'],
  // One line break at the end is the editor's; all else belongs to the secret.
  [{ kind: 'file', path: '/inner' } as const, ' two\nlines'],
])('%j is %j', async (secret, value) => {
  expect(await resolveSecret(secret, source)).toBe(value);
});

test.each([
  [{ kind: 'env', name: 'MISSING' } as const, 'The variable MISSING is not set.'],
  [{ kind: 'env', name: 'EMPTY' } as const, 'The variable EMPTY is not set.'],
  [{ kind: 'file', path: '/missing' } as const, 'The file /missing cannot be read.'],
  [{ kind: 'file', path: '/empty' } as const, 'The file /empty is empty.'],
])('%j leads nowhere', async (secret, message) => {
  await expect(resolveSecret(secret, source)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message,
    remedy: expect.stringMatching(/^[A-Z].*\.$/),
  });
});

test('is shown by where it is kept', () => {
  expect(describeSecret({ kind: 'literal', value: 'hunter2' })).toBe('***');
  expect(describeSecret({ kind: 'env', name: 'TOKEN' })).toBe('env:TOKEN');
  expect(describeSecret({ kind: 'file', path: '/token' })).toBe('file:/token');
});
