import { describe, expect, test } from 'vitest';
import {
  encodePublish,
  packetIdPosition,
  publishSize,
  writeAck,
  writeAckWithReason,
  writePublish,
  writeUint16,
} from '../../../src/codec/publish-encoder.ts';
import { bytes, received, toHex } from './bytes.ts';

const topic = Buffer.from('a/b');
const none = new Uint8Array(0);

describe('PUBLISH', () => {
  test('of QoS 0 in 3.1.1 is header, topic and payload', () => {
    const { bytes: packet } = encodePublish(4, topic, 0, false, false, 0, none, Buffer.from('hi'));
    expect(toHex(packet)).toBe(toHex(bytes("30 07 0003 'a/b' 'hi'")));
  });

  test('of QoS 2, retained and sent again, has its flags and packet identifier', () => {
    const { bytes: packet } = encodePublish(4, topic, 2, true, true, 0x1234, none, none);
    expect(toHex(packet)).toBe(toHex(bytes("3d 07 0003 'a/b' 1234")));
  });

  test('in 5.0 has the length of its properties also where there are none', () => {
    const { bytes: packet } = encodePublish(5, topic, 1, false, false, 9, none, Buffer.from('hi'));
    expect(toHex(packet)).toBe(toHex(bytes("32 0a 0003 'a/b' 0009 00 'hi'")));
  });

  test('carries raw properties in 5.0 and leaves them out below', () => {
    const properties = bytes("03 0001 'x'");
    const in5 = encodePublish(5, topic, 0, false, false, 0, properties, none);
    expect(toHex(in5.bytes)).toBe(toHex(bytes("30 0a 0003 'a/b' 04 03 0001 'x'")));
    const in4 = encodePublish(4, topic, 0, false, false, 0, properties, none);
    expect(toHex(in4.bytes)).toBe(toHex(bytes("30 05 0003 'a/b'")));
  });

  test('lies where it was put, and nothing beside it is touched', () => {
    const size = publishSize(4, topic.length, 0, 0, 2);
    const target = new Uint8Array(size + 4).fill(0xee);
    const end = writePublish(target, 2, 4, topic, 0, false, false, 0, none, Buffer.from('hi'));
    expect(end).toBe(2 + size);
    expect(toHex(target)).toBe(`eeee${toHex(bytes("30 07 0003 'a/b' 'hi'"))}eeee`);
  });

  // Around each length at which the remaining length takes one more byte.
  test.each([0, 1, 120, 121, 122, 123, 124, 16_370, 16_376, 16_377, 16_378, 16_379, 2_097_150])(
    'with %i bytes of payload, a patched packet identifier is what a receiver reads',
    (payloadBytes) => {
      for (const version of [4, 5] as const) {
        const payload = Buffer.alloc(payloadBytes, 'p');
        const { bytes: packet, packetIdAt } = encodePublish(
          version,
          topic,
          1,
          false,
          false,
          1,
          none,
          payload,
        );
        expect(packet.length).toBe(publishSize(version, 3, 1, 0, payloadBytes));
        expect(packetIdPosition(packet.length, 3)).toBe(packetIdAt);
        writeUint16(packet, packetIdAt, 0xabcd);
        if (packet.length > 1_000_000) continue;
        expect(received(version, packet)).toMatchObject([
          { topic: 'a/b', packetId: 0xabcd, payload: toHex(payload) },
        ]);
      }
    },
  );

  test('properties of more than 127 bytes have a length of two', () => {
    const properties = Buffer.concat([bytes('03 00c8'), Buffer.alloc(200, 'x')]);
    const { bytes: packet } = encodePublish(5, topic, 0, false, false, 0, properties, none);
    expect(received(5, packet)).toMatchObject([{ properties: toHex(properties), payload: '' }]);
  });
});

describe('acknowledgements', () => {
  test.each([
    [4, '40020102'],
    [5, '50020102'],
    [6, '62020102'],
    [7, '70020102'],
  ] as const)('of type %i are four bytes', (type, hex) => {
    const target = new Uint8Array(4);
    expect(writeAck(target, 0, type, 0x0102)).toBe(4);
    expect(toHex(target)).toBe(hex);
  });

  test('with a reason are five', () => {
    const target = new Uint8Array(6);
    expect(writeAckWithReason(target, 1, 6, 0x0102, 0x92)).toBe(6);
    expect(toHex(target)).toBe('006203010292');
  });
});
