import { copyBytes } from '../base/copy-bytes.ts';
import type { AckType, ProtocolVersion, Qos } from './control-packet.ts';
import { PacketType } from './control-packet.ts';
import { variableIntegerSize, writeVariableInteger } from './variable-integer.ts';

/** Bytes of an acknowledgement without and with a reason code. */
export const ACK_BYTES = 4;
export const ACK_WITH_REASON_BYTES = 5;

function remainingLength(
  version: ProtocolVersion,
  topicBytesLength: number,
  qos: Qos,
  propertiesLength: number,
  payloadLength: number,
): number {
  const properties = version === 5 ? variableIntegerSize(propertiesLength) + propertiesLength : 0;
  return 2 + topicBytesLength + (qos === 0 ? 0 : 2) + properties + payloadLength;
}

/** Bytes of a whole PUBLISH. `propertiesLength` is without its own length; ignored below 5.0. */
export function publishSize(
  version: ProtocolVersion,
  topicBytesLength: number,
  qos: Qos,
  propertiesLength: number,
  payloadLength: number,
): number {
  const remaining = remainingLength(
    version,
    topicBytesLength,
    qos,
    propertiesLength,
    payloadLength,
  );
  return 1 + variableIntegerSize(remaining) + remaining;
}

/**
 * Where the packet identifier of a PUBLISH lies, from the packet's first byte, so that one encoding
 * can be copied to many connections and patched. Means nothing for QoS 0.
 */
export function packetIdPosition(packetBytes: number, topicBytesLength: number): number {
  return 1 + lengthSizeOf(packetBytes) + 2 + topicBytesLength;
}

/** Size of the remaining length in a packet of `packetBytes` altogether. */
function lengthSizeOf(packetBytes: number): number {
  if (packetBytes < 2 + 0x80) return 1;
  if (packetBytes < 3 + 0x4000) return 2;
  return packetBytes < 4 + 0x20_0000 ? 3 : 4;
}

/**
 * Writes a PUBLISH at `at` and returns the position behind it; `target` must have `publishSize`
 * bytes there. `properties` are raw, without their length, and ignored below 5.0. The payload is
 * `payload[payloadStart..payloadEnd)`, all of it by default.
 */
export function writePublish(
  target: Uint8Array,
  at: number,
  version: ProtocolVersion,
  topicBytes: Uint8Array,
  qos: Qos,
  retain: boolean,
  dup: boolean,
  packetId: number,
  properties: Uint8Array,
  payload: Uint8Array,
  payloadStart = 0,
  payloadEnd = payload.length,
): number {
  const remaining = remainingLength(
    version,
    topicBytes.length,
    qos,
    properties.length,
    payloadEnd - payloadStart,
  );
  target[at] = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  let next = writeVariableInteger(target, at + 1, remaining);
  next = writeUint16(target, next, topicBytes.length);
  next = copyBytes(target, next, topicBytes, 0, topicBytes.length);
  if (qos !== 0) next = writeUint16(target, next, packetId);
  if (version === 5) {
    next = writeVariableInteger(target, next, properties.length);
    next = copyBytes(target, next, properties, 0, properties.length);
  }
  return copyBytes(target, next, payload, payloadStart, payloadEnd);
}

/** A PUBLISH of its own, with the place of its packet identifier (see {@link packetIdPosition}). */
export function encodePublish(
  version: ProtocolVersion,
  topicBytes: Uint8Array,
  qos: Qos,
  retain: boolean,
  dup: boolean,
  packetId: number,
  properties: Uint8Array,
  payload: Uint8Array,
): { bytes: Uint8Array; packetIdAt: number } {
  const size = publishSize(version, topicBytes.length, qos, properties.length, payload.length);
  const bytes = Buffer.allocUnsafe(size);
  writePublish(bytes, 0, version, topicBytes, qos, retain, dup, packetId, properties, payload);
  return { bytes, packetIdAt: packetIdPosition(size, topicBytes.length) };
}

/**
 * Writes {@link ACK_BYTES} bytes that mean success in every version; returns the position behind.
 */
export function writeAck(target: Uint8Array, at: number, type: AckType, packetId: number): number {
  target[at] = ackHeader(type);
  target[at + 1] = 2;
  return writeUint16(target, at + 2, packetId);
}

/** Writes {@link ACK_WITH_REASON_BYTES} bytes, 5.0 only; returns the position behind. */
export function writeAckWithReason(
  target: Uint8Array,
  at: number,
  type: AckType,
  packetId: number,
  reasonCode: number,
): number {
  target[at] = ackHeader(type);
  target[at + 1] = 3;
  writeUint16(target, at + 2, packetId);
  target[at + 4] = reasonCode;
  return at + ACK_WITH_REASON_BYTES;
}

function ackHeader(type: AckType): number {
  return (type << 4) | (type === PacketType.pubrel ? 2 : 0);
}

/** Writes a packet identifier, big-endian; returns the position behind. */
export function writeUint16(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 8;
  target[at + 1] = value & 0xff;
  return at + 2;
}

/**
 * Below some tens of bytes a loop is faster than `set`, which costs a call into the runtime; most
 * topics and many payloads are that short.
 */
