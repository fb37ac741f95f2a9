import { describe, expect, test } from 'vitest';
import { CisternError } from '../../../src/base/errors.ts';
import type { Qos } from '../../../src/codec/control-packet.ts';
import {
  decodeMessageAttributes,
  encodeMessageAttributes,
  MessageAttributesEncoder,
} from '../../../src/codec/stored-message.ts';
import { bytes, toHex } from './bytes.ts';

const none = new Uint8Array(0);

describe('what a message costs on flash beside topic and payload', () => {
  test.each([
    ['QoS 0', 0, false, ''],
    ['QoS 1', 1, false, '01'],
    ['QoS 2', 2, false, '02'],
    ['QoS 0, retained', 0, true, '04'],
    ['QoS 1, retained', 1, true, '05'],
  ] as const)('%s', (_, qos, retain, expected) => {
    const attributes = encodeMessageAttributes(qos, retain, none);
    expect(toHex(attributes)).toBe(expected);
    expect(decodeMessageAttributes(attributes)).toEqual({ qos, retain, properties: none });
  });

  test('properties cost their own bytes', () => {
    const properties = bytes("03 0001 'a'");
    const attributes = encodeMessageAttributes(1, false, properties);
    expect(toHex(attributes)).toBe(`21${toHex(properties)}`);
    expect(toHex(decodeMessageAttributes(attributes).properties)).toBe(toHex(properties));
  });
});

test('a message expiry is kept apart from the properties', () => {
  const attributes = encodeMessageAttributes(1, false, bytes("02 0000000a 03 0001 'a'"));
  expect(toHex(attributes)).toBe('290000000a03000161');
  const decoded = decodeMessageAttributes(attributes);
  expect(decoded.expirySeconds).toBe(10);
  expect(toHex(decoded.properties)).toBe('03000161');
});

test('the longest expiry fits', () => {
  const attributes = encodeMessageAttributes(0, false, bytes('02 ffffffff'));
  const decoded = decodeMessageAttributes(attributes);
  expect(decoded.expirySeconds).toBe(4_294_967_295);
  expect(decoded.properties).toHaveLength(0);
});

test('the receipt of a QoS 2 message is one record with it', () => {
  const receipt = { clientId: 'sensor-ä', packetId: 0xfffe };
  const attributes = encodeMessageAttributes(2, true, bytes('01 01'), receipt);
  expect(toHex(attributes)).toBe(toHex(bytes("36 fffe 0009 'sensor-ä' 01 01")));
  expect(decodeMessageAttributes(attributes)).toMatchObject({ qos: 2, retain: true, receipt });
  expect(toHex(decodeMessageAttributes(attributes).properties)).toBe('0101');
});

test('the reusing encoder gives the same bytes, message after message', () => {
  const encoder = new MessageAttributesEncoder();
  const receipt = { clientId: 'c'.repeat(5000), packetId: 1 };
  const messages: [Qos, boolean, Uint8Array, { clientId: string; packetId: number }?][] = [
    [2, false, bytes('02 00000001 01 01'), receipt],
    [1, true, bytes('01 01')],
    [1, false, none],
    [2, false, none, { clientId: '', packetId: 9 }],
  ];
  for (const message of messages) {
    expect(toHex(encoder.encode(...message))).toBe(toHex(encodeMessageAttributes(...message)));
  }
});

test('plain messages share their bytes', () => {
  const encoder = new MessageAttributesEncoder();
  expect(encoder.encode(1, false, none)).toBe(encoder.encode(1, false, none));
});

test.each([
  ['an unknown flag', '41'],
  ['QoS 3', '03'],
  ['a cut expiry', '09 000000'],
  ['a cut receipt', '12 0001 00'],
  ['a cut client id', "12 0001 0002 'a'"],
  ['bytes nobody announced', '01 00'],
])('%s is damage, and said so', (_, data) => {
  const decode = () => decodeMessageAttributes(bytes(data));
  expect(decode).toThrow(CisternError);
  expect(decode).toThrow(expect.objectContaining({ code: 'RING_DAMAGED' }));
});
