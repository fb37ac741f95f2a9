import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatIsoTime } from '../../../src/base/iso-time.ts';

test('is what Date says, for every day of ten thousand years', () => {
  const range = { min: -62_167_219_200_000, max: Date.UTC(9999, 11, 31) };
  fc.assert(
    fc.property(fc.integer(range), (wallMs) => {
      expect(formatIsoTime(wallMs)).toBe(new Date(wallMs).toISOString());
    }),
    { numRuns: 2000 },
  );
});

test.each([0, -1, 951_782_400_000, 4_107_542_399_999])('%i', (wallMs) => {
  expect(formatIsoTime(wallMs)).toBe(new Date(wallMs).toISOString());
});
