import { assert } from '../base/assert.ts';
import { ProtocolError } from '../base/errors.ts';
import { ByteReader } from './byte-reader.ts';
import { connectProtocolVersion, decodeControl } from './control-decoder.ts';
import type { AckType, ControlPacket, ProtocolVersion, Qos } from './control-packet.ts';
import { PacketType } from './control-packet.ts';
import { PropertyHolder, readProperties } from './properties.ts';
import { malformed, protocolError, ReasonCode } from './reason-codes.ts';

/**
 * A PUBLISH where it lies in `buffer`. One object serves all packets of a connection: it and the
 * bytes behind it are good only until `onPublish` returns.
 *
 * What is not checked yet: the topic's characters (`isValidTopicName`, so that a broker checks a
 * topic once and then remembers it) and the properties (`scanPublishProperties`).
 */
export interface PublishView {
  readonly buffer: Uint8Array;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly dup: boolean;
  /** 0 for QoS 0. */
  readonly packetId: number;
  readonly topicStart: number;
  /** Equal to `topicStart` where a topic alias stands for the topic. */
  readonly topicEnd: number;
  /** The property bytes without their length; equal where there are none. */
  readonly propertiesStart: number;
  readonly propertiesEnd: number;
  readonly payloadStart: number;
  readonly payloadEnd: number;
}

/** What a decoder hands out, in the order of the stream. May call the decoder's `stop`. */
export interface PacketHandler {
  onPublish(view: PublishView): void;
  /** `reasonCode` is 0 below 5.0. */
  onAck(type: AckType, packetId: number, reasonCode: number): void;
  onControl(packet: ControlPacket): void;
}

export interface PacketDecoderOptions {
  /** Of one whole packet, fixed header included. */
  readonly maxPacketBytes: number;
  /**
   * Who sends the stream. A client's, the default, begins with CONNECT, a server's with CONNACK or
   * AUTH.
   */
  readonly peer?: 'client' | 'server';
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const none = new Uint8Array(0);
const FIRST_ROOM_BYTES = 1024;
/** A buffer that grew beyond this for one large packet is given back after it. */
const KEPT_ROOM_BYTES = 16 * 1024;

/** The flags of the fixed header, table 2-2; -1 for PUBLISH, whose flags mean something. */
const requiredFlags: readonly number[] = [-2, 0, 0, -1, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0];

const sentByClient = new Set<number>([1, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15]);
const sentByServer = new Set<number>([2, 3, 4, 5, 6, 7, 9, 11, 13, 14, 15]);

const pubackReasons: ReadonlySet<number> = new Set([
  0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99,
]);
const pubrelReasons: ReadonlySet<number> = new Set([0x00, 0x92]);

/**
 * Cuts one connection's byte stream into packets. A packet that lies wholly in a chunk is read
 * where it is; only one that is split over chunks is copied together.
 *
 * Invariants:
 * - Between calls, `#kept` from `#keptStart` to `#keptEnd` is what was received and not handed out:
 *   the beginning of one packet, or anything at all while stopped.
 * - Room grows with the bytes that arrived, not with the length a header claims, and a packet that
 *   claims more than `maxPacketBytes` is refused as soon as its length is known.
 * - After an error nothing more is handed out: every later call throws the same error.
 */
export class PacketDecoder {
  /**
   * Set by the connection while it handles CONNECT (a client: before the first byte), so that what
   * lies behind it in the same chunk is read by the right rules.
   */
  protocolVersion: ProtocolVersion = 4;
  readonly #maxPacketBytes: number;
  readonly #allowed: ReadonlySet<number>;
  readonly #peer: 'client' | 'server';
  readonly #view: Mutable<PublishView> = {
    buffer: none,
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    topicStart: 0,
    topicEnd: 0,
    propertiesStart: 0,
    propertiesEnd: 0,
    payloadStart: 0,
    payloadEnd: 0,
  };
  #kept: Uint8Array = none;
  #keptStart = 0;
  #keptEnd = 0;
  #opened = false;
  #stopped = false;
  #running = false;
  #failure: Error | undefined;
  #connectVersion: ProtocolVersion | undefined;

  constructor(options: PacketDecoderOptions) {
    this.#maxPacketBytes = options.maxPacketBytes;
    this.#peer = options.peer ?? 'client';
    this.#allowed = this.#peer === 'client' ? sentByClient : sentByServer;
  }

  /** Received and not handed out yet. Without `stop`, below `maxPacketBytes`. */
  get bufferedBytes(): number {
    return this.#keptEnd - this.#keptStart;
  }

  /**
   * The protocol version that a CONNECT asked for, known also where the packet was refused, so that
   * the broker can choose the form of its CONNACK. Undefined before one, or for a level that is
   * none.
   */
  get connectVersion(): ProtocolVersion | undefined {
    return this.#connectVersion;
  }

  /**
   * Hands out every packet that `chunk` completes. The chunk may be reused when this returns.
   * Throws ProtocolError; the packets before the faulty one have been handed out by then.
   */
  feed(chunk: Uint8Array, handler: PacketHandler): void {
    assert(!this.#running, 'feed was called from inside a handler');
    this.#throwFailure();
    if (this.#stopped) {
      this.#keep(chunk, 0, chunk.length);
      return;
    }
    this.#guarded(() => {
      const at = this.bufferedBytes === 0 ? 0 : this.#completeKept(chunk, handler);
      const end = this.#run(chunk, at, chunk.length, handler);
      this.#keep(chunk, end, chunk.length);
    });
  }

  /** From inside a handler or outside: no more packets are handed out, what follows is kept. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Hands out what was kept since `stop`, and goes on. From inside a handler it only undoes `stop`.
   */
  resume(handler: PacketHandler): void {
    this.#throwFailure();
    this.#stopped = false;
    if (this.#running) return;
    this.#guarded(() => this.#runKept(handler));
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #guarded(work: () => void): void {
    this.#running = true;
    try {
      work();
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      throw error;
    } finally {
      this.#running = false;
    }
  }

  /**
   * Brings the kept beginning of a packet to its end with bytes from `chunk` and hands it out.
   * Returns how much of the chunk that took.
   */
  #completeKept(chunk: Uint8Array, handler: PacketHandler): number {
    let taken = 0;
    while (this.bufferedBytes > 0 && taken < chunk.length && !this.#stopped) {
      const total = this.#packetBytes(this.#kept, this.#keptStart, this.#keptEnd);
      // Without the whole length the next byte is all that may be taken: more could be another
      // packet's.
      const missing = total === 0 ? 1 : total - this.bufferedBytes;
      const share = Math.min(missing, chunk.length - taken);
      this.#keep(chunk, taken, taken + share);
      taken += share;
      if (share === missing) this.#runKept(handler);
    }
    return taken;
  }

  #runKept(handler: PacketHandler): void {
    this.#keptStart = this.#run(this.#kept, this.#keptStart, this.#keptEnd, handler);
    if (this.#keptStart < this.#keptEnd) return;
    this.#keptStart = 0;
    this.#keptEnd = 0;
    if (this.#kept.length > KEPT_ROOM_BYTES) this.#kept = none;
  }

  #keep(chunk: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length === 0) return;
    const needed = this.bufferedBytes + length;
    if (this.#keptEnd + length > this.#kept.length) {
      const held = this.#kept.subarray(this.#keptStart, this.#keptEnd);
      const room =
        needed <= this.#kept.length && this.#keptStart > 0
          ? this.#kept
          : new Uint8Array(Math.max(needed, 2 * held.length, FIRST_ROOM_BYTES));
      room.set(held);
      this.#kept = room;
      this.#keptStart = 0;
      this.#keptEnd = held.length;
    }
    this.#kept.set(chunk.subarray(start, end), this.#keptEnd);
    this.#keptEnd += length;
  }

  /** Bytes of the packet at `at`, or 0 while its length is not all there. Checks what is. */
  #packetBytes(buffer: Uint8Array, at: number, end: number): number {
    this.#checkFirstByte(buffer[at] as number);
    let remaining = 0;
    for (let i = 1; i <= 4; i += 1) {
      if (at + i >= end) return 0;
      const byte = buffer[at + i] as number;
      remaining += (byte & 0x7f) << (7 * (i - 1));
      if (byte >= 0x80) continue;
      // [MQTT-1.5.5-1]; 3.1.1 has no such rule.
      if (byte === 0 && i > 1 && this.protocolVersion === 5) {
        throw malformed('the remaining length is not minimal');
      }
      this.#checkSize(1 + i + remaining);
      return 1 + i + remaining;
    }
    throw malformed('the remaining length has more than 4 bytes');
  }

  #checkSize(packetBytes: number): void {
    if (packetBytes > this.#maxPacketBytes) {
      throw new ProtocolError(
        ReasonCode.packetTooLarge,
        `a packet has ${packetBytes} bytes, at most ${this.#maxPacketBytes} are taken`,
      );
    }
  }

  #checkFirstByte(first: number): void {
    const type = first >> 4;
    const flags = requiredFlags[type] as number;
    // Type 0 is forbidden (table 2-1).
    if (flags === -2) throw malformed('there is no packet type 0');
    // [MQTT-2.1.3-1] (3.1.1: [MQTT-2.2.2-1], -2); PUBREL [MQTT-3.6.1-1], SUBSCRIBE [MQTT-3.8.1-1].
    // In 3.1 (sections 3.6, 3.8, 3.10) a repeat of these has the DUP flag.
    const given = this.protocolVersion === 3 && flags === 2 ? first & 7 : first & 15;
    if (flags >= 0 && flags !== given) throw malformed('the flags of a packet are wrong');
    // [MQTT-3.3.1-4]
    if (flags === -1 && (first & 6) === 6) throw malformed('a PUBLISH has QoS 3');
    if (!this.#allowed.has(type)) throw protocolError(`a ${this.#peer} does not send type ${type}`);
    if (this.#opened) {
      // [MQTT-3.1.0-2]
      if (type === PacketType.connect) throw protocolError('a second CONNECT');
      return;
    }
    const opens =
      this.#peer === 'client'
        ? type === PacketType.connect
        : type === PacketType.connack || type === PacketType.auth || type === PacketType.disconnect;
    // [MQTT-3.1.0-1], [MQTT-3.2.0-1]
    if (!opens) throw protocolError('the first packet is of another type');
  }

  /**
   * Hands out whole packets from `start` on; returns where the first one begins that is not whole,
   * or not wanted yet. This loop and `#publish` are the hot path: the common one-byte and two-byte
   * lengths are read here without a call, and nothing is allocated.
   */
  #run(buffer: Uint8Array, start: number, end: number, handler: PacketHandler): number {
    let at = start;
    while (at < end && !this.#stopped) {
      const first = buffer[at] as number;
      let body = at + 2;
      let next: number;
      const short = body <= end ? (buffer[at + 1] as number) : 0x80;
      if (short < 0x80) {
        next = body + short;
        this.#checkSize(next - at);
      } else {
        const total = this.#packetBytes(buffer, at, end);
        if (total === 0) return at;
        next = at + total;
        while ((buffer[body - 1] as number) >= 0x80) body += 1;
      }
      if (next > end || !this.#opened) this.#checkFirstByte(first);
      if (next > end) return at;
      const type = first >> 4;
      if (type === PacketType.publish) {
        this.#publish(buffer, first, body, next, handler);
      } else if (type >= PacketType.puback && type <= PacketType.pubcomp) {
        this.#ack(buffer, first, body, next, handler);
      } else {
        this.#control(buffer, first, body, next, handler);
      }
      at = next;
    }
    return at;
  }

  #publish(
    buffer: Uint8Array,
    first: number,
    body: number,
    end: number,
    handler: PacketHandler,
  ): void {
    const qos = (first >> 1) & 3;
    // [MQTT-3.3.1-4]
    if (qos === 3) throw malformed('a PUBLISH has QoS 3');
    // [MQTT-3.3.1-2]
    if (qos === 0 && (first & 8) !== 0) throw malformed('a PUBLISH of QoS 0 is a duplicate');
    if (body + 2 > end) throw malformed('a PUBLISH ends in its topic length');
    const topicStart = body + 2;
    const topicEnd = topicStart + (((buffer[body] as number) << 8) | (buffer[body + 1] as number));
    let at = qos === 0 ? topicEnd : topicEnd + 2;
    if (at > end) throw malformed('a PUBLISH ends in its topic or packet identifier');
    let packetId = 0;
    if (qos !== 0) {
      packetId = ((buffer[topicEnd] as number) << 8) | (buffer[topicEnd + 1] as number);
      // [MQTT-2.2.1-3] (3.1.1: [MQTT-2.3.1-1])
      if (packetId === 0) throw protocolError('a packet identifier is 0');
    }
    const view = this.#view;
    view.propertiesStart = at;
    view.propertiesEnd = at;
    if (this.protocolVersion === 5) {
      at = this.#publishProperties(buffer, at, end);
    }
    if (topicStart === topicEnd && view.propertiesStart === view.propertiesEnd) {
      // [MQTT-4.7.3-1]; only a topic alias may stand for a topic.
      throw protocolError('a PUBLISH has no topic');
    }
    // A reference that is stored into an old object is work for the garbage collector.
    if (view.buffer !== buffer) view.buffer = buffer;
    view.qos = qos as Qos;
    view.retain = (first & 1) !== 0;
    view.dup = (first & 8) !== 0;
    view.packetId = packetId;
    view.topicStart = topicStart;
    view.topicEnd = topicEnd;
    view.payloadStart = at;
    view.payloadEnd = end;
    handler.onPublish(view);
  }

  /** Notes where the properties lie; returns where the payload begins. */
  #publishProperties(buffer: Uint8Array, at: number, end: number): number {
    const short = at < end ? (buffer[at] as number) : 0x80;
    if (short < 0x80) {
      this.#view.propertiesStart = at + 1;
      this.#view.propertiesEnd = at + 1 + short;
    } else {
      const reader = new ByteReader(buffer, at, end);
      const length = reader.variableInteger();
      this.#view.propertiesStart = reader.at;
      this.#view.propertiesEnd = reader.at + length;
    }
    if (this.#view.propertiesEnd > end) throw malformed('a PUBLISH ends in its properties');
    return this.#view.propertiesEnd;
  }

  #ack(buffer: Uint8Array, first: number, body: number, end: number, handler: PacketHandler): void {
    if ((first & 15) !== (requiredFlags[first >> 4] as number)) this.#checkFirstByte(first);
    const length = end - body;
    if (length < 2 || (length > 2 && this.protocolVersion !== 5)) {
      throw malformed('an acknowledgement has the wrong length');
    }
    const type = (first >> 4) as AckType;
    const packetId = ((buffer[body] as number) << 8) | (buffer[body + 1] as number);
    if (packetId === 0) throw protocolError('a packet identifier is 0');
    const reasonCode = length === 2 ? 0 : (buffer[body + 2] as number);
    if (length > 2) this.#checkAckTail(type, reasonCode, buffer, body + 3, end);
    handler.onAck(type, packetId, reasonCode);
  }

  #checkAckTail(
    type: AckType,
    reasonCode: number,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    const known = type <= PacketType.pubrec ? pubackReasons : pubrelReasons;
    // [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]
    if (!known.has(reasonCode)) throw protocolError('an unknown reason in an acknowledgement');
    if (start === end) return;
    const reader = new ByteReader(buffer, start, end);
    readProperties(reader, PropertyHolder.ack);
    if (!reader.atEnd) throw malformed('bytes are left behind an acknowledgement');
  }

  #control(
    buffer: Uint8Array,
    first: number,
    body: number,
    end: number,
    handler: PacketHandler,
  ): void {
    this.#checkFirstByte(first);
    const type = first >> 4;
    if (type === PacketType.connect) {
      this.#connectVersion = connectProtocolVersion(buffer, body, end);
    }
    const packet = decodeControl(type, this.protocolVersion, buffer, body, end);
    this.#opened = true;
    handler.onControl(packet);
  }
}
