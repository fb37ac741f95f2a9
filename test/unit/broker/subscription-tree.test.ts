import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SubscriptionTree } from '../../../src/broker/subscription-tree.ts';
import { topicMatchesFilter } from '../../../src/codec/topic.ts';

const level = fc.constantFrom('a', 'b', '', '$x');
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'));

function matches(tree: SubscriptionTree<string>, name: string): string[] {
  const found: string[] = [];
  tree.match(name, found);
  return found.sort();
}

test('finds just the filters that match one by one, whatever was removed before', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(filter, { maxLength: 12 }),
      fc.array(fc.nat(11), { maxLength: 6 }),
      topic,
      (filters, removed, name) => {
        const tree = new SubscriptionTree<string>();
        for (const each of filters) tree.add(each, each);
        const gone = new Set(removed.map((index) => filters[index]));
        for (const each of gone) if (each !== undefined) tree.remove(each, each);
        const expected = filters
          .filter((each) => !gone.has(each) && topicMatchesFilter(name, each))
          .sort();
        expect(matches(tree, name)).toEqual(expected);
      },
    ),
  );
});

test('a leading wildcard does not match a topic that begins with $ [MQTT-4.7.2-1]', () => {
  const tree = new SubscriptionTree<string>();
  for (const each of ['#', '+/broker', '$SYS/#', '$SYS/+']) tree.add(each, each);
  expect(matches(tree, '$SYS/broker')).toEqual(['$SYS/#', '$SYS/+']);
});

test('# also matches the level above it [MQTT-4.7.1-2]', () => {
  const tree = new SubscriptionTree<string>();
  tree.add('sport/#', 'sport/#');
  expect(matches(tree, 'sport')).toEqual(['sport/#']);
});
