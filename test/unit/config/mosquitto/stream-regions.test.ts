import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cutIntoRegions } from '../../../../src/config/mosquitto/stream-regions.ts';
import { filterCovers, filterProblem } from '../../../../src/config/topic-filter.ts';

/** A topic without wildcards is a filter that only it matches. */
const matches = (filter: string, topic: string): boolean => filterCovers(filter, topic);

describe('regions', () => {
  test.each([
    [
      [['a/#'], ['#']],
      [
        [[0, 1], 'a/#'],
        [[1], '#'],
      ],
    ],
    [
      [['a/+/c'], ['a/b/#']],
      [
        [[0, 1], 'a/b/c'],
        [[0], 'a/+/c'],
        [[1], 'a/b/#'],
      ],
    ],
    [[['a/#', 'a/b']], [[[0], 'a/#']]],
    [
      [['a/#'], ['a']],
      [
        [[0, 1], 'a'],
        [[0], 'a/#'],
      ],
    ],
    [
      [['x'], ['y']],
      [
        [[0], 'x'],
        [[1], 'y'],
      ],
    ],
  ])('of %j', (readers, expected) => {
    const regions = cutIntoRegions(readers) ?? [];
    expect(regions.map(({ owners, filters }) => [owners, filters.join()])).toEqual(expected);
  });

  test('the first that matches a topic has exactly its readers', () => {
    const level = fc.constantFrom('a', 'b', '+', '#', '$x', '');
    const filter = fc
      .array(level, { minLength: 1, maxLength: 4 })
      .map((levels) => levels.join('/'))
      .filter((text) => filterProblem(text) === undefined);
    const topic = fc
      .array(fc.constantFrom('a', 'b', 'c', '$x', ''), { minLength: 1, maxLength: 5 })
      .map((levels) => levels.join('/'))
      .filter((text) => text !== '');
    fc.assert(
      fc.property(
        fc.array(fc.array(filter, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }),
        fc.array(topic, { minLength: 20, maxLength: 20 }),
        (readers, topics) => {
          const regions = cutIntoRegions(readers) ?? [];
          expect(regions.length).toBeGreaterThan(0);
          for (const each of topics) {
            const wanted = [...readers.keys()].filter((index) =>
              readers[index]?.some((one) => matches(one, each)),
            );
            const found = regions.find(({ filters }) => filters.some((one) => matches(one, each)));
            expect(found?.owners ?? []).toEqual(wanted);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('beyond measure are not cut', () => {
    const reader = (part: number): string[] =>
      Array.from({ length: 12 }, (_, index) =>
        Array.from({ length: 12 }, (_level, at) => (at === index ? `${part}` : '+')).join('/'),
      );
    expect(cutIntoRegions([reader(1), reader(1), reader(1)])).toBeUndefined();
  });
});
