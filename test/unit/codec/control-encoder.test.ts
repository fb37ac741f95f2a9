import { describe, expect, test } from 'vitest';
import {
  encodeControl,
  type OutgoingControl,
  refusalReturnCode,
} from '../../../src/codec/control-encoder.ts';
import type { ProtocolVersion } from '../../../src/codec/control-packet.ts';
import { bytes, toHex } from './bytes.ts';

const cases: [string, ProtocolVersion, OutgoingControl, string][] = [
  ['CONNACK', 4, { type: 'connack', sessionPresent: true, reasonCode: 0 }, '20 02 01 00'],
  ['CONNACK', 5, { type: 'connack', sessionPresent: false, reasonCode: 0x87 }, '20 03 00 87 00'],
  [
    'CONNACK with what the server can do',
    5,
    {
      type: 'connack',
      sessionPresent: false,
      reasonCode: 0,
      properties: {
        sessionExpirySeconds: 1,
        receiveMaximum: 2,
        maximumQos: 1,
        retainAvailable: true,
        maximumPacketBytes: 0x8000_0000,
        assignedClientId: 'x',
        topicAliasMaximum: 3,
        reasonString: 'r',
        userProperties: [
          ['b', '1'],
          ['a', '2'],
          ['b', '3'],
        ],
        wildcardAvailable: true,
        subscriptionIdsAvailable: false,
        sharedAvailable: true,
        serverKeepAliveSeconds: 60,
      },
    },
    `20 3d 00 00 3a
     11 00000001 12 0001 'x' 13 003c 1f 0001 'r' 21 0002 22 0003 24 01 25 01
     26 0001 'b' 0001 '1' 26 0001 'a' 0001 '2' 26 0001 'b' 0001 '3'
     27 80000000 28 01 29 00 2a 01`,
  ],
  ['SUBACK', 4, { type: 'suback', packetId: 10, reasonCodes: [0, 2, 0x80] }, '90 05 000a 00 02 80'],
  ['SUBACK', 5, { type: 'suback', packetId: 10, reasonCodes: [1] }, '90 04 000a 00 01'],
  ['UNSUBACK', 4, { type: 'unsuback', packetId: 10, reasonCodes: [0] }, 'b0 02 000a'],
  ['UNSUBACK', 5, { type: 'unsuback', packetId: 10, reasonCodes: [0, 17] }, 'b0 05 000a 00 00 11'],
  ['PINGREQ', 4, { type: 'pingreq' }, 'c0 00'],
  ['PINGRESP', 5, { type: 'pingresp' }, 'd0 00'],
  ['DISCONNECT', 4, { type: 'disconnect', reasonCode: 0x8b }, 'e0 00'],
  ['DISCONNECT without a reason', 5, { type: 'disconnect', reasonCode: 0 }, 'e0 00'],
  ['DISCONNECT', 5, { type: 'disconnect', reasonCode: 0x8b }, 'e0 02 8b 00'],
  [
    'AUTH',
    5,
    { type: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'm' } },
    "f0 06 18 04 15 0001 'm'",
  ],
  [
    'SUBSCRIBE',
    5,
    {
      type: 'subscribe',
      packetId: 1,
      subscriptions: [
        { filter: 'a', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
      ],
      properties: { subscriptionIds: [200] },
    },
    "82 0a 0001 03 0b c801 0001 'a' 2d",
  ],
  [
    'SUBSCRIBE, without the options of 5.0,',
    4,
    {
      type: 'subscribe',
      packetId: 1,
      subscriptions: [
        { filter: 'a', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
      ],
    },
    "82 06 0001 0001 'a' 01",
  ],
  [
    'UNSUBSCRIBE',
    4,
    { type: 'unsubscribe', packetId: 1, filters: ['a', 'é'] },
    "a2 09 0001 0001 'a' 0002 c3a9",
  ],
  [
    'CONNECT of 3.1',
    3,
    { type: 'connect', protocolVersion: 3, clientId: 'c', cleanStart: true, keepAliveSeconds: 60 },
    "10 0f 0006 'MQIsdp' 03 02 003c 0001 'c'",
  ],
  [
    'CONNECT with everything',
    5,
    {
      type: 'connect',
      protocolVersion: 5,
      clientId: 'c',
      cleanStart: false,
      keepAliveSeconds: 60,
      will: {
        topic: 'w',
        payload: Uint8Array.of(1),
        qos: 2,
        retain: true,
        properties: { willDelaySeconds: 1, userProperties: [], subscriptionIds: [] },
      },
      username: 'u',
      password: Uint8Array.of(2),
    },
    "10 20 0004 'MQTT' 05 f4 003c 00 0001 'c' 05 18 00000001 0001 'w' 0001 01 0001 'u' 0001 02",
  ],
];

describe('exact bytes', () => {
  test.each(cases)('%s of version %i', (_, version, packet, expected) => {
    expect(toHex(encodeControl(packet, version))).toBe(toHex(bytes(expected)));
  });
});

test('a refusal in 3.1.1 has the nearest of its five return codes (section 3.2.2.3)', () => {
  const of = [0x84, 0x85, 0x88, 0x89, 0x86, 0x87, 0x8a, 0x81].map(refusalReturnCode);
  expect(of).toEqual([1, 2, 3, 3, 4, 5, 5, undefined]);
});
