import { ProtocolError } from '../base/errors.ts';
import { ByteReader } from './byte-reader.ts';
import type {
  AuthPacket,
  ConnackPacket,
  ConnectPacket,
  ControlPacket,
  DisconnectPacket,
  ProtocolVersion,
  Qos,
  SubackPacket,
  SubscribePacket,
  Subscription,
  UnsubackPacket,
  UnsubscribePacket,
  Will,
} from './control-packet.ts';
import { PacketType } from './control-packet.ts';
import { noProperties, type Properties, PropertyHolder, readProperties } from './properties.ts';
import { malformed, protocolError, ReasonCode } from './reason-codes.ts';
import { isValidTopicFilter, isValidTopicNameText } from './topic.ts';

/**
 * Decodes the body (all behind the fixed header) of any packet but PUBLISH and its acks. Throws
 * ProtocolError: 0x81 where it cannot be parsed, 0x82 where it says what is not allowed, 0x84 for
 * an unknown protocol, 0x8f and 0x90 for a bad filter and a bad will topic.
 */
export function decodeControl(
  type: number,
  version: ProtocolVersion,
  buffer: Uint8Array,
  start: number,
  end: number,
): ControlPacket {
  const reader = new ByteReader(buffer, start, end);
  const packet = decodeBody(type, version, reader);
  if (!reader.atEnd) throw malformed(`bytes are left behind a ${packet.type}`);
  return packet;
}

function decodeBody(type: number, version: ProtocolVersion, reader: ByteReader): ControlPacket {
  switch (type) {
    case PacketType.connect:
      return decodeConnect(reader);
    case PacketType.connack:
      return decodeConnack(reader, version);
    case PacketType.subscribe:
      return decodeSubscribe(reader, version);
    case PacketType.suback:
      return decodeSuback(reader, version);
    case PacketType.unsubscribe:
      return decodeUnsubscribe(reader, version);
    case PacketType.unsuback:
      return decodeUnsuback(reader, version);
    case PacketType.pingreq:
      return { type: 'pingreq' };
    case PacketType.pingresp:
      return { type: 'pingresp' };
    case PacketType.disconnect:
      return decodeDisconnect(reader, version);
    case PacketType.auth:
      return decodeAuth(reader, version);
    default:
      throw malformed(`there is no packet type ${type}`);
  }
}

const RESERVED_FLAG = 0x01;
const CLEAN_FLAG = 0x02;
const WILL_FLAG = 0x04;
const WILL_RETAIN_FLAG = 0x20;
const PASSWORD_FLAG = 0x40;
const USER_NAME_FLAG = 0x80;

/**
 * The protocol level that the body of a CONNECT asks for, or undefined where it is none of ours:
 * for a broker that refuses the packet and has to choose the form of its CONNACK.
 */
export function connectProtocolVersion(
  buffer: Uint8Array,
  start: number,
  end: number,
): ProtocolVersion | undefined {
  if (end - start < 3) return undefined;
  const level =
    buffer[start + 2 + (((buffer[start] as number) << 8) | (buffer[start + 1] as number))];
  return level === 3 || level === 4 || level === 5 ? level : undefined;
}

function decodeConnect(reader: ByteReader): ConnectPacket {
  const protocolVersion = readProtocol(reader);
  const flags = reader.uint8();
  checkConnectFlags(flags, protocolVersion);
  const keepAliveSeconds = reader.uint16();
  const properties =
    protocolVersion === 5 ? readProperties(reader, PropertyHolder.connect) : noProperties();
  const clientId = reader.string();
  const packet: ConnectPacket = {
    type: 'connect',
    protocolVersion,
    clientId,
    cleanStart: (flags & CLEAN_FLAG) !== 0,
    keepAliveSeconds,
    properties,
  };
  if ((flags & WILL_FLAG) !== 0) packet.will = readWill(reader, flags, protocolVersion);
  if ((flags & USER_NAME_FLAG) !== 0) packet.username = reader.string();
  if ((flags & PASSWORD_FLAG) !== 0) packet.password = reader.binary();
  return packet;
}

function readProtocol(reader: ByteReader): ProtocolVersion {
  // [MQTT-3.1.2-1], [MQTT-3.1.2-2]: the broker may tell the peer that this is an MQTT server.
  const name = reader.string();
  const level = reader.uint8();
  if (name === 'MQTT' && (level === 4 || level === 5)) return level;
  if (name === 'MQIsdp' && level === 3) return level;
  throw new ProtocolError(
    ReasonCode.unsupportedProtocolVersion,
    `no protocol ${JSON.stringify(name.slice(0, 16))} of level ${level} here`,
  );
}

function checkConnectFlags(flags: number, version: ProtocolVersion): void {
  // [MQTT-3.1.2-3]
  if ((flags & RESERVED_FLAG) !== 0) throw malformed('the reserved flag of CONNECT is set');
  const willQos = (flags >> 3) & 3;
  // [MQTT-3.1.2-12] (3.1.1: -14)
  if (willQos === 3) throw malformed('the will has QoS 3');
  if ((flags & WILL_FLAG) === 0) {
    // [MQTT-3.1.2-11], [MQTT-3.1.2-13] (3.1.1: -13, -15)
    if (willQos !== 0) throw malformed('a will QoS without a will');
    if ((flags & WILL_RETAIN_FLAG) !== 0) throw malformed('a will retain flag without a will');
  }
  const hasPassword = (flags & PASSWORD_FLAG) !== 0;
  // 3.1.1 only, [MQTT-3.1.2-22]; 5.0 allows a password alone.
  if (hasPassword && (flags & USER_NAME_FLAG) === 0 && version !== 5) {
    throw malformed('a password without a user name');
  }
}

function readWill(reader: ByteReader, flags: number, version: ProtocolVersion): Will {
  const properties = version === 5 ? readProperties(reader, PropertyHolder.will) : noProperties();
  const topic = reader.string();
  // [MQTT-3.1.3-11] asks for a string, section 3.3.2 for a topic name once it is published.
  if (!isValidTopicNameText(topic)) {
    throw new ProtocolError(ReasonCode.topicNameInvalid, 'the will topic is not a topic name');
  }
  const payload = reader.binary();
  const qos = ((flags >> 3) & 3) as Qos;
  return { topic, payload, qos, retain: (flags & WILL_RETAIN_FLAG) !== 0, properties };
}

function decodeConnack(reader: ByteReader, version: ProtocolVersion): ConnackPacket {
  const flags = reader.uint8();
  // [MQTT-3.2.2-1]
  if (flags > 1) throw malformed('a reserved flag of CONNACK is set');
  const reasonCode = reader.uint8();
  const properties = propertiesOf5(reader, version, PropertyHolder.connack);
  return { type: 'connack', sessionPresent: flags === 1, reasonCode, properties };
}

function propertiesOf5(reader: ByteReader, version: ProtocolVersion, holder: number): Properties {
  return version === 5 ? readProperties(reader, holder) : noProperties();
}

function readPacketId(reader: ByteReader): number {
  const packetId = reader.uint16();
  // [MQTT-2.2.1-3] (3.1.1: [MQTT-2.3.1-1])
  if (packetId === 0) throw protocolError('a packet identifier is 0');
  return packetId;
}

function readFilter(reader: ByteReader): string {
  const filter = reader.string();
  // [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1]
  if (!isValidTopicFilter(filter)) {
    throw new ProtocolError(ReasonCode.topicFilterInvalid, 'a topic filter is not valid');
  }
  return filter;
}

function decodeSubscribe(reader: ByteReader, version: ProtocolVersion): SubscribePacket {
  const packetId = readPacketId(reader);
  const properties = propertiesOf5(reader, version, PropertyHolder.subscribe);
  // [MQTT-3.8.3-2] (3.1.1: -3)
  if (reader.atEnd) throw protocolError('a SUBSCRIBE without a topic filter');
  const subscriptions: Subscription[] = [];
  while (!reader.atEnd) {
    const filter = readFilter(reader);
    subscriptions.push(readSubscriptionOptions(filter, reader.uint8(), version));
  }
  return { type: 'subscribe', packetId, subscriptions, properties };
}

function readSubscriptionOptions(
  filter: string,
  options: number,
  version: ProtocolVersion,
): Subscription {
  // [MQTT-3.8.3-5] (3.1.1: -4): bits 7 and 6, below 5.0 bits 7 to 2.
  if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0) {
    throw malformed('a reserved bit of the subscription options is set');
  }
  const qos = options & 3;
  if (qos === 3) {
    // Section 3.8.3.1 of 5.0 says protocol error; [MQTT-3-8.3-4] of 3.1.1 says malformed.
    throw version === 5 ? protocolError('a subscription asks for QoS 3') : malformed('QoS 3');
  }
  const retainHandling = (options >> 4) & 3;
  if (retainHandling === 3) throw protocolError('retain handling is 3');
  const noLocal = (options & 0x04) !== 0;
  // [MQTT-3.8.3-4]
  if (noLocal && filter.startsWith('$share/')) {
    throw protocolError('no local on a shared subscription');
  }
  return {
    filter,
    qos: qos as Qos,
    noLocal,
    retainAsPublished: (options & 0x08) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  };
}

function decodeSuback(reader: ByteReader, version: ProtocolVersion): SubackPacket {
  const packetId = readPacketId(reader);
  const properties = propertiesOf5(reader, version, PropertyHolder.subscribeAck);
  const reasonCodes = readReasonCodes(reader);
  if (reasonCodes.length === 0) throw malformed('a SUBACK without a reason code');
  for (const code of reasonCodes) {
    // [MQTT-3.9.3-2]
    if (code > 2 && code < 0x80) throw malformed('a reserved reason code in a SUBACK');
  }
  return { type: 'suback', packetId, reasonCodes, properties };
}

function readReasonCodes(reader: ByteReader): number[] {
  const reasonCodes: number[] = [];
  while (!reader.atEnd) reasonCodes.push(reader.uint8());
  return reasonCodes;
}

function decodeUnsubscribe(reader: ByteReader, version: ProtocolVersion): UnsubscribePacket {
  const packetId = readPacketId(reader);
  const properties = propertiesOf5(reader, version, PropertyHolder.unsubscribe);
  // [MQTT-3.10.3-2]
  if (reader.atEnd) throw protocolError('an UNSUBSCRIBE without a topic filter');
  const filters: string[] = [];
  while (!reader.atEnd) filters.push(readFilter(reader));
  return { type: 'unsubscribe', packetId, filters, properties };
}

function decodeUnsuback(reader: ByteReader, version: ProtocolVersion): UnsubackPacket {
  const packetId = readPacketId(reader);
  const properties = propertiesOf5(reader, version, PropertyHolder.subscribeAck);
  const reasonCodes = version === 5 ? readReasonCodes(reader) : [];
  if (version === 5 && reasonCodes.length === 0)
    throw malformed('an UNSUBACK without a reason code');
  return { type: 'unsuback', packetId, reasonCodes, properties };
}

/** Table 3-13 of 5.0, those that a server sends included. */
const disconnectReasons: ReadonlySet<number> = new Set([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95,
  0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
]);

function decodeDisconnect(reader: ByteReader, version: ProtocolVersion): DisconnectPacket {
  // Sections 3.14.2.1 and 3.14.2.2.1: an absent code is 0, absent properties are none.
  const reasonCode = version === 5 && !reader.atEnd ? reader.uint8() : 0;
  // [MQTT-3.14.2-1]
  if (!disconnectReasons.has(reasonCode)) throw protocolError('an unknown reason to disconnect');
  const properties = reader.atEnd
    ? noProperties()
    : propertiesOf5(reader, version, PropertyHolder.disconnect);
  return { type: 'disconnect', reasonCode, properties };
}

function decodeAuth(reader: ByteReader, version: ProtocolVersion): AuthPacket {
  if (version !== 5) throw malformed('AUTH is of MQTT 5.0');
  // Section 3.15.2.1: an absent code is 0, and then there are no properties either.
  if (reader.atEnd) return { type: 'auth', reasonCode: 0, properties: noProperties() };
  const reasonCode = reader.uint8();
  // [MQTT-3.15.2-1]
  if (reasonCode !== 0 && reasonCode !== 0x18 && reasonCode !== 0x19) {
    throw protocolError('an unknown reason in AUTH');
  }
  const properties = readProperties(reader, PropertyHolder.auth);
  return { type: 'auth', reasonCode, properties };
}
