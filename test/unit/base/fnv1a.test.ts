import { expect, it } from 'vitest';
import { fnv1a } from '../../../src/base/fnv1a.ts';

it.each([
  ['', 0x811c9dc5],
  ['a', 0xe40c292c],
  ['foobar', 0xbf9cf968],
])('FNV-1a of "%s" is the published value', (text, hash) => {
  expect(fnv1a(Buffer.from(text))).toBe(hash);
});

it('continues from a hash as if both pieces were one', () => {
  expect(fnv1a(Buffer.from('bar'), fnv1a(Buffer.from('foo')))).toBe(0xbf9cf968);
});
