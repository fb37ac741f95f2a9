import { encodeControl, type OutgoingControl } from '../../src/codec/control-encoder.ts';
import type {
  AckType,
  ConnectPacket,
  ControlPacket,
  ProtocolVersion,
  Qos,
} from '../../src/codec/control-packet.ts';
import { PacketDecoder, type PublishView } from '../../src/codec/packet-decoder.ts';
import { noProperties } from '../../src/codec/properties.ts';
import { encodePublish, writeAck, writeAckWithReason } from '../../src/codec/publish-encoder.ts';
import {
  encodePublishProperties,
  parsePublishProperties,
  type PublishProperties,
} from '../../src/codec/publish-properties.ts';
import type { Socket } from '../../src/platform/network.ts';

export interface ReceivedMessage {
  readonly topic: string;
  readonly payload: string;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly packetId: number;
  /** Empty below 5.0. */
  readonly properties: PublishProperties;
}

/**
 * A client that does just what a test tells it, over a simulated link. It keeps what it received;
 * whether it acknowledges is `autoAck`.
 */
export class SimClient {
  readonly received: ReceivedMessage[] = [];
  readonly acks: { type: AckType; packetId: number; reasonCode: number }[] = [];
  readonly packets: ControlPacket[] = [];
  autoAck = true;
  closed = false;
  /** Told of each ack as it arrives, before anything else can happen. */
  onAcked: (type: AckType, packetId: number) => void = () => undefined;
  readonly #socket: Socket;
  readonly #version: ProtocolVersion;
  readonly #decoder = new PacketDecoder({ maxPacketBytes: 1 << 24, peer: 'server' });

  constructor(socket: Socket, version: ProtocolVersion = 4) {
    this.#socket = socket;
    this.#version = version;
    this.#decoder.protocolVersion = version;
    socket.onData = (chunk) => this.#decoder.feed(chunk, this);
    socket.onClose = () => {
      this.closed = true;
    };
  }

  connect(options: Partial<ConnectPacket> & { readonly clientId: string }): void {
    this.#send(
      encodeControl(
        {
          type: 'connect',
          protocolVersion: this.#version,
          cleanStart: true,
          keepAliveSeconds: 0,
          properties: noProperties(),
          ...options,
        },
        this.#version,
      ),
    );
  }

  publish(
    topic: string,
    payload: string | Uint8Array,
    options: {
      qos?: Qos;
      packetId?: number;
      retain?: boolean;
      dup?: boolean;
      properties?: Partial<PublishProperties>;
    } = {},
  ): void {
    const { qos = 0, packetId = 0, retain = false, dup = false } = options;
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const name = Buffer.from(topic);
    const raw = encodePublishProperties(options.properties ?? {});
    this.#send(encodePublish(this.#version, name, qos, retain, dup, packetId, raw, bytes).bytes);
  }

  subscribe(packetId: number, ...filters: readonly (readonly [string, Qos])[]): void {
    const subscriptions = filters.map(([filter, qos]) => ({
      filter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
    }));
    this.#send(encodeControl({ type: 'subscribe', packetId, subscriptions }, this.#version));
  }

  unsubscribe(packetId: number, ...filters: readonly string[]): void {
    this.#send(
      encodeControl({ type: 'unsubscribe', packetId, filters: [...filters] }, this.#version),
    );
  }

  ack(type: AckType, packetId: number): void {
    const bytes = new Uint8Array(4);
    writeAck(bytes, 0, type, packetId);
    this.#send(bytes);
  }

  ackWithReason(type: AckType, packetId: number, reasonCode: number): void {
    const bytes = new Uint8Array(5);
    writeAckWithReason(bytes, 0, type, packetId, reasonCode);
    this.#send(bytes);
  }

  /** Any other packet. */
  send(packet: OutgoingControl): void {
    this.#send(encodeControl(packet, this.#version));
  }

  disconnect(): void {
    this.#send(encodeControl({ type: 'disconnect', reasonCode: 0 }, this.#version));
  }

  /** Reads nothing, as a device whose program hangs, until `readOn`. */
  stall(): void {
    this.#socket.pause();
  }

  readOn(): void {
    this.#socket.resume();
  }

  /** As a cable that is pulled. */
  drop(): void {
    this.#socket.destroy();
  }

  raw(bytes: Uint8Array): void {
    this.#send(bytes);
  }

  last(type: ControlPacket['type']): ControlPacket | undefined {
    return this.packets.findLast((packet) => packet.type === type);
  }

  onPublish(view: PublishView): void {
    const text = (start: number, end: number) =>
      Buffer.from(view.buffer.subarray(start, end)).toString();
    const { qos, retain, dup, packetId } = view;
    this.received.push({
      topic: text(view.topicStart, view.topicEnd),
      payload: text(view.payloadStart, view.payloadEnd),
      qos,
      retain,
      dup,
      packetId,
      properties: parsePublishProperties(view.buffer, view.propertiesStart, view.propertiesEnd),
    });
    if (this.autoAck && qos > 0) this.ack(qos === 1 ? 4 : 5, packetId);
  }

  onAck(type: AckType, packetId: number, reasonCode: number): void {
    this.acks.push({ type, packetId, reasonCode });
    this.onAcked(type, packetId);
    if (!this.autoAck) return;
    if (type === 5) this.ack(6, packetId);
    if (type === 6) this.ack(7, packetId);
  }

  onControl(packet: ControlPacket): void {
    this.packets.push(packet);
  }

  #send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }
}
