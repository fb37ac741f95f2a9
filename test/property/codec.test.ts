import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import mqttPacket from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../src/base/errors.ts';
import { encodeControl } from '../../src/codec/control-encoder.ts';
import type { ControlPacket, ProtocolVersion } from '../../src/codec/control-packet.ts';
import { PacketDecoder } from '../../src/codec/packet-decoder.ts';
import { encodePublish, writeAck, writeAckWithReason } from '../../src/codec/publish-encoder.ts';
import {
  encodePublishProperties,
  forwardableProperties,
  parsePublishProperties,
  scanPublishProperties,
} from '../../src/codec/publish-properties.ts';
import {
  decodeMessageAttributes,
  encodeMessageAttributes,
} from '../../src/codec/stored-message.ts';
import { isValidTopicFilter, isWellFormedUtf8, topicMatchesFilter } from '../../src/codec/topic.ts';
import { type Received, Recorder } from '../unit/codec/bytes.ts';
import * as arbitrary from './codec-arbitraries.ts';

type Peer = 'client' | 'server';

interface Encoded {
  readonly bytes: Uint8Array;
  readonly received: Received;
}

function encodeMessage(version: ProtocolVersion, message: arbitrary.Message): Encoded {
  const { topic, qos, retain, payload } = message;
  const dup = message.dup && qos > 0;
  const packetId = qos === 0 ? 0 : message.packetId;
  const properties =
    version === 5 ? encodePublishProperties(message.properties) : new Uint8Array(0);
  const topicBytes = Buffer.from(topic);
  return {
    bytes: encodePublish(version, topicBytes, qos, retain, dup, packetId, properties, payload)
      .bytes,
    received: {
      type: 'publish',
      topic,
      qos,
      retain,
      dup,
      packetId,
      payload: Buffer.from(payload).toString('hex'),
      properties: Buffer.from(properties).toString('hex'),
    },
  };
}

function encodeAck(version: ProtocolVersion, ack: arbitrary.Ack): Encoded {
  const { type, packetId, reasonCode } = ack;
  const target = new Uint8Array(5);
  if (version !== 5 || reasonCode === 0) {
    const end = writeAck(target, 0, type, packetId);
    return { bytes: target.subarray(0, end), received: { type, packetId, reasonCode: 0 } };
  }
  writeAckWithReason(target, 0, type, packetId, reasonCode);
  return { bytes: target, received: { type, packetId, reasonCode } };
}

/** The packets of one connection behind its first, encoded, with what should come out of them. */
function streams(peer: Peer, version: ProtocolVersion): fc.Arbitrary<Encoded[]> {
  const control = peer === 'client' ? arbitrary.clientControl : arbitrary.serverControl;
  const packet = fc.oneof(
    arbitrary.message.map((message) => encodeMessage(version, message)),
    arbitrary.ack.map((ack) => encodeAck(version, ack)),
    control(version).map((sent) => ({ bytes: encodeControl(sent, version), received: sent })),
  );
  return fc.array(packet, { minLength: 1, maxLength: 6 });
}

function opened(peer: Peer, version: ProtocolVersion, maxPacketBytes = 1 << 20): PacketDecoder {
  const decoder = new PacketDecoder({ maxPacketBytes, peer });
  const first = peer === 'client' ? arbitrary.plainConnect(version) : arbitrary.plainConnack;
  decoder.protocolVersion = version;
  decoder.feed(encodeControl(first, version), new Recorder());
  return decoder;
}

/** Values alone: which class of byte array holds them does not matter here. */
function plain(packets: Received[]): unknown {
  return JSON.parse(JSON.stringify(packets));
}

const sides: [Peer, ProtocolVersion][] = [
  ['client', 3],
  ['client', 4],
  ['client', 5],
  ['server', 4],
  ['server', 5],
];

describe.each(sides)('what a %s sends in version %i', (peer, version) => {
  test('is decoded to what was encoded', () => {
    fc.assert(
      fc.property(streams(peer, version), (packets) => {
        const recorder = new Recorder();
        opened(peer, version).feed(Buffer.concat(packets.map((packet) => packet.bytes)), recorder);
        expect(recorder.packets).toEqual(packets.map((packet) => packet.received));
      }),
    );
  });

  test('is the same however the stream is cut', () => {
    fc.assert(
      fc.property(streams(peer, version), (packets) => {
        const stream = Buffer.concat(packets.map((packet) => packet.bytes));
        const whole = plain(packets.map((packet) => packet.received));
        const badCuts: number[] = [];
        for (let cut = 0; cut <= stream.length; cut += 1) {
          const recorder = new Recorder();
          const decoder = opened(peer, version);
          // Copies that are wiped, as a socket's buffer is used again.
          for (const part of [stream.subarray(0, cut), stream.subarray(cut)]) {
            const chunk = Uint8Array.from(part);
            decoder.feed(chunk, recorder);
            chunk.fill(0xff);
          }
          if (!isDeepStrictEqual(plain(recorder.packets), whole)) badCuts.push(cut);
        }
        expect(badCuts).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  test('is the same in chunks of any size, with stops and resumes in between', () => {
    const run = fc.record({
      packets: streams(peer, version),
      sizes: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
      stopEvery: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(run, ({ packets, sizes, stopEvery }) => {
        const stream = Buffer.concat(packets.map((packet) => packet.bytes));
        const decoder = opened(peer, version);
        const recorder = new Recorder();
        recorder.onPacket = () => {
          if (recorder.packets.length % stopEvery === 0) decoder.stop();
        };
        for (let at = 0, i = 0; at < stream.length; i += 1) {
          const size = sizes[i % sizes.length] as number;
          decoder.feed(Uint8Array.from(stream.subarray(at, at + size)), recorder);
          at += size;
          if (i % 3 === 0) decoder.resume(recorder);
        }
        for (let i = 0; i <= packets.length; i += 1) decoder.resume(recorder);
        expect(recorder.packets).toEqual(packets.map((packet) => packet.received));
        expect(decoder.bufferedBytes).toBe(0);
      }),
    );
  });

  test('with some bytes changed gives packets, need of more, or a ProtocolError', () => {
    const run = fc.record({
      packets: streams(peer, version),
      changes: fc.array(fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) }), {
        minLength: 1,
        maxLength: 4,
      }),
    });
    fc.assert(
      fc.property(run, ({ packets, changes }) => {
        const stream = Buffer.concat(packets.map((packet) => packet.bytes));
        for (const { at, to } of changes) stream[at % stream.length] = to;
        expect(misbehaves(opened(peer, version, 4096), stream)).toBe('no');
      }),
      { numRuns: 500 },
    );
  });

  test('is read alike by another implementation', () => {
    const control = peer === 'client' ? arbitrary.clientControl : arbitrary.serverControl;
    fc.assert(
      fc.property(control(version), (packet) => {
        expect(oracleReads(encodeControl(packet, version), version)).toMatchObject({
          cmd: packet.type,
          ...oracleFields(packet, version),
        });
      }),
    );
  });
});

/**
 * Feeds `data` in small chunks until it is refused. Says what was wrong with how that went: 'no'
 * where packets came out, more was needed, or a ProtocolError was thrown.
 */
function misbehaves(decoder: PacketDecoder, data: Uint8Array): string {
  const recorder = new Recorder();
  try {
    for (let at = 0; at < data.length; at += 7) {
      decoder.feed(Uint8Array.from(data.subarray(at, at + 7)), recorder);
      if (decoder.bufferedBytes > 4096) return `keeps ${decoder.bufferedBytes} bytes`;
    }
  } catch (error) {
    const isFitting = error instanceof ProtocolError && error.reasonCode >= 0x80;
    return isFitting ? 'no' : `throws ${String(error)}`;
  }
  return 'no';
}

function oracleReads(data: Uint8Array, version: ProtocolVersion): unknown {
  const packets: unknown[] = [];
  const parser = mqttPacket.parser({ protocolVersion: version });
  parser.on('packet', (packet: unknown) => packets.push(packet));
  parser.on('error', (error: unknown) => {
    throw error;
  });
  parser.parse(Buffer.from(data));
  expect(packets).toHaveLength(1);
  return packets[0];
}

/** What both implementations name, under the other's names. */
function oracleFields(packet: ControlPacket, version: ProtocolVersion): object {
  switch (packet.type) {
    case 'connect':
      return {
        clientId: packet.clientId,
        clean: packet.cleanStart,
        keepalive: packet.keepAliveSeconds,
        protocolVersion: packet.protocolVersion,
        ...(packet.username === undefined ? {} : { username: packet.username }),
        ...(packet.will === undefined
          ? {}
          : {
              will: { topic: packet.will.topic, qos: packet.will.qos, retain: packet.will.retain },
            }),
      };
    case 'connack':
      return {
        sessionPresent: packet.sessionPresent,
        [version === 5 ? 'reasonCode' : 'returnCode']: packet.reasonCode,
      };
    case 'subscribe':
      return {
        messageId: packet.packetId,
        subscriptions: packet.subscriptions.map((one) => ({
          topic: one.filter,
          qos: one.qos,
          ...(version === 5
            ? { nl: one.noLocal, rap: one.retainAsPublished, rh: one.retainHandling }
            : {}),
        })),
      };
    case 'suback':
      return { messageId: packet.packetId, granted: packet.reasonCodes };
    case 'unsubscribe':
      return { messageId: packet.packetId, unsubscriptions: packet.filters };
    case 'unsuback':
      return { messageId: packet.packetId };
    case 'disconnect':
      return version === 5 ? { reasonCode: packet.reasonCode } : {};
    case 'auth':
      // It refuses the short form that section 3.15.2.1 allows, so the generator gives a reason.
      return { reasonCode: packet.reasonCode };
    case 'pingreq':
    case 'pingresp':
      return {};
  }
}

describe.each([3, 4, 5] as const)('CONNECT of version %i', (version) => {
  test('is decoded to what was encoded, in one piece and byte by byte, and read alike elsewhere', () => {
    fc.assert(
      fc.property(arbitrary.connect(version), (packet) => {
        const data = encodeControl(packet, version);
        const whole = new Recorder();
        new PacketDecoder({ maxPacketBytes: 1 << 20 }).feed(data, whole);
        expect(whole.packets).toEqual([packet]);
        const decoder = new PacketDecoder({ maxPacketBytes: 1 << 20 });
        const inBytes = new Recorder();
        for (const byte of data) decoder.feed(Uint8Array.of(byte), inBytes);
        expect(inBytes.packets).toEqual([packet]);
        expect(oracleReads(data, version)).toMatchObject(oracleFields(packet, version));
      }),
    );
  });
});

describe('PUBLISH beside another implementation', () => {
  test.each([4, 5] as const)(
    'what it writes is read, and what is written it reads (version %i)',
    (version) => {
      fc.assert(
        fc.property(arbitrary.message, (message) => {
          const { bytes, received } = encodeMessage(version, {
            ...message,
            properties: arbitrary.noPublishProperties,
          });
          const fields = {
            cmd: 'publish' as const,
            topic: message.topic,
            payload: Buffer.from(message.payload),
            qos: message.qos,
            retain: message.retain,
            dup: message.dup && message.qos > 0,
            ...(message.qos === 0 ? {} : { messageId: message.packetId }),
          };
          const read = oracleReads(bytes, version) as typeof fields;
          expect({ ...read, payload: Buffer.from(read.payload) }).toMatchObject(fields);
          const recorder = new Recorder();
          opened('client', version).feed(
            mqttPacket.generate(fields, { protocolVersion: version }),
            recorder,
          );
          expect(recorder.packets).toEqual([received]);
        }),
      );
    },
  );
});

describe('garbage', () => {
  test.each([4, 5] as const)(
    'behind CONNECT never throws another error (version %i)',
    (version) => {
      const garbage = fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc
          .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 100 }))
          .map(([first, body]) => Uint8Array.of(first, body.length, ...body)),
      );
      fc.assert(
        fc.property(garbage, (data) => {
          expect(misbehaves(opened('client', version, 4096), data)).toBe('no');
        }),
        { numRuns: 2000 },
      );
    },
  );

  test('instead of CONNECT never throws another error', () => {
    const garbage = fc
      .uint8Array({ maxLength: 100 })
      .map((body) => Uint8Array.of(0x10, body.length + 6, 0, 4, 77, 81, 84, 84, ...body));
    fc.assert(
      fc.property(garbage, (data) => {
        expect(misbehaves(new PacketDecoder({ maxPacketBytes: 4096 }), data)).toBe('no');
      }),
      { numRuns: 2000 },
    );
  });

  test('as properties is refused by both readers of PUBLISH properties, or by neither', () => {
    const scan = { topicAlias: 0, messageExpirySeconds: 0, payloadFormat: 0, subscriptionIds: 0 };
    const ids = [1, 2, 3, 8, 9, 11, 35, 38, 17, 127];
    const garbage = fc
      .array(fc.tuple(fc.constantFrom(...ids), fc.uint8Array({ maxLength: 6, max: 6 })))
      .map((parts) => Uint8Array.from(parts.flatMap(([id, rest]) => [id, ...rest])));
    const outcome = (work: () => void) => {
      try {
        work();
        return 'accepted';
      } catch (error) {
        return error instanceof ProtocolError ? 'refused' : String(error);
      }
    };
    fc.assert(
      fc.property(garbage, (data) => {
        const parsed = outcome(() => parsePublishProperties(data, 0, data.length));
        const scanned = outcome(() => scanPublishProperties(data, 0, data.length, scan));
        expect([parsed, scanned]).toEqual(
          parsed === 'accepted' ? ['accepted', 'accepted'] : ['refused', 'refused'],
        );
      }),
      { numRuns: 3000 },
    );
  });

  test('as UTF-8 is judged as the platform judges it', () => {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 8 }),
      fc
        .array(
          fc.constantFrom(0x61, 0x80, 0xbf, 0xc2, 0xe0, 0xa0, 0xed, 0x9f, 0xf0, 0x90, 0xf4, 0x8f),
          {
            maxLength: 8,
          },
        )
        .map((list) => Uint8Array.from(list)),
    );
    const judgement = (data: Uint8Array) => {
      try {
        decoder.decode(data);
        return true;
      } catch {
        return false;
      }
    };
    fc.assert(
      fc.property(bytes, (data) => {
        expect(isWellFormedUtf8(data, 0, data.length)).toBe(judgement(data));
      }),
      { numRuns: 3000 },
    );
  });
});

test('a length that is only claimed takes no memory', () => {
  const claimed = 100_000_000;
  const header = encodePublish(
    4,
    Buffer.from('t'),
    0,
    false,
    false,
    0,
    new Uint8Array(0),
    Buffer.alloc(0),
  ).bytes;
  const before = process.memoryUsage().arrayBuffers;
  const decoders = Array.from({ length: 50 }, () => {
    const decoder = opened('client', 4, claimed + 10);
    decoder.feed(
      Uint8Array.of(header[0] as number, 0x80, 0xc2, 0xd7, 0x2f, 0, 1, 0x74),
      new Recorder(),
    );
    return decoder;
  });
  expect(decoders.every((decoder) => decoder.bufferedBytes === 8)).toBe(true);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
});

describe('properties and stored attributes', () => {
  test('what is forwarded is what came in, but for what belongs to the connection', () => {
    fc.assert(
      fc.property(arbitrary.publishProperties, (properties) => {
        const raw = encodePublishProperties(properties);
        const forwarded = forwardableProperties(raw, 0, raw.length);
        const { topicAlias: _, ...others } = properties;
        expect(parsePublishProperties(forwarded, 0, forwarded.length)).toEqual({
          ...others,
          subscriptionIds: [],
        });
      }),
    );
  });

  test('stored attributes give back what was stored', () => {
    const stored = fc.record({
      qos: arbitrary.qos,
      retain: fc.boolean(),
      properties: arbitrary.publishProperties,
      receipt: fc.option(fc.record({ clientId: arbitrary.text, packetId: arbitrary.packetId }), {
        nil: undefined,
      }),
    });
    fc.assert(
      fc.property(stored, ({ qos, retain, properties, receipt }) => {
        const raw = encodePublishProperties(properties);
        const forwardable = forwardableProperties(raw, 0, raw.length);
        const decoded = decodeMessageAttributes(
          encodeMessageAttributes(qos, retain, forwardable, receipt),
        );
        const { topicAlias: _, messageExpirySeconds, ...others } = properties;
        expect({
          ...decoded,
          properties: parsePublishProperties(decoded.properties, 0, decoded.properties.length),
        }).toEqual({
          qos,
          retain,
          properties: { ...others, subscriptionIds: [] },
          ...(receipt === undefined ? {} : { receipt }),
          ...(messageExpirySeconds === undefined ? {} : { expirySeconds: messageExpirySeconds }),
        });
      }),
    );
  });
});

test('matching agrees with the rules of section 4.7 said another way', () => {
  const level = fc.constantFrom('', 'a', 'b', '$x', 'ä');
  const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
  const filter = fc
    .tuple(
      fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
    )
    .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'));
  fc.assert(
    fc.property(topic, filter, (name, pattern) => {
      fc.pre(name !== '' && isValidTopicFilter(pattern));
      const source = pattern
        .replaceAll('$', '\\$')
        .replaceAll('+', '[^/]*')
        .replace(/(^|\/)#$/, (_, slash) => (slash === '' ? '.*' : '(/.*)?'));
      const hidden = name.startsWith('$') && /^[+#]/.test(pattern);
      const expected = new RegExp(`^${source}$`, 'u').test(name) && !hidden;
      expect(topicMatchesFilter(name, pattern)).toBe(expected);
    }),
    { numRuns: 3000 },
  );
});
