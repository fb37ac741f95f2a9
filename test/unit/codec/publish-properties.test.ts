import { describe, expect, test } from 'vitest';
import {
  concatProperties,
  encodePublishProperties,
  encodeSubscriptionIds,
  forwardableProperties,
  parsePublishProperties,
  scanPublishProperties,
  withMessageExpiry,
  withoutMessageExpiry,
} from '../../../src/codec/publish-properties.ts';
import { bytes, refusal, toHex } from './bytes.ts';

const parse = (data: Uint8Array) => parsePublishProperties(data, 0, data.length);
const newScan = () => ({
  topicAlias: 0,
  messageExpirySeconds: -1,
  payloadFormat: -1,
  subscriptionIds: 0,
});
const scan = (data: Uint8Array) => {
  const result = newScan();
  scanPublishProperties(data, 0, data.length, result);
  return result;
};

const everything = `01 01 02 80000000 03 0001 't' 08 0003 'r/s' 09 0002 ff00 0b 8001
                    23 0007 26 0001 'b' 0001 '1' 26 0001 'a' 0000 26 0001 'b' 0001 '2'`;

test('every property of a PUBLISH comes out, user properties in order [MQTT-3.3.2-18]', () => {
  const expected = {
    payloadFormat: 1,
    messageExpirySeconds: 0x8000_0000,
    contentType: 't',
    responseTopic: 'r/s',
    correlationData: Uint8Array.of(0xff, 0),
    topicAlias: 7,
    subscriptionIds: [128],
    userProperties: [
      ['b', '1'],
      ['a', ''],
      ['b', '2'],
    ],
  };
  expect(parse(bytes(everything))).toEqual(expected);
  expect(toHex(encodePublishProperties(parse(bytes(everything))))).toBe(toHex(bytes(everything)));
});

test('a scan tells what a broker acts on, and forgets what the last one found', () => {
  const result = newScan();
  const data = bytes(everything);
  scanPublishProperties(data, 0, data.length, result);
  expect(result).toEqual({
    topicAlias: 7,
    messageExpirySeconds: 0x8000_0000,
    payloadFormat: 1,
    subscriptionIds: 1,
  });
  scanPublishProperties(data, 0, 0, result);
  expect(result).toEqual(newScan());
});

describe('both readers refuse', () => {
  test.each([
    ['a payload format twice', '01 00 01 00', '0x82'],
    ['an expiry twice', '02 00000001 02 00000001', '0x82'],
    ['a topic alias twice', '23 0001 23 0001', '0x82'],
    ['a content type twice', "03 0001 'a' 03 0001 'a'", '0x82'],
    ['a response topic twice', "08 0001 'a' 08 0001 'a'", '0x82'],
    ['correlation data twice', '09 0000 09 0000', '0x82'],
    ['topic alias 0 [MQTT-3.3.2-8]', '23 0000', '0x82'],
    ['payload format 2', '01 02', '0x82'],
    ['subscription identifier 0', '0b 00', '0x82'],
    ['a wildcard in the response topic [MQTT-3.3.2-14]', "08 0003 'a/+'", '0x82'],
    ['a content type that is not UTF-8', '03 0001 ff', '0x81'],
    ['a user property name that is not UTF-8', "26 0001 ff 0001 'a'", '0x81'],
    ['a user property value with U+0000', "26 0001 'a' 0001 00", '0x81'],
    ["another packet's property", '11 00000001', '0x82'],
    ['an unknown property', '7e 00', '0x81'],
    ['a cut number', '02 0000', '0x81'],
    ['a cut string', "03 0002 'a'", '0x81'],
    ['a cut string length', '03 00', '0x81'],
    ['a user property without a value', "26 0001 'a'", '0x81'],
    ['a cut subscription identifier', '0b 80', '0x81'],
    ['a subscription identifier of five bytes', '0b 80 80 80 80 01', '0x81'],
    ['a subscription identifier that is not minimal', '0b 81 00', '0x81'],
    ['an identifier that is not minimal', '81 00 00', '0x81'],
  ])('%s', (_, data, code) => {
    expect(refusal(() => parse(bytes(data)))).toBe(code);
    expect(refusal(() => scan(bytes(data)))).toBe(code);
  });

  test('what reaches beyond the end into the payload', () => {
    const data = bytes("03 0001 'a'");
    expect(refusal(() => parsePublishProperties(data, 0, 3))).toBe('0x81');
    expect(refusal(() => scanPublishProperties(data, 0, 3, newScan()))).toBe('0x81');
  });
});

describe('forwarding', () => {
  test('leaves out the topic alias and the subscription identifiers, and keeps the rest as it was', () => {
    const data = bytes(`ee ${everything} ee`);
    const expected = `01 01 02 80000000 03 0001 't' 08 0003 'r/s' 09 0002 ff00
                      26 0001 'b' 0001 '1' 26 0001 'a' 0000 26 0001 'b' 0001 '2'`;
    expect(toHex(forwardableProperties(data, 1, data.length - 1))).toBe(toHex(bytes(expected)));
    expect(toHex(data)).toBe(toHex(bytes(`ee ${everything} ee`)));
  });

  test.each([
    ['0b 01 23 0001', ''],
    ["0b 01 03 0001 'a' 0b 02", "03 0001 'a'"],
    ["03 0001 'a' 23 0001", "03 0001 'a'"],
  ])('of %s gives %s', (data, expected) => {
    const raw = bytes(data);
    expect(toHex(forwardableProperties(raw, 0, raw.length))).toBe(toHex(bytes(expected)));
  });

  test('copies nothing where there is nothing to leave out', () => {
    const data = bytes("03 0001 'a' 01 01");
    const forwardable = forwardableProperties(data, 0, data.length);
    expect(toHex(forwardable)).toBe(toHex(data));
    expect(forwardable.buffer).toBe(data.buffer);
  });
});

test('the seconds left replace the message expiry [MQTT-3.3.2-6]', () => {
  const kept = withoutMessageExpiry(bytes("01 01 02 0000000a 03 0001 'a'"));
  expect(toHex(kept)).toBe(toHex(bytes("01 01 03 0001 'a'")));
  expect(parse(withMessageExpiry(kept, 7)).messageExpirySeconds).toBe(7);
});

test('subscription identifiers are put beside what a message has [MQTT-3.3.4-3]', () => {
  const ids = encodeSubscriptionIds([1, 128, 268_435_455]);
  expect(toHex(ids)).toBe('0b010b80010bffffff7f');
  const both = parse(concatProperties(bytes("03 0001 'a'"), ids));
  expect(both).toMatchObject({ contentType: 'a', subscriptionIds: [1, 128, 268_435_455] });
  expect(concatProperties(ids, new Uint8Array(0))).toBe(ids);
});
