import { describe, expect, test } from 'vitest';
import type { ConnectPacket } from '../../../src/codec/control-packet.ts';
import { PacketDecoder } from '../../../src/codec/packet-decoder.ts';
import { bytes, Recorder, received, refusal } from './bytes.ts';

const nothing = { userProperties: [], subscriptionIds: [] };

function connect(body: string): ConnectPacket {
  const data = bytes(body);
  const recorder = new Recorder();
  const decoder = new PacketDecoder({ maxPacketBytes: 10_000 });
  decoder.feed(Buffer.concat([Uint8Array.of(0x10, data.length), data]), recorder);
  const [packet] = recorder.packets;
  if (packet?.type !== 'connect') throw new Error('no CONNECT came out');
  return packet;
}

describe('CONNECT', () => {
  test('of 3.1', () => {
    expect(connect("0006 'MQIsdp' 03 00 000a 0003 'abc'")).toEqual({
      type: 'connect',
      protocolVersion: 3,
      clientId: 'abc',
      cleanStart: false,
      keepAliveSeconds: 10,
      properties: nothing,
    });
  });

  test('of 3.1.1 with everything', () => {
    const body = "0004 'MQTT' 04 ee 003c 0001 'c' 0001 'w' 0002 'hi' 0001 'u' 0002 0001";
    expect(connect(body)).toEqual({
      type: 'connect',
      protocolVersion: 4,
      clientId: 'c',
      cleanStart: true,
      keepAliveSeconds: 60,
      will: {
        topic: 'w',
        payload: Uint8Array.of(0x68, 0x69),
        qos: 1,
        retain: true,
        properties: nothing,
      },
      username: 'u',
      password: Uint8Array.of(0, 1),
      properties: nothing,
    });
  });

  test('of 5.0 with properties of its own and of its will', () => {
    const own = "11 00000e10 21 0014 27 00010000 22 000a 19 01 17 00 15 0001 'm' 16 0001 'd'";
    const will = "18 00000005 01 01 02 0000003c 03 0001 't' 08 0001 'r' 09 0001 'x'";
    const packet = connect(`0004 'MQTT' 05 04 0000 1c ${own} 0000 18 ${will} 0001 'w' 0000`);
    expect(packet.properties).toEqual({
      ...nothing,
      sessionExpirySeconds: 3600,
      receiveMaximum: 20,
      maximumPacketBytes: 65_536,
      topicAliasMaximum: 10,
      requestResponseInformation: true,
      requestProblemInformation: false,
      authenticationMethod: 'm',
      authenticationData: Uint8Array.of(0x64),
    });
    expect(packet.will?.properties).toEqual({
      ...nothing,
      willDelaySeconds: 5,
      payloadFormat: 1,
      messageExpirySeconds: 60,
      contentType: 't',
      responseTopic: 'r',
      correlationData: Uint8Array.of(0x78),
    });
  });

  test('keeps user properties in order, repeated names too [MQTT-3.1.3-10]', () => {
    const properties = "26 0001 'b' 0001 '1' 26 0001 'a' 0001 '2' 26 0001 'b' 0001 '3'";
    expect(
      connect(`0004 'MQTT' 05 02 0000 15 ${properties} 0000`).properties.userProperties,
    ).toEqual([
      ['b', '1'],
      ['a', '2'],
      ['b', '3'],
    ]);
  });

  test('of 5.0 may have a password without a user name', () => {
    const packet = connect("0004 'MQTT' 05 42 0000 00 0000 0002 'pw'");
    expect(packet.password).toEqual(Uint8Array.from(Buffer.from('pw')));
    expect(packet.username).toBeUndefined();
  });

  test.each([
    ['another protocol name [MQTT-3.1.2-1]', "0004 'MQTX' 04 02 0000 0000", '0x84'],
    ['level 6 [MQTT-3.1.2-2]', "0004 'MQTT' 06 02 0000 0000", '0x84'],
    ['level 3 under the new name', "0004 'MQTT' 03 02 0000 0000", '0x84'],
    ['level 4 under the old name', "0006 'MQIsdp' 04 02 0000 0000", '0x84'],
    [
      "Mosquitto's bridge bit, which makes a bridge try again without",
      "0004 'MQTT' 84 02 0000 0000",
      '0x84',
    ],
    ['the reserved flag [MQTT-3.1.2-3]', "0004 'MQTT' 04 03 0000 0000", '0x81'],
    ['a will of QoS 3 [MQTT-3.1.2-12]', "0004 'MQTT' 04 1e 0000 0000 0001 'w' 0000", '0x81'],
    ['a will QoS without a will [MQTT-3.1.2-11]', "0004 'MQTT' 04 0a 0000 0000", '0x81'],
    ['will retain without a will [MQTT-3.1.2-13]', "0004 'MQTT' 04 22 0000 0000", '0x81'],
    ['a password alone in 3.1.1 [MQTT-3.1.2-22]', "0004 'MQTT' 04 42 0000 0000 0000", '0x81'],
    ['a user name flag without a user name', "0004 'MQTT' 04 82 0000 0000", '0x81'],
    ['bytes behind it', "0004 'MQTT' 04 02 0000 0000 00", '0x81'],
    ['no client id [MQTT-3.1.3-3]', "0004 'MQTT' 04 02 0000", '0x81'],
    ['a client id longer than the packet', "0004 'MQTT' 04 02 0000 0002 'c'", '0x81'],
    ['a client id that is not UTF-8 [MQTT-3.1.3-4]', "0004 'MQTT' 04 02 0000 0001 ff", '0x81'],
    ['a client id with U+0000', "0004 'MQTT' 04 02 0000 0001 00", '0x81'],
    ['a wildcard in its will topic', "0004 'MQTT' 04 06 0000 0000 0001 '#' 0000", '0x90'],
    ['an empty will topic', "0004 'MQTT' 04 06 0000 0000 0000 0000", '0x90'],
    ['a property twice', "0004 'MQTT' 05 02 0000 06 21 0001 21 0001 0000", '0x82'],
    ['receive maximum 0', "0004 'MQTT' 05 02 0000 03 21 0000 0000", '0x82'],
    ['maximum packet size 0', "0004 'MQTT' 05 02 0000 05 27 00000000 0000", '0x82'],
    ['a flag property of 2', "0004 'MQTT' 05 02 0000 02 17 02 0000", '0x82'],
    ["a will's property outside the will", "0004 'MQTT' 05 02 0000 05 18 00000000 0000", '0x82'],
    ['an unknown property', "0004 'MQTT' 05 02 0000 02 7f 00 0000", '0x81'],
    ['authentication data without a method', "0004 'MQTT' 05 02 0000 04 16 0001 00 0000", '0x82'],
    [
      'a wildcard response topic in its will',
      "0004 'MQTT' 05 06 0000 00 0000 04 08 0001 '#' 0001 'w' 0000",
      '0x82',
    ],
    ['properties that run past their length', "0004 'MQTT' 05 02 0000 02 11 00 0000", '0x81'],
  ])('with %s is refused', (_, body, code) => {
    expect(refusal(() => connect(body))).toBe(code);
  });
});

describe('SUBSCRIBE', () => {
  test('of 3.1.1', () => {
    expect(received(4, bytes("82 0c 000a 0003 'a/#' 01 0001 '+' 02"))).toEqual([
      {
        type: 'subscribe',
        packetId: 10,
        properties: nothing,
        subscriptions: [
          { filter: 'a/#', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
          { filter: '+', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 },
        ],
      },
    ]);
  });

  test('of 5.0 with options and an identifier', () => {
    expect(received(5, bytes("82 0a 000a 03 0b c801 0001 'a' 2e"))).toMatchObject([
      {
        properties: { subscriptionIds: [200] },
        subscriptions: [
          { filter: 'a', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
        ],
      },
    ]);
  });

  test.each([
    ['packet identifier 0 [MQTT-2.2.1-3]', 4, "82 06 0000 0001 'a' 00", '0x82'],
    ['no filter [MQTT-3.8.3-2]', 4, '82 02 0001', '0x82'],
    ['no filter in 5.0', 5, '82 03 0001 00', '0x82'],
    ['no packet identifier', 4, '82 00', '0x81'],
    ['a filter without options', 4, "82 05 0001 0001 'a'", '0x81'],
    ['QoS 3 in 3.1.1 [MQTT-3-8.3-4]', 4, "82 06 0001 0001 'a' 03", '0x81'],
    ['QoS 3 in 5.0', 5, "82 07 0001 00 0001 'a' 03", '0x82'],
    ['an option of 5.0 in 3.1.1', 4, "82 06 0001 0001 'a' 04", '0x81'],
    ['a reserved option [MQTT-3.8.3-5]', 5, "82 07 0001 00 0001 'a' 40", '0x81'],
    ['retain handling 3', 5, "82 07 0001 00 0001 'a' 30", '0x82'],
    ['no local on $share [MQTT-3.8.3-4]', 5, "82 10 0001 00 000a '$share/g/a' 04", '0x82'],
    ['an empty filter [MQTT-4.7.3-1]', 4, '82 05 0001 0000 00', '0x8f'],
    ['# not last [MQTT-4.7.1-1]', 4, "82 08 0001 0003 '#/a' 00", '0x8f'],
    ['+ beside a character [MQTT-4.7.1-2]', 4, "82 07 0001 0002 'a+' 00", '0x8f'],
    ['a filter that is not UTF-8', 4, '82 06 0001 0001 80 00', '0x81'],
    ['subscription identifier 0', 5, "82 09 0001 02 0b 00 0001 'a' 00", '0x82'],
    ['two subscription identifiers', 5, "82 0b 0001 04 0b 01 0b 02 0001 'a' 00", '0x82'],
  ] as const)('with %s is refused (version %i)', (_, version, data, code) => {
    expect(refusal(() => received(version, bytes(data)))).toBe(code);
  });
});

describe('UNSUBSCRIBE', () => {
  test('of 3.1.1 and of 5.0', () => {
    const expected = {
      type: 'unsubscribe',
      packetId: 2,
      filters: ['a', 'b/+'],
      properties: nothing,
    };
    expect(received(4, bytes("a2 0a 0002 0001 'a' 0003 'b/+'"))).toEqual([expected]);
    expect(received(5, bytes("a2 0b 0002 00 0001 'a' 0003 'b/+'"))).toEqual([expected]);
  });

  test.each([
    ['packet identifier 0', "a2 05 0000 0001 'a'", '0x82'],
    ['no filter [MQTT-3.10.3-2]', 'a2 02 0001', '0x82'],
    ['a filter that is none', "a2 06 0001 0002 'a#'", '0x8f'],
    ['half a filter', "a2 05 0001 0002 'a'", '0x81'],
  ])('with %s is refused', (_, data, code) => {
    expect(refusal(() => received(4, bytes(data)))).toBe(code);
  });
});

describe('DISCONNECT and AUTH', () => {
  test('DISCONNECT of 3.1.1 has no body', () => {
    expect(received(4, bytes('e0 00'))).toEqual([
      { type: 'disconnect', reasonCode: 0, properties: nothing },
    ]);
    expect(refusal(() => received(4, bytes('e0 01 00')))).toBe('0x81');
  });

  test.each([
    ['e0 00', 0, {}],
    ['e0 01 04', 4, {}],
    ['e0 02 04 00', 4, {}],
    [
      "e0 0e 00 0c 11 00000005 26 0001 'k' 0001 'v'",
      0,
      { sessionExpirySeconds: 5, userProperties: [['k', 'v']] },
    ],
  ])('DISCONNECT of 5.0, %s', (data, reasonCode, properties) => {
    expect(received(5, bytes(data))).toEqual([
      { type: 'disconnect', reasonCode, properties: { ...nothing, ...properties } },
    ]);
  });

  test('AUTH of 5.0, short and whole', () => {
    expect(received(5, bytes("f0 00 f0 09 18 07 15 0001 'm' 16 0000"))).toEqual([
      { type: 'auth', reasonCode: 0, properties: nothing },
      {
        type: 'auth',
        reasonCode: 0x18,
        properties: {
          ...nothing,
          authenticationMethod: 'm',
          authenticationData: new Uint8Array(0),
        },
      },
    ]);
  });

  test.each([
    ['an unknown DISCONNECT reason [MQTT-3.14.2-1]', 'e0 01 01', '0x82'],
    ['a DISCONNECT property of another packet', 'e0 05 00 03 21 0001', '0x82'],
    ['bytes behind DISCONNECT', 'e0 03 00 00 00', '0x81'],
    ['an unknown AUTH reason [MQTT-3.15.2-1]', 'f0 02 01 00', '0x82'],
    ['AUTH without its properties', 'f0 01 18', '0x81'],
  ])('%s is refused', (_, data, code) => {
    expect(refusal(() => received(5, bytes(data)))).toBe(code);
  });
});
