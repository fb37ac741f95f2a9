import { describe, expect, test } from 'vitest';
import { PacketDecoder } from '../../../src/codec/packet-decoder.ts';
import { bytes, openedDecoder, Recorder, received, refusal, toHex } from './bytes.ts';

const connect4 = bytes("10 0d 0004 'MQTT' 04 02 003c 0001 'c'");

describe('PUBLISH', () => {
  test('of QoS 0 in 3.1.1', () => {
    expect(received(4, bytes("30 07 0003 'a/b' 'hi'"))).toEqual([
      {
        type: 'publish',
        topic: 'a/b',
        payload: toHex(Buffer.from('hi')),
        properties: '',
        qos: 0,
        retain: false,
        dup: false,
        packetId: 0,
      },
    ]);
  });

  test('of QoS 2, retained and duplicate, without payload', () => {
    expect(received(4, bytes("3d 05 0001 't' 1234"))).toMatchObject([
      { topic: 't', payload: '', qos: 2, retain: true, dup: true, packetId: 0x1234 },
    ]);
  });

  test('of 5.0 has its property bytes apart from its payload', () => {
    expect(received(5, bytes("32 0a 0001 't' 0007 02 01 01 'hi'"))).toMatchObject([
      { topic: 't', properties: '0101', payload: toHex(Buffer.from('hi')), packetId: 7 },
    ]);
  });

  test('of 5.0 may leave its topic to an alias', () => {
    expect(received(5, bytes("30 07 0000 03 230001 'p'"))).toMatchObject([
      { topic: '', properties: '230001', payload: '70' },
    ]);
  });

  test('a packet that lies in one chunk is read where it is, without a copy', () => {
    const decoder = openedDecoder(4);
    const chunk = bytes("30 05 0003 'a/b'");
    const buffers: Uint8Array[] = [];
    const onPublish = (view: { buffer: Uint8Array }) => buffers.push(view.buffer);
    decoder.feed(chunk, { onPublish, onAck() {}, onControl() {} });
    expect(buffers).toHaveLength(1);
    expect(buffers[0]).toBe(chunk);
    expect(decoder.bufferedBytes).toBe(0);
  });

  test.each([
    ['QoS 3 [MQTT-3.3.1-4]', 4, "36 05 0001 't' 0001", '0x81'],
    ['a duplicate of QoS 0 [MQTT-3.3.1-2]', 4, "38 03 0001 't'", '0x81'],
    ['packet identifier 0 [MQTT-2.2.1-3]', 4, "32 05 0001 't' 0000", '0x82'],
    ['no topic', 4, "30 03 0000 'p'", '0x82'],
    ['no topic and no alias', 5, '30 03 0000 00', '0x82'],
    ['a topic longer than the packet', 4, "30 03 0002 't'", '0x81'],
    ['half a topic length', 4, '30 01 00', '0x81'],
    ['nothing at all', 4, '30 00', '0x81'],
    ['half a packet identifier', 4, "32 04 0001 't' 00", '0x81'],
    ['no property length', 5, "30 03 0001 't'", '0x81'],
    ['properties longer than the packet', 5, "30 05 0001 't' 02 01", '0x81'],
    ['a property length that does not end', 5, "30 08 0001 't' ff ff ff ff 01", '0x81'],
    ['a property length that is not minimal', 5, "30 05 0001 't' 80 00", '0x81'],
  ] as const)('with %s is refused (version %i)', (_, version, data, code) => {
    expect(refusal(() => received(version, bytes(data)))).toBe(code);
  });
});

describe('acknowledgements', () => {
  test.each([4, 5] as const)('of all four types in version %i', (version) => {
    expect(received(version, bytes('40 02 0001 50 02 0002 62 02 0003 70 02 ffff'))).toEqual([
      { type: 4, packetId: 1, reasonCode: 0 },
      { type: 5, packetId: 2, reasonCode: 0 },
      { type: 6, packetId: 3, reasonCode: 0 },
      { type: 7, packetId: 0xffff, reasonCode: 0 },
    ]);
  });

  test('of 5.0 with a reason, without and with properties', () => {
    const data = bytes("40 03 0001 10 50 04 0002 97 00 62 0a 0003 92 06 1f 0003 'off'");
    expect(received(5, data)).toEqual([
      { type: 4, packetId: 1, reasonCode: 0x10 },
      { type: 5, packetId: 2, reasonCode: 0x97 },
      { type: 6, packetId: 3, reasonCode: 0x92 },
    ]);
  });

  test.each([
    ['PUBREL without its flag [MQTT-3.6.1-1]', 4, '60 02 0001', '0x81'],
    ['PUBACK with flags', 4, '42 02 0001', '0x81'],
    ['one byte', 4, '40 01 00', '0x81'],
    ['a reason below 5.0', 4, '40 03 0001 00', '0x81'],
    ['packet identifier 0', 4, '40 02 0000', '0x82'],
    ['an unknown reason [MQTT-3.4.2-1]', 5, '40 03 0001 01', '0x82'],
    ['a PUBACK reason in PUBREL [MQTT-3.6.2-1]', 5, '62 03 0001 10', '0x82'],
    ["another packet's property", 5, '40 07 0001 00 03 21 0001', '0x82'],
    ['a property that runs out', 5, '40 06 0001 00 02 1f 00', '0x81'],
    ['bytes behind its properties', 5, '40 05 0001 00 00 00', '0x81'],
  ] as const)('%s is refused (version %i)', (_, version, data, code) => {
    expect(refusal(() => received(version, bytes(data)))).toBe(code);
  });
});

describe('the stream', () => {
  test('begins with CONNECT [MQTT-3.1.0-1], known from the first byte', () => {
    const decoder = new PacketDecoder({ maxPacketBytes: 1000 });
    expect(refusal(() => decoder.feed(bytes('30'), new Recorder()))).toBe('0x82');
  });

  test.each([
    ['PUBLISH', "30 03 0001 't'"],
    ['PUBACK', '40 02 0001'],
    ['PINGREQ', 'c0 00'],
  ])('hands out no %s before CONNECT', (_, data) => {
    const recorder = new Recorder();
    const decoder = new PacketDecoder({ maxPacketBytes: 1000 });
    expect(refusal(() => decoder.feed(bytes(data), recorder))).toBe('0x82');
    expect(recorder.packets).toEqual([]);
  });

  test('has no second CONNECT [MQTT-3.1.0-2]', () => {
    expect(refusal(() => received(4, connect4))).toBe('0x82');
  });

  test('takes the version that the handler of CONNECT sets, within the same chunk', () => {
    const decoder = new PacketDecoder({ maxPacketBytes: 1000 });
    const recorder = new Recorder();
    recorder.onPacket = (packet) => {
      if (packet.type === 'connect') decoder.protocolVersion = packet.protocolVersion;
    };
    const connect5 = "10 0e 0004 'MQTT' 05 02 003c 00 0001 'c'";
    decoder.feed(bytes(`${connect5} 30 06 0001 't' 02 01 00`), recorder);
    expect(recorder.packets[1]).toMatchObject({ properties: '0100', payload: '' });
  });

  test('tells the version of a CONNECT that is refused, so that CONNACK has the right form', () => {
    const decoder = new PacketDecoder({ maxPacketBytes: 1000 });
    const emptyWillTopic = bytes("10 12 0004 'MQTT' 05 06 0000 00 0000 00 0000 0000");
    expect(refusal(() => decoder.feed(emptyWillTopic, new Recorder()))).not.toBe('accepted');
    expect(decoder.connectVersion).toBe(5);
  });

  test.each([
    ['reserved type 0', '00 00', '0x81'],
    ['PINGREQ with flags', 'c1 00', '0x81'],
    ['PINGREQ with a body', 'c0 01 00', '0x81'],
    ['SUBSCRIBE without its flag [MQTT-3.8.1-1]', '80 00', '0x81'],
    ['UNSUBSCRIBE without its flag [MQTT-3.10.1-1]', 'a0 00', '0x81'],
    ['DISCONNECT with flags [MQTT-3.14.1-1]', 'e1 00', '0x81'],
    ['CONNACK from a client', '20 02 0000', '0x82'],
    ['SUBACK from a client', '90 03 0001 00', '0x82'],
    ['PINGRESP from a client', 'd0 00', '0x82'],
    ['AUTH below 5.0', 'f0 00', '0x81'],
    ['a remaining length of five bytes', '30 80 80 80 80 01', '0x81'],
  ])('%s is refused', (_, data, code) => {
    expect(refusal(() => received(4, bytes(data)))).toBe(code);
  });

  test('a remaining length that is not minimal is refused in 5.0 [MQTT-1.5.5-1] only', () => {
    expect(received(4, bytes('c0 80 00'))).toEqual([{ type: 'pingreq' }]);
    expect(refusal(() => received(5, bytes('c0 80 00')))).toBe('0x81');
  });

  test('packets before a faulty one are handed out, later calls fail as the first did', () => {
    const decoder = openedDecoder(4);
    const recorder = new Recorder();
    expect(refusal(() => decoder.feed(bytes('c0 00 c1 00'), recorder))).toBe('0x81');
    expect(refusal(() => decoder.feed(bytes('c0 00'), recorder))).toBe('0x81');
    expect(recorder.packets).toEqual([{ type: 'pingreq' }]);
  });

  test("a client's decoder takes what a server sends, and begins with CONNACK", () => {
    const recorder = new Recorder();
    const decoder = new PacketDecoder({ maxPacketBytes: 1000, peer: 'server' });
    decoder.feed(bytes('20 02 01 00 90 04 0007 01 80 b0 02 0008 d0 00'), recorder);
    expect(recorder.packets).toMatchObject([
      { type: 'connack', sessionPresent: true, reasonCode: 0 },
      { type: 'suback', packetId: 7, reasonCodes: [1, 0x80] },
      { type: 'unsuback', packetId: 8 },
      { type: 'pingresp' },
    ]);
    const fresh = new PacketDecoder({ maxPacketBytes: 1000, peer: 'server' });
    expect(refusal(() => fresh.feed(bytes('d0 00'), recorder))).toBe('0x82');
  });
});

describe('size', () => {
  const ofSize = (packetBytes: number) =>
    Buffer.concat([
      bytes(`30 ${(packetBytes - 2).toString(16)} 0001 't'`),
      Buffer.alloc(packetBytes - 5),
    ]);

  test('a packet of the maximum passes, one byte more is 0x95', () => {
    const recorder = new Recorder();
    openedDecoder(4, 100).feed(ofSize(100), recorder);
    expect(recorder.packets).toHaveLength(1);
    expect(refusal(() => openedDecoder(4, 100).feed(ofSize(101), recorder))).toBe('0x95');
  });

  test('a packet that is too large is refused before its body has come', () => {
    const decoder = openedDecoder(4, 1000);
    decoder.feed(bytes('30 ff'), new Recorder());
    expect(refusal(() => decoder.feed(bytes('ff 7f'), new Recorder()))).toBe('0x95');
  });

  test('a packet split over chunks is handed out with its last byte', () => {
    const decoder = openedDecoder(4);
    const recorder = new Recorder();
    decoder.feed(bytes('30 07 00'), recorder);
    decoder.feed(bytes("03 'a/'"), recorder);
    expect(decoder.bufferedBytes).toBe(6);
    decoder.feed(bytes("'bh'"), recorder);
    expect(recorder.packets).toEqual([]);
    decoder.feed(bytes("'i' c0 00 c0"), recorder);
    expect(recorder.packets).toMatchObject([{ topic: 'a/b' }, { type: 'pingreq' }]);
    expect(decoder.bufferedBytes).toBe(1);
  });

  test('the chunk may be overwritten once feed has returned', () => {
    const decoder = openedDecoder(4);
    const recorder = new Recorder();
    const chunk = bytes("30 05 0003 'a'");
    decoder.feed(chunk, recorder);
    chunk.fill(0xff);
    decoder.feed(bytes("'/b'"), recorder);
    expect(recorder.packets).toMatchObject([{ topic: 'a/b' }]);
  });
});

describe('stop and resume', () => {
  const pings = bytes('c0 00 c0 00 c0 00');

  test('nothing is handed out after stop, and everything after resume', () => {
    const decoder = openedDecoder(4);
    const recorder = new Recorder();
    recorder.onPacket = () => decoder.stop();
    decoder.feed(pings, recorder);
    expect(recorder.packets).toHaveLength(1);
    decoder.feed(bytes('c0'), recorder);
    expect(decoder.bufferedBytes).toBe(5);
    decoder.resume(recorder);
    expect(recorder.packets).toHaveLength(2);
    recorder.onPacket = () => {};
    decoder.resume(recorder);
    expect(recorder.packets).toHaveLength(3);
    decoder.feed(bytes('00'), recorder);
    expect(recorder.packets).toHaveLength(4);
    expect(decoder.bufferedBytes).toBe(0);
  });

  test('a stop in the packet that completes a split one keeps the rest in order', () => {
    const decoder = openedDecoder(4);
    const recorder = new Recorder();
    decoder.feed(bytes("30 04 0001 't'"), recorder);
    recorder.onPacket = () => decoder.stop();
    decoder.feed(bytes("'1' 30 04 0001 't' '2' 30 04 0001"), recorder);
    recorder.onPacket = () => {};
    decoder.feed(bytes("'t' '3'"), recorder);
    expect(recorder.packets).toHaveLength(1);
    decoder.resume(recorder);
    expect(recorder.packets).toMatchObject([
      { payload: '31' },
      { payload: '32' },
      { payload: '33' },
    ]);
  });

  test('a handler that stops and resumes at once loses nothing', () => {
    const decoder = openedDecoder(4);
    const recorder = new Recorder();
    recorder.onPacket = () => {
      decoder.stop();
      decoder.resume(recorder);
    };
    decoder.feed(pings, recorder);
    expect(recorder.packets).toHaveLength(3);
  });
});
