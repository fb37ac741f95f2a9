import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AclAccess, parseAclFile } from '../../src/auth/acl-file.ts';
import { covers, intersection } from '../../src/auth/filter-algebra.ts';
import { TopicRights } from '../../src/auth/topic-rights.ts';
import { topicMatchesFilter } from '../../src/codec/topic.ts';

// Few levels of few names, so that filters meet; every topic there is of them can then be tried.
const LEVELS = ['a', 'b', '$s'];
const TOPICS = [1, 2, 3].flatMap(allTopics).concat('a/b/a/b', '');

function allTopics(levels: number): string[] {
  if (levels === 1) return LEVELS;
  return allTopics(levels - 1).flatMap((head) => LEVELS.map((tail) => `${head}/${tail}`));
}

const filter = fc
  .tuple(fc.array(fc.constantFrom(...LEVELS, '+'), { minLength: 0, maxLength: 3 }), fc.boolean())
  .map(([levels, isOpen]) =>
    [...levels, ...(isOpen || levels.length === 0 ? ['#'] : [])].join('/'),
  );

const access = fc.constantFrom<AclAccess>('read', 'write', 'readwrite', 'deny');

const line = fc.oneof(
  fc.tuple(access, filter).map(([word, text]) => `topic ${word} ${text}`),
  fc.tuple(access, filter).map(([word, text]) => `pattern ${word} ${text}`),
  fc
    .tuple(access, filter, fc.constantFrom('%c', '%u'))
    .map(([word, text, sign]) => `pattern ${word} ${text.replace(/[ab]/, sign)}`),
  fc.constantFrom('user a', 'user b', '# a comment', ''),
);

const principal = fc.record({
  username: fc.constantFrom(undefined, 'a', 'b', 'c'),
  clientId: fc.constantFrom('a', 'b', '$s', '+'),
});

type Who = { readonly username: string | undefined; readonly clientId: string };

/**
 * What Mosquitto's manual says, as slowly as it says it: for each question the file is read from the
 * top, one regular expression a filter.
 */
function model(text: string, who: Who, topic: string, wanted: 'read' | 'write'): boolean {
  const rules: { list: 'own' | 'pattern'; access: string; filter: string }[] = [];
  let section: string | undefined;
  for (const each of text.split('\n')) {
    const [word, first, second] = each.split(' ') as [string, string, string];
    if (word === 'user') section = first;
    const isDangerous = /[+#]/.test(who.clientId) || /[+#]/.test(who.username ?? '');
    if (word === 'topic' && section === who.username) {
      rules.push({ list: 'own', access: first, filter: second });
    } else if (word === 'pattern' && !isDangerous) {
      if (second.includes('%u') && who.username === undefined) continue;
      const own = second.replaceAll('%c', who.clientId).replaceAll('%u', who.username ?? '');
      if (own.startsWith('$') && !second.startsWith('$')) continue;
      rules.push({ list: 'pattern', access: first, filter: own });
    }
  }
  for (const list of ['own', 'pattern']) {
    const matching = rules.filter((rule) => rule.list === list && matches(rule.filter, topic));
    if (matching.some((rule) => rule.access === 'deny')) return false;
    if (matching.some((rule) => rule.access === wanted || rule.access === 'readwrite')) return true;
  }
  return false;
}

function matches(pattern: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(pattern)) return false;
  const source = pattern
    .replace(/[$]/g, '[$]')
    .replace(/\+/g, '[^/]*')
    .replace(/(^|\/)#$/, (_, before: string) => (before === '' ? '.*' : '(/.*)?'));
  return new RegExp(`^${source}$`).test(topic);
}

describe('rights', () => {
  test('are what the slow model says, for every topic', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), principal, (lines, who) => {
        const text = lines.join('\n');
        const rights = TopicRights.ofFile(parseAclFile(text, 'acl'), who);
        for (const topic of TOPICS) {
          expect([topic, rights.mayRead(topic)]).toEqual([topic, model(text, who, topic, 'read')]);
          expect([topic, rights.mayPublish(topic)]).toEqual([
            topic,
            model(text, who, topic, 'write'),
          ]);
        }
      }),
      { numRuns: 1_500 },
    );
  });

  test('refuse a subscription only where no topic of it may be read', () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), principal, filter, (lines, who, wanted) => {
        const rights = TopicRights.ofFile(parseAclFile(lines.join('\n'), 'acl'), who);
        if (rights.maySubscribe(wanted)) return;
        refused++;
        const readable = TOPICS.filter((topic) => topicMatchesFilter(topic, wanted));
        expect(readable.filter((topic) => rights.mayRead(topic))).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test('refuse a subscription to one topic just where it may not be read', () => {
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 12 }),
        principal,
        fc.constantFrom(...TOPICS.filter((topic) => topic !== '')),
        (lines, who, topic) => {
          const rights = TopicRights.ofFile(parseAclFile(lines.join('\n'), 'acl'), who);
          expect(rights.maySubscribe(topic)).toBe(rights.mayRead(topic));
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('the algebra of filters', () => {
  test('an intersection matches just what both match', () => {
    fc.assert(
      fc.property(filter, filter, (one, other) => {
        const common = intersection(one, other);
        for (const topic of TOPICS) {
          const both = topicMatchesFilter(topic, one) && topicMatchesFilter(topic, other);
          const found = common !== undefined && topicMatchesFilter(topic, common);
          expect([topic, found]).toEqual([topic, both]);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('what is covered is matched whole', () => {
    let covered = 0;
    fc.assert(
      fc.property(filter, filter, (outer, inner) => {
        if (!covers(outer, inner)) return;
        covered++;
        for (const topic of TOPICS) {
          if (topicMatchesFilter(topic, inner)) {
            expect([topic, topicMatchesFilter(topic, outer)]).toEqual([topic, true]);
          }
        }
      }),
      { numRuns: 3_000 },
    );
    expect(covered).toBeGreaterThan(100);
  });
});
