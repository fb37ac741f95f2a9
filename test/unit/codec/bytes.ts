import { ProtocolError } from '../../../src/base/errors.ts';
import type { AckType, ControlPacket, ProtocolVersion } from '../../../src/codec/control-packet.ts';
import type { PacketHandler, PublishView } from '../../../src/codec/packet-decoder.ts';
import { PacketDecoder } from '../../../src/codec/packet-decoder.ts';

/** Bytes from groups of two hexadecimal digits and quoted text: `30 05 0001 'a' 'hi'`. */
export function bytes(text: string): Uint8Array {
  const parts = text.match(/'[^']*'|[0-9a-f]{2}/g) ?? [];
  return Buffer.concat(
    parts.map((part) =>
      part.startsWith("'") ? Buffer.from(part.slice(1, -1)) : Buffer.from(part, 'hex'),
    ),
  );
}

export function toHex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}

export interface ReceivedPublish {
  readonly type: 'publish';
  readonly topic: string;
  readonly payload: string;
  readonly properties: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly packetId: number;
}

export interface ReceivedAck {
  readonly type: AckType;
  readonly packetId: number;
  readonly reasonCode: number;
}

export type Received = ReceivedPublish | ReceivedAck | ControlPacket;

/** Keeps what a decoder hands out as values that outlive its buffers. */
export class Recorder implements PacketHandler {
  readonly packets: Received[] = [];
  onPacket: (packet: Received) => void = () => {};

  onPublish(view: PublishView): void {
    const text = (start: number, end: number, encoding: 'utf8' | 'hex') =>
      Buffer.from(view.buffer.subarray(start, end)).toString(encoding);
    this.#take({
      type: 'publish',
      topic: text(view.topicStart, view.topicEnd, 'utf8'),
      payload: text(view.payloadStart, view.payloadEnd, 'hex'),
      properties: text(view.propertiesStart, view.propertiesEnd, 'hex'),
      qos: view.qos,
      retain: view.retain,
      dup: view.dup,
      packetId: view.packetId,
    });
  }

  onAck(type: AckType, packetId: number, reasonCode: number): void {
    this.#take({ type, packetId, reasonCode });
  }

  onControl(packet: ControlPacket): void {
    this.#take(packet);
  }

  #take(packet: Received): void {
    this.packets.push(packet);
    this.onPacket(packet);
  }
}

const connects: Record<ProtocolVersion, string> = {
  3: "10 0e 0006 'MQIsdp' 03 02 0000 0000",
  4: "10 0c 0004 'MQTT' 04 02 0000 0000",
  5: "10 0d 0004 'MQTT' 05 02 0000 00 0000",
};

/** A broker's decoder behind a CONNECT of `version`. */
export function openedDecoder(version: ProtocolVersion, maxPacketBytes = 1_000_000): PacketDecoder {
  const decoder = new PacketDecoder({ maxPacketBytes });
  decoder.feed(bytes(connects[version]), new Recorder());
  decoder.protocolVersion = version;
  return decoder;
}

/** What a client on `version` has said after CONNECT, in these bytes. */
export function received(version: ProtocolVersion, data: Uint8Array): Received[] {
  const recorder = new Recorder();
  openedDecoder(version).feed(data, recorder);
  return recorder.packets;
}

/** The reason code with which `work` is refused; fails where it is not, or by another error. */
export function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ProtocolError) return `0x${error.reasonCode.toString(16)}`;
    throw error;
  }
  return 'accepted';
}
