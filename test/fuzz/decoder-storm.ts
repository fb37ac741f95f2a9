import { ProtocolError } from '../../src/base/errors.ts';
import { PacketDecoder } from '../../src/codec/packet-decoder.ts';
import { SimRandom } from '../support/sim-random.ts';
import { Grammar } from './grammar.ts';
import { mutated, pieces } from './mutation.ts';

const MAX_PACKET_BYTES = 2048;

/** What a decoder made of a stream: each packet as text, and how it ended. */
function decoded(chunks: readonly Uint8Array[]): string[] {
  const seen: string[] = [];
  const decoder = new PacketDecoder({ maxPacketBytes: MAX_PACKET_BYTES });
  const handler = {
    onPublish: (view: object) => {
      const { buffer, ...places } = view as { buffer: Uint8Array; topicStart: number };
      const [from, to] = [places.topicStart, (view as { payloadEnd: number }).payloadEnd];
      seen.push(`publish ${Buffer.from(buffer.subarray(from, to)).toString('hex')}`);
    },
    onAck: (type: number, packetId: number, reasonCode: number) => {
      seen.push(`ack ${type} ${packetId} ${reasonCode}`);
    },
    onControl: (packet: { readonly type: string; readonly protocolVersion?: 3 | 4 | 5 }) => {
      if (packet.protocolVersion !== undefined) decoder.protocolVersion = packet.protocolVersion;
      seen.push(JSON.stringify(packet));
    },
  };
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk, handler);
      if (decoder.bufferedBytes > MAX_PACKET_BYTES) seen.push('holds more than a packet');
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    seen.push(`error ${error.reasonCode.toString(16)}`);
  }
  return seen;
}

/**
 * Streams of packets with faults in them, each fed whole and in pieces. A decoder makes the same of
 * both: packets up to the fault, then a protocol error. Throws what went wrong.
 */
export function runDecoderStorm(seed: number): void {
  const random = new SimRandom(seed);
  const grammar = new Grammar(random, {
    clientIds: ['a', ''],
    topics: ['t', 'a/b', '$x', ''],
    filters: ['#', 'a/+', '$share/g/t'],
    mark: '',
  });
  for (let round = 0; round < 100; round += 1) {
    const version = random.pick([4, 5] as const);
    const packets = [grammar.connect(version)];
    for (let count = random.below(6); count > 0; count -= 1) packets.push(grammar.packet(version));
    const stream = Buffer.concat(
      packets.map((packet) => (random.chance(0.3) ? mutated(packet, random) : packet)),
    );
    const whole = decoded([stream]);
    for (const chunks of [pieces(stream, random), [...stream].map((byte) => Uint8Array.of(byte))]) {
      const cut = decoded(chunks);
      if (whole.includes('holds more than a packet') || cut.join('\n') !== whole.join('\n')) {
        const hex = stream.toString('hex');
        throw new Error(
          `seed ${seed}: ${hex}\nwhole:\n${whole.join('\n')}\ncut:\n${cut.join('\n')}`,
        );
      }
    }
  }
}
