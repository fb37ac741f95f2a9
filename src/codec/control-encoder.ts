import { unreachable } from '../base/assert.ts';
import type {
  AuthPacket,
  ConnackPacket,
  ConnectPacket,
  DisconnectPacket,
  PingreqPacket,
  PingrespPacket,
  ProtocolVersion,
  SubackPacket,
  SubscribePacket,
  Subscription,
  UnsubackPacket,
  UnsubscribePacket,
} from './control-packet.ts';
import { PacketType } from './control-packet.ts';
import { binaryBytes, stringBytes, uint16Bytes } from './field-bytes.ts';
import { encodeProperties, type Properties } from './properties.ts';
import { variableIntegerBytes } from './variable-integer.ts';

/** A packet to send: as one received, where properties may be left out, also some of them. */
type Outgoing<T> = Omit<T, 'properties'> & { readonly properties?: Partial<Properties> };

export type OutgoingControl =
  | Outgoing<ConnectPacket>
  | Outgoing<ConnackPacket>
  | Outgoing<SubscribePacket>
  | Outgoing<SubackPacket>
  | Outgoing<UnsubscribePacket>
  | Outgoing<UnsubackPacket>
  | PingreqPacket
  | PingrespPacket
  | Outgoing<DisconnectPacket>
  | Outgoing<AuthPacket>;

/**
 * A whole packet. Below 5.0 properties and what only 5.0 has are left out. A CONNACK's reason code
 * must be one of the version's own (`refusalReturnCode` translates).
 */
export function encodeControl(packet: OutgoingControl, version: ProtocolVersion): Uint8Array {
  switch (packet.type) {
    case 'connect':
      return frame(PacketType.connect, 0, connectBody(packet));
    case 'connack':
      return frame(PacketType.connack, 0, [
        Uint8Array.of(packet.sessionPresent ? 1 : 0, packet.reasonCode),
        propertyBytes(packet.properties, version),
      ]);
    case 'subscribe':
      return frame(PacketType.subscribe, 2, subscribeBody(packet, version));
    case 'suback':
      return frame(PacketType.suback, 0, [
        uint16Bytes(packet.packetId),
        propertyBytes(packet.properties, version),
        Uint8Array.from(packet.reasonCodes),
      ]);
    case 'unsubscribe':
      return frame(PacketType.unsubscribe, 2, [
        uint16Bytes(packet.packetId),
        propertyBytes(packet.properties, version),
        ...packet.filters.map(stringBytes),
      ]);
    case 'unsuback':
      return frame(PacketType.unsuback, 0, [
        uint16Bytes(packet.packetId),
        propertyBytes(packet.properties, version),
        Uint8Array.from(version === 5 ? packet.reasonCodes : []),
      ]);
    case 'pingreq':
      return frame(PacketType.pingreq, 0, []);
    case 'pingresp':
      return frame(PacketType.pingresp, 0, []);
    case 'disconnect':
      return frame(PacketType.disconnect, 0, reasonBody(packet, version));
    case 'auth':
      return frame(PacketType.auth, 0, reasonBody(packet, version));
    default:
      return unreachable(packet);
  }
}

/**
 * The CONNACK return code of 3.1 and 3.1.1 (section 3.2.2.3) nearest to a 5.0 reason code, or
 * undefined where those versions have none and the connection is closed without a CONNACK.
 */
export function refusalReturnCode(reasonCode: number): number | undefined {
  switch (reasonCode) {
    case 0x84:
      return 1;
    case 0x85:
      return 2;
    case 0x88:
    case 0x89:
      return 3;
    case 0x86:
      return 4;
    case 0x87:
    case 0x8a:
      return 5;
    default:
      return undefined;
  }
}

/** Fixed header (section 2.1) and body. */
function frame(type: number, flags: number, body: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of body) length += part.length;
  return Buffer.concat([Uint8Array.of((type << 4) | flags), variableIntegerBytes(length), ...body]);
}

function propertyBytes(
  properties: Partial<Properties> | undefined,
  version: ProtocolVersion,
): Uint8Array {
  if (version !== 5) return new Uint8Array(0);
  const bytes = encodeProperties(properties ?? {});
  return Buffer.concat([variableIntegerBytes(bytes.length), bytes]);
}

function connectBody(packet: Outgoing<ConnectPacket>): Uint8Array[] {
  const { protocolVersion, will, username, password } = packet;
  let flags = packet.cleanStart ? 0x02 : 0;
  if (will !== undefined) flags |= 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0);
  if (password !== undefined) flags |= 0x40;
  if (username !== undefined) flags |= 0x80;
  const body = [
    stringBytes(protocolVersion === 3 ? 'MQIsdp' : 'MQTT'),
    Uint8Array.of(protocolVersion, flags),
    uint16Bytes(packet.keepAliveSeconds),
    propertyBytes(packet.properties, protocolVersion),
    stringBytes(packet.clientId),
  ];
  if (will !== undefined) {
    body.push(propertyBytes(will.properties, protocolVersion));
    body.push(stringBytes(will.topic), binaryBytes(will.payload));
  }
  if (username !== undefined) body.push(stringBytes(username));
  if (password !== undefined) body.push(binaryBytes(password));
  return body;
}

function subscribeBody(packet: Outgoing<SubscribePacket>, version: ProtocolVersion): Uint8Array[] {
  const body = [uint16Bytes(packet.packetId), propertyBytes(packet.properties, version)];
  for (const subscription of packet.subscriptions) {
    const options = version === 5 ? optionBits(subscription) : subscription.qos;
    body.push(stringBytes(subscription.filter), Uint8Array.of(options));
  }
  return body;
}

/** Subscription options of 5.0, section 3.8.3.1. */
function optionBits(subscription: Subscription): number {
  return (
    subscription.qos |
    (subscription.noLocal ? 0x04 : 0) |
    (subscription.retainAsPublished ? 0x08 : 0) |
    (subscription.retainHandling << 4)
  );
}

/**
 * DISCONNECT and AUTH: reason 0 without properties is no byte at all (sections 3.14.2.1, 3.15.2.1).
 */
function reasonBody(
  packet: Outgoing<DisconnectPacket> | Outgoing<AuthPacket>,
  version: ProtocolVersion,
): Uint8Array[] {
  if (version !== 5) return [];
  const properties = propertyBytes(packet.properties, version);
  if (packet.reasonCode === 0 && properties.length === 1) return [];
  return [Uint8Array.of(packet.reasonCode), properties];
}
