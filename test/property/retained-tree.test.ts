import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RetainedTree } from '../../src/broker/retained-tree.ts';
import { topicMatchesFilter } from '../../src/codec/topic.ts';

const level = fc.constantFrom('', 'a', 'b', '$x');
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filter = fc
  .tuple(
    fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }),
    fc.constantFrom('+', '#', 'a', ''),
  )
  .map(([levels, last]) => [...levels, last].join('/'));

test('what a filter finds is what matches it, of what is there', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ topic, isSet: fc.boolean() }), { maxLength: 40 }),
      fc.array(filter, { minLength: 1, maxLength: 10 }),
      (changes, filters) => {
        const tree = new RetainedTree<{ readonly topic: string; readonly at: number }>();
        const model = new Map<string, number>();
        for (const [at, { topic: name, isSet }] of changes.entries()) {
          if (isSet) {
            tree.set(name, { topic: name, at });
            model.set(name, at);
          } else {
            tree.delete(name);
            model.delete(name);
          }
        }
        for (const each of filters) {
          const found = tree.matching(each).map((value) => `${value.topic} ${value.at}`);
          const expected = [...model].filter(([name]) => topicMatchesFilter(name, each));
          expect(found.sort()).toEqual(expected.map(([name, at]) => `${name} ${at}`).sort());
        }
      },
    ),
    { numRuns: 1_000 },
  );
});
