import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteCopier } from '../../../src/base/byte-copier.ts';
import { copyBytes } from '../../../src/base/copy-bytes.ts';

test('copies any part of any source to any place, and touches nothing beside it', () => {
  const target = new Uint8Array(1024).fill(0xaa, 0);
  const copier = new ByteCopier(target);
  const sources = [randomBytes(700), new Uint8Array(randomBytes(700)).subarray(13)];
  const places = fc.record({
    source: fc.constantFrom(...sources),
    start: fc.nat(300),
    length: fc.nat(380),
    at: fc.nat(600),
    byWords: fc.boolean(),
  });
  fc.assert(
    fc.property(places, ({ source, start, length, at, byWords }) => {
      target.fill(0xaa);
      const end = start + length;
      const next = byWords
        ? copier.copy(at, source, start, end)
        : copyBytes(target, at, source, start, end);
      const expected = new Uint8Array(1024).fill(0xaa);
      expected.set(source.subarray(start, end), at);
      expect(next).toBe(at + length);
      expect(Buffer.compare(target, expected)).toBe(0);
    }),
    { numRuns: 2000 },
  );
});
