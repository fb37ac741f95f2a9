import type { ConnectPacket } from '../codec/control-packet.ts';
import { encodePublishProperties } from '../codec/publish-properties.ts';
import { noProperties, type Properties } from '../codec/properties.ts';
import { ReasonCode } from '../codec/reason-codes.ts';
import { isValidTopicName } from '../codec/topic.ts';
import { ProtocolError } from '../base/errors.ts';
import type { Random } from '../platform/random.ts';
import type { ClientIdentity } from './authorizer.ts';
import type { WillMessage } from './client-session.ts';
import type { Connection } from './connection.ts';
import type { BrokerLimits } from './limits.ts';
import { NEVER_EXPIRES, type SessionRegistry } from './session-registry.ts';
import { isSysTopic } from './sys-topics.ts';
import type { Wills } from './wills.ts';

/** 3.1.1 return codes of CONNACK, table 3.1. */
const RETURN_IDENTIFIER_REJECTED = 2;
const RETURN_SERVER_UNAVAILABLE = 3;
const RETURN_BAD_CREDENTIALS = 4;
const RETURN_NOT_AUTHORIZED = 5;

export interface ConnectContext {
  readonly registry: SessionRegistry;
  readonly wills: Wills;
  readonly random: Random;
  readonly limits: BrokerLimits;
  /** The last sequence given out: what CONNACK waits for where it stands for something durable. */
  lastSequence(): number;
  /** The connection that carries a session now, if one does. */
  connectionOf(clientId: string): Connection | undefined;
  opened(connection: Connection): void;
}

/** CONNECT [MQTT5 3.1.4]. */
export function handleConnect(
  connection: Connection,
  packet: ConnectPacket,
  context: ConnectContext,
): void {
  const { registry } = context;
  const isV5 = packet.protocolVersion === 5;
  const assigned = packet.clientId === '' ? makeClientId(context.random) : undefined;
  if (assigned !== undefined && !isV5 && !packet.cleanStart) {
    // [MQTT-3.1.3-8] of 3.1.1: an empty client id is only for a clean session.
    connection.refuseConnect(packet.protocolVersion, RETURN_IDENTIFIER_REJECTED);
    return;
  }
  if (packet.properties.authenticationMethod !== undefined) {
    connection.refuseConnect(5, ReasonCode.badAuthenticationMethod);
    return;
  }
  const clientId = assigned ?? packet.clientId;
  const { remoteAddress } = connection.socket;
  const identity: ClientIdentity = { clientId, username: packet.username, remoteAddress };
  const verdict = connection.authorizer.connect(identity, packet.password);
  if (verdict !== 'ok') {
    const bad = verdict === 'bad_credentials';
    const v5Code = bad ? ReasonCode.badUserNameOrPassword : ReasonCode.notAuthorized;
    const v3Code = bad ? RETURN_BAD_CREDENTIALS : RETURN_NOT_AUTHORIZED;
    connection.refuseConnect(packet.protocolVersion, isV5 ? v5Code : v3Code);
    return;
  }
  const isNewDurable = expiryOf(packet) > 0 && registry.get(clientId) === undefined;
  if (isNewDurable && !registry.hasRoomForState) {
    connection.refuseConnect(
      packet.protocolVersion,
      isV5 ? ReasonCode.quotaExceeded : RETURN_SERVER_UNAVAILABLE,
    );
    return;
  }
  const will = willOf(packet);
  if (will !== undefined && isSysTopic(will.topic)) {
    connection.refuseConnect(
      packet.protocolVersion,
      isV5 ? ReasonCode.notAuthorized : RETURN_NOT_AUTHORIZED,
    );
    return;
  }
  // [MQTT-3.1.4-3]: the client that is there with this id is disconnected.
  context.connectionOf(clientId)?.disconnect(ReasonCode.sessionTakenOver);
  if (packet.cleanStart) context.wills.sessionEnds(clientId);
  accept(connection, packet, context, { identity, assigned, will });
}

function accept(
  connection: Connection,
  packet: ConnectPacket,
  context: ConnectContext,
  client: {
    readonly identity: ClientIdentity;
    readonly assigned: string | undefined;
    readonly will: WillMessage | undefined;
  },
): void {
  const { registry, wills, limits } = context;
  const { identity, assigned, will } = client;
  const asked = expiryOf(packet);
  const limitSeconds = Math.floor(limits.sessionExpiryMaxMs / 1000);
  // 3.1.1 cannot be told of a limit; 5.0 can [MQTT5 3.2.2.3.2].
  const expirySeconds = packet.protocolVersion === 5 ? Math.min(asked, limitSeconds) : asked;
  const { session, present, changed } = registry.open(
    identity.clientId,
    packet.cleanStart,
    expirySeconds,
  );
  wills.register(identity.clientId, will);
  connection.opened(session, identity, packet.protocolVersion);
  connection.keepAliveMs = packet.keepAliveSeconds * 1000;
  connection.maxPacketBytes = packet.properties.maximumPacketBytes ?? Number.POSITIVE_INFINITY;
  context.opened(connection);

  const gate = changed || will !== undefined ? context.lastSequence() : 0;
  connection.sendAfterDurable(gate, {
    type: 'connack',
    sessionPresent: present,
    reasonCode: ReasonCode.success,
    properties: connackProperties(packet, assigned, asked, expirySeconds, limits),
  });
  const window = Math.min(packet.properties.receiveMaximum ?? 65_535, limits.inflight);
  connection.afterDurable(0, () => {
    if (connection.isOpen && connection.session === session) {
      session.attach(connection, window);
    }
  });
}

/** Seconds the session is to live without a connection. */
function expiryOf(packet: ConnectPacket): number {
  if (packet.protocolVersion === 5) return packet.properties.sessionExpirySeconds ?? 0;
  return packet.cleanStart ? 0 : NEVER_EXPIRES;
}

function connackProperties(
  packet: ConnectPacket,
  assigned: string | undefined,
  asked: number,
  granted: number,
  limits: BrokerLimits,
): Properties {
  const properties = noProperties();
  if (packet.protocolVersion !== 5) return properties;
  if (assigned !== undefined) properties.assignedClientId = assigned;
  if (granted !== asked) properties.sessionExpirySeconds = granted;
  properties.receiveMaximum = Math.min(limits.receiveMaximum, 65_535);
  properties.maximumPacketBytes = limits.packetSizeBytes;
  properties.sharedAvailable = false;
  return properties;
}

function willOf(packet: ConnectPacket): WillMessage | undefined {
  const { will } = packet;
  if (will === undefined) return undefined;
  const topicBytes = Buffer.from(will.topic);
  if (!isValidTopicName(topicBytes, 0, topicBytes.length)) {
    throw new ProtocolError(ReasonCode.topicNameInvalid, 'the will topic is not a topic name');
  }
  const { willDelaySeconds, ...others } = will.properties;
  return {
    topic: will.topic,
    payload: will.payload,
    qos: will.qos,
    retain: will.retain,
    properties: encodePublishProperties(others),
    delaySeconds: willDelaySeconds ?? 0,
  };
}

function makeClientId(random: Random): string {
  return `auto-${Buffer.from(random.bytes(10)).toString('hex')}`;
}
