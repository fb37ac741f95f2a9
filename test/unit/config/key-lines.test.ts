import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findKeyLines } from '../../../src/config/key-lines.ts';

const SOURCE = `# a comment with [brackets] = and "quotes"
top = 1
[storage] # behind a header
path = "C:\\\\ # not a comment"
"quoted key" = 'lit # eral'
wear.budget = "4GiB/day"
text = """
[not.a.header]
fake = "x"
"""
after = '''
also = 'fake'
'''
[[stream]]
name = "a"
topics = [
  "one", # first
  "two",
]
[[stream]]
name = "b"
[[uplink]]
name = "u"
[uplink.mqtt]
url = "mqtt://h"
downlink = [
  { filter = "a", topic = "t" },
  { filter = "b" } ]
[[uplink]]
mqtt = { url = "x", tls = { ca = "y" } }
[[uplink.extra]]
x = 1
[[uplink.extra]]
x = 2
`;

test.each([
  ['top', 2],
  ['storage', 3],
  ['storage.path', 4],
  ['storage."quoted key"', 5],
  ['storage.wear', 6],
  ['storage.wear.budget', 6],
  ['storage.text', 7],
  ['storage.after', 11],
  ['stream', 14],
  ['stream[0]', 14],
  ['stream[0].topics', 16],
  ['stream[0].topics[0]', 17],
  ['stream[0].topics[1]', 18],
  ['stream[1]', 20],
  ['stream[1].name', 21],
  ['uplink[0].mqtt', 24],
  ['uplink[0].mqtt.url', 25],
  ['uplink[0].mqtt.downlink[0].topic', 27],
  ['uplink[0].mqtt.downlink[1].filter', 28],
  ['uplink[1].mqtt.url', 30],
  ['uplink[1].mqtt.tls.ca', 30],
  ['uplink[1].extra[0].x', 32],
  ['uplink[1].extra[1].x', 34],
])('%s is on line %i', (path, line) => {
  expect(findKeyLines(SOURCE).get(path)).toBe(line);
});

test('text in strings is no key', () => {
  const paths = [...findKeyLines(SOURCE).keys()];
  expect(paths.filter((path) => /fake|header|also/.test(path))).toEqual([]);
});

test('line ends of Windows count once', () => {
  expect(findKeyLines('a = 1\r\n[b]\r\nc = 2\r\n').get('b.c')).toBe(3);
});

test('whatever the text, it is scanned without a throw and no line is beyond its end', () => {
  const pieces = fc.constantFrom(
    '[',
    ']',
    '[[',
    '"',
    "'",
    '"""',
    '=',
    '.',
    ',',
    '{',
    '}',
    '#',
    '\n',
    'a',
    '\\',
    ' ',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      const source = parts.join('');
      const lines = source.split('\n').length;
      expect([...findKeyLines(source).values()].filter((line) => line > lines)).toEqual([]);
    }),
    { numRuns: 500 },
  );
});
