/**
 * Packets a second through the codec, beside mqtt-packet in the same run: `node test/bench/codec.bench.ts`.
 * Each figure is the median of five rounds, taken in turn.
 */
import mqttPacket from 'mqtt-packet';
import { encodeControl } from '../../src/codec/control-encoder.ts';
import type { PacketHandler } from '../../src/codec/packet-decoder.ts';
import { PacketDecoder } from '../../src/codec/packet-decoder.ts';
import { publishSize, writeAck, writePublish } from '../../src/codec/publish-encoder.ts';

const ROUNDS = 5;
const CHUNK_BYTES = 64 * 1024;
const topic = Buffer.from('plant/line-3/press-07/temperature');
const noBytes = new Uint8Array(0);

interface Contender {
  readonly name: string;
  /** Runs for `packets` packets; returns how many it saw, which must be the same. */
  readonly run: (packets: number) => number;
  readonly packets: number;
}

function chunkOf(packet: Uint8Array): { chunk: Buffer; count: number } {
  const count = Math.floor(CHUNK_BYTES / packet.length);
  return { chunk: Buffer.concat(Array.from({ length: count }, () => packet)), count };
}

/** Reads the same chunk again and again, as a socket hands it out. */
function ourDecoder(name: string, packet: Uint8Array, version: 4 | 5): Contender {
  const { chunk, count } = chunkOf(packet);
  const run = (packets: number) => {
    let seen = 0;
    const handler: PacketHandler = {
      onPublish: (view) => {
        if (view.payloadEnd >= view.payloadStart) seen += 1;
      },
      onAck: () => {
        seen += 1;
      },
      onControl: () => {},
    };
    const decoder = new PacketDecoder({ maxPacketBytes: 1 << 20 });
    const connect = { type: 'connect', protocolVersion: version, clientId: 'c' } as const;
    decoder.feed(
      encodeControl({ ...connect, cleanStart: true, keepAliveSeconds: 0 }, version),
      handler,
    );
    decoder.protocolVersion = version;
    for (let fed = 0; fed < packets; fed += count) decoder.feed(chunk, handler);
    return seen;
  };
  return { name: `decode ${name}: ours`, run, packets: count * Math.ceil(8_000_000 / count) };
}

function theirDecoder(name: string, packet: Uint8Array, version: 4 | 5): Contender {
  const { chunk, count } = chunkOf(packet);
  const run = (packets: number) => {
    let seen = 0;
    const parser = mqttPacket.parser({ protocolVersion: version });
    parser.on('packet', () => {
      seen += 1;
    });
    for (let fed = 0; fed < packets; fed += count) parser.parse(chunk);
    return seen;
  };
  return { name: `decode ${name}: mqtt-packet`, run, packets: count * Math.ceil(400_000 / count) };
}

function ourEncoder(name: string, version: 4 | 5, qos: 0 | 1, payload: Buffer): Contender {
  const size = publishSize(version, topic.length, qos, 0, payload.length);
  const output = Buffer.alloc(CHUNK_BYTES);
  const run = (packets: number) => {
    let at = 0;
    for (let i = 0; i < packets; i += 1) {
      if (at + size > output.length) at = 0;
      at = writePublish(output, at, version, topic, qos, false, false, 7, noBytes, payload);
    }
    return packets;
  };
  return { name: `encode ${name}: ours`, run, packets: 5_000_000 };
}

function theirEncoder(name: string, version: 4 | 5, qos: 0 | 1, payload: Buffer): Contender {
  const fields = { cmd: 'publish', topic: topic.toString(), payload, qos, messageId: 7 } as const;
  const run = (packets: number) => {
    let bytes = 0;
    for (let i = 0; i < packets; i += 1) {
      const packet = { ...fields, retain: false, dup: false };
      bytes += mqttPacket.generate(packet, { protocolVersion: version }).length;
    }
    return bytes > 0 ? packets : 0;
  };
  return { name: `encode ${name}: mqtt-packet`, run, packets: 300_000 };
}

function publishPacket(version: 4 | 5, qos: 0 | 1, payload: Buffer): Uint8Array {
  const packet = Buffer.alloc(publishSize(version, topic.length, qos, 0, payload.length));
  writePublish(packet, 0, version, topic, qos, false, false, 7, noBytes, payload);
  return packet;
}

function contenders(): Contender[] {
  const list: Contender[] = [];
  const small = Buffer.alloc(64, 'x');
  const large = Buffer.alloc(200, 'x');
  for (const [name, version, qos, payload] of [
    ['QoS 0, 64 B, 3.1.1', 4, 0, small],
    ['QoS 1, 200 B, 3.1.1', 4, 1, large],
    ['QoS 1, 200 B, 5.0', 5, 1, large],
  ] as const) {
    const packet = publishPacket(version, qos, payload);
    list.push(ourDecoder(name, packet, version), theirDecoder(name, packet, version));
    list.push(ourEncoder(name, version, qos, payload), theirEncoder(name, version, qos, payload));
  }
  const puback = Buffer.alloc(4);
  writeAck(puback, 0, 4, 7);
  list.push(ourDecoder('PUBACK', puback, 4), theirDecoder('PUBACK', puback, 4));
  return list;
}

function main(): void {
  const list = contenders();
  const rates = list.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [i, { name, run, packets }] of list.entries()) {
      const start = process.hrtime.bigint();
      if (run(packets) !== packets) throw new Error(`${name} lost packets`);
      const seconds = Number(process.hrtime.bigint() - start) / 1e9;
      rates[i]?.push(packets / seconds / 1e6);
    }
  }
  process.stdout.write('| | million packets a second (min to max) |\n|---|---|\n');
  for (const [i, { name }] of list.entries()) {
    const sorted = (rates[i] ?? []).toSorted((a, b) => a - b);
    const [min, median, max] = [0, ROUNDS >> 1, ROUNDS - 1].map((at) => sorted[at]?.toFixed(2));
    process.stdout.write(`| ${name} | ${median} (${min} to ${max}) |\n`);
  }
}

main();
