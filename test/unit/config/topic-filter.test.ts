import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isValidTopicFilter, topicMatchesFilter } from '../../../src/codec/topic.ts';
import { filterCovers, filterProblem, filtersMeet } from '../../../src/config/topic-filter.ts';

const level = fc.constantFrom('a', 'b', '', '$s', '+');
const filter = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, isOpen]) => (isOpen ? [...levels, '#'] : levels).join('/'))
  .filter((text) => text !== '');

/** Every topic of up to four levels out of a few names. */
const topics = (() => {
  const names = ['a', 'b', '', '$s', 'other'];
  let all = names;
  let last = names;
  for (let depth = 1; depth < 4; depth++) {
    last = last.flatMap((prefix) => names.map((name) => `${prefix}/${name}`));
    all = [...all, ...last];
  }
  return all.filter((topic) => topic !== '');
})();

describe('against the matching that the broker does', () => {
  test('a filter that covers another matches all that it matches', () => {
    fc.assert(
      fc.property(filter, filter, (wide, narrow) => {
        fc.pre(filterCovers(wide, narrow));
        const missed = topics.filter(
          (topic) => topicMatchesFilter(topic, narrow) && !topicMatchesFilter(topic, wide),
        );
        expect(missed).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  test('filters meet if some topic is matched by both', () => {
    fc.assert(
      fc.property(filter, filter, (one, other) => {
        fc.pre(!filtersMeet(one, other));
        const both = topics.filter(
          (topic) => topicMatchesFilter(topic, one) && topicMatchesFilter(topic, other),
        );
        expect(both).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  test('what is a filter is the same here and there', () => {
    const pieces = fc.constantFrom('a', '/', '+', '#', '$', '\0', 'é');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 6 }), (parts) => {
        const text = parts.join('');
        expect(filterProblem(text) === undefined).toBe(isValidTopicFilter(text));
      }),
    );
  });
});

test.each([
  ['#', 'a/b', true],
  ['#', '$SYS/a', false],
  ['a/#', 'a', true],
  ['a/#', 'a/+/c', true],
  ['a/+', 'a/b', true],
  ['a/+', 'a/#', false],
  ['a', 'a/#', false],
  ['+/b', 'a/b', true],
  ['a/b', 'a/+', false],
])('%s covers %s: %s', (wide, narrow, covers) => {
  expect(filterCovers(wide, narrow)).toBe(covers);
});

test.each([
  ['a/#', '+/b', true],
  ['a/+', 'b/+', false],
  ['#', '$SYS/#', false],
  ['a/+/c', 'a/b/+', true],
  ['a', 'a/#', true],
  ['a/b', 'a', false],
])('%s meets %s: %s', (one, other, meet) => {
  expect(filtersMeet(one, other)).toBe(meet);
  expect(filtersMeet(other, one)).toBe(meet);
});
