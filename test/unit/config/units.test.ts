import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nearest } from '../../../src/config/issue.ts';
import {
  describeSize,
  formatDuration,
  formatRate,
  formatSize,
  parseDuration,
  parseRate,
  parseSize,
} from '../../../src/config/units.ts';

test.each([
  ['0B', 0],
  ['1KiB', 1024],
  ['1.5MiB', 1_572_864],
  ['30TB', 30e12],
  ['2 GiB', 2 ** 31],
  ['10kB', 10_000],
])('size %s', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each([
  [30e12, '30TB'],
  [2 ** 28, '256MiB'],
  [1e12, '1TB'],
  [1_000 * 1024, '1000KiB'],
  [1_000_001, '1000001B'],
])('%s bytes are written %s', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text);
});

test.each([
  [5, 'messages', '5msg/s'],
  [7 / 60, 'connections', '7/min'],
  [1 / 3600, 'messages', '1msg/h'],
  [2 ** 32 / 86_400, 'bytes', '4GiB/day'],
] as const)('%s a second are written as a rate of %s: %s', (perSecond, unit, text) => {
  expect(formatRate(perSecond, unit)).toBe(text);
});

test.each(['', '1', '1024', '-1MiB', '1mib', '1Mi', '1 2MiB', 'MiB', '1e3KiB', '.5MiB', '5MiB/s'])(
  '%j is no size',
  (text) => {
    expect(parseSize(text)).toBeUndefined();
  },
);

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['1.5h', 5_400_000],
  ['7d', 604_800_000],
  ['1y', 31_557_600_000],
])('duration %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['5', '5 min utes', '5M', '-5s', '5s5ms'])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each([
  ['500msg/s', 'messages', 500],
  ['600/min', 'messages', 10],
  ['64KiB/s', 'bytes', 65_536],
  ['86400KiB/day', 'bytes', 1024],
  ['200conn/s', 'connections', 200],
] as const)('rate %s', (text, unit, perSecond) => {
  expect(parseRate(text, unit)).toBe(perSecond);
});

test.each([
  ['500msg', 'messages'],
  ['500/s', 'bytes'],
  ['64KiB/s', 'messages'],
  ['5conn/s', 'messages'],
  ['5/week', 'messages'],
] as const)('%j is no rate of %s', (text, unit) => {
  expect(parseRate(text, unit)).toBeUndefined();
});

test('what is formatted is read back exactly', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (value) => {
      expect(parseSize(formatSize(value))).toBe(value);
      expect(parseDuration(formatDuration(value))).toBe(value);
    }),
  );
  expect([formatSize(2 ** 28), formatSize(1e9), formatDuration(604_800_000)]).toEqual([
    '256MiB',
    '1GB',
    '7d',
  ]);
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [707_788_800, '675 MiB'],
])('%i bytes are shown as %s', (bytes, text) => {
  expect(describeSize(bytes)).toBe(text);
});

test.each([
  ['sise', 'size'],
  ['szie', 'size'],
  ['maxage', 'max_age'],
  ['Partitions', 'partitions'],
  ['colour', undefined],
  ['x', undefined],
])('"%s" was meant as %j', (word, meant) => {
  const keys = ['size', 'segment', 'max_age', 'partitions', 'quota'];
  expect(nearest(word, keys)).toBe(meant);
});
