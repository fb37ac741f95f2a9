import { expect, test } from 'vitest';
import { meantDuration, meantRate, meantSize } from '../../../src/config/unit-slips.ts';

test.each([
  ['100TBW', '100TB'],
  ['30 tb', '30TB'],
  ['64mib', '64MiB'],
  ['64Mi', '64MiB'],
  ['1.5 G', '1.5GB'],
  ['30 Gigabytes', '30GB'],
  ['512 bytes', '512B'],
  ['100', undefined],
  ['100 writes', undefined],
])('a size %j: %j', (text, meant) => {
  expect(meantSize(text)).toBe(meant);
});

test.each([
  ['5 years', '5y'],
  ['60 months', '5y'],
  ['7 months', '213d'],
  ['90 min', '90m'],
  ['2 Weeks', '2w'],
  // Minutes, or months?
  ['5M', undefined],
  ['5', undefined],
])('a duration %j: %j', (text, meant) => {
  expect(meantDuration(text)).toBe(meant);
});

test.each([
  ['4 GiB per day', '4GiB/day'],
  ['4GiB', '4GiB/day'],
  ['64 kb/second', '64KB/s'],
  ['100TBW/y', undefined],
  ['plenty', undefined],
])('a rate %j: %j', (text, meant) => {
  expect(meantRate(text, 'bytes', 'day')).toBe(meant);
});
