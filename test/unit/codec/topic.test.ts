import { describe, expect, test } from 'vitest';
import {
  decodeTopic,
  isMqttString,
  isValidTopicFilter,
  isValidTopicName,
  isValidTopicNameText,
  isWellFormedUtf8,
  topicMatchesFilter,
} from '../../../src/codec/topic.ts';
import { bytes } from './bytes.ts';

const nameIsValid = (name: Uint8Array) => isValidTopicName(name, 0, name.length);

describe('topic names', () => {
  test.each(['a', '/', 'a/b', '/a//b/', '$SYS/x', 'Straße/温度/🌡', ' '])('%s is one', (name) => {
    expect(nameIsValid(Buffer.from(name))).toBe(true);
  });

  test.each([
    ['nothing [MQTT-4.7.3-1]', ''],
    ['+ [MQTT-3.3.2-2]', 'a/+/b'],
    ['# [MQTT-3.3.2-2]', 'a/#'],
    ['U+0000 [MQTT-4.7.3-2]', 'a\0b'],
  ])('%s is none', (_, name) => {
    expect(nameIsValid(Buffer.from(name))).toBe(false);
  });

  test.each([
    ['a/b', true],
    ['', false],
    ['a/+', false],
    ['\ud800', false],
  ])('the string %j is judged alike', (name, expected) => {
    expect(isValidTopicNameText(name)).toBe(expected);
  });

  test('only the bytes between start and end count', () => {
    const text = Buffer.from('#a/b#');
    expect(isValidTopicName(text, 1, 4)).toBe(true);
    expect(decodeTopic(text, 1, 4)).toBe('a/b');
    expect(decodeTopic(new Uint8Array(text), 1, 4)).toBe('a/b');
  });

  test('a byte order mark is kept [MQTT-1.5.4-3]', () => {
    expect(decodeTopic(bytes("ef bb bf 'a'"), 0, 4)).toBe('\u{feff}a');
  });
});

describe('UTF-8 [MQTT-1.5.4-1]', () => {
  test.each([
    ['a lone continuation byte', '80'],
    ['a cut sequence', 'e2 82'],
    ['an overlong slash in two bytes', 'c0 af'],
    ['an overlong slash in three bytes', 'e0 80 af'],
    ['an overlong code point in four bytes', 'f0 80 80 af'],
    ['a high surrogate', 'ed a0 80'],
    ['a low surrogate', 'ed bf bf'],
    ['a code point beyond U+10FFFF', 'f4 90 80 80'],
    ['a byte that is never used', 'ff'],
    ['a wrong third byte', 'e2 82 c0'],
  ])('%s is refused', (_, hex) => {
    const text = bytes(`'a' ${hex}`);
    expect(isWellFormedUtf8(text, 0, text.length)).toBe(false);
    expect(isMqttString(text, 0, text.length)).toBe(false);
    expect(nameIsValid(text)).toBe(false);
  });

  test.each(['c2 80', 'df bf', 'e0 a0 80', 'ed 9f bf', 'ee 80 80', 'f0 90 80 80', 'f4 8f bf bf'])(
    'the border case %s is accepted',
    (hex) => {
      const text = bytes(hex);
      expect(isWellFormedUtf8(text, 0, text.length)).toBe(true);
      expect(nameIsValid(text)).toBe(true);
    },
  );

  test('U+0000 may be in a payload and not in a string', () => {
    const text = bytes("'a' 00");
    expect(isWellFormedUtf8(text, 0, 2)).toBe(true);
    expect(isMqttString(text, 0, 2)).toBe(false);
  });
});

describe('topic filters', () => {
  test.each(['a', '#', '+', '/', 'a/#', '+/+', '/+', 'sport/+/player1', '$share/g/a/+', 'a//b'])(
    '%s is valid',
    (filter) => {
      expect(isValidTopicFilter(filter)).toBe(true);
    },
  );

  test.each(['', 'a#', 'a/#/b', '#/', '##', 'a+', '+a', 'a/b+/c', '++', 'a\0', '\ud800'])(
    '%j is not [MQTT-4.7.1-1] [MQTT-4.7.1-2]',
    (filter) => {
      expect(isValidTopicFilter(filter)).toBe(false);
    },
  );

  test('65,535 bytes are the most, whatever the characters [MQTT-4.7.3-3]', () => {
    expect(isValidTopicFilter('a'.repeat(65_535))).toBe(true);
    expect(isValidTopicFilter('a'.repeat(65_536))).toBe(false);
    expect(isValidTopicFilter('€'.repeat(21_845))).toBe(true);
    expect(isValidTopicFilter('€'.repeat(21_846))).toBe(false);
  });
});

describe('matching (section 4.7)', () => {
  test.each([
    ['sport/tennis/player1', 'sport/tennis/player1/#'],
    ['sport/tennis/player1/ranking', 'sport/tennis/player1/#'],
    ['sport', 'sport/#'],
    ['sport/', 'sport/#'],
    ['sport/tennis/player1', 'sport/tennis/+'],
    ['sport/', 'sport/+'],
    ['/finance', '+/+'],
    ['/finance', '/+'],
    ['a', '#'],
    ['/', '#'],
    ['a//b', 'a/+/b'],
    ['$SYS/broker/x', '$SYS/#'],
    ['$SYS/broker', '$SYS/+'],
    ['a/$SYS', 'a/#'],
    ['sport/tennis', '+/tennis/#'],
  ])('%s matches %s', (topic, filter) => {
    expect(topicMatchesFilter(topic, filter)).toBe(true);
  });

  test.each([
    ['sport/tennis/player1/ranking', 'sport/tennis/+'],
    ['sport', 'sport/+'],
    ['/finance', '+'],
    ['sports', 'sport/#'],
    ['sport', 'sports'],
    ['Sport', 'sport'],
    ['a/b', 'a'],
    ['a', 'a/b'],
    ['a', 'a/'],
    ['a/', 'a'],
    ['ab/c', 'a/c'],
    ['a', 'a/+/#'],
    ['$SYS/broker', '#'],
    ['$SYS/broker', '+/broker'],
    ['$SYS', '+'],
  ])('%s does not match %s', (topic, filter) => {
    expect(topicMatchesFilter(topic, filter)).toBe(false);
  });
});
