import type { Admission, RefusalReason } from '../auth/types.ts';
import type { ConnectPacket } from '../codec/control-packet.ts';
import { encodePublishProperties } from '../codec/publish-properties.ts';
import { noProperties, type Properties } from '../codec/properties.ts';
import { ReasonCode } from '../codec/reason-codes.ts';
import { isValidTopicName } from '../codec/topic.ts';
import { ProtocolError } from '../base/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import { type ClientIdentity, mayPublish } from './authorizer.ts';
import type { Admitted, Connection } from './connection.ts';
import type { BrokerCounters } from './counters.ts';
import type { Durability } from './durability.ts';
import type { BrokerLimits } from './limits.ts';
import { NEVER_EXPIRES, type SessionRegistry } from './session-registry.ts';
import { isSysTopic } from './sys-topics.ts';
import { TOPIC_ALIAS_MAXIMUM } from './topic-aliases.ts';
import type { TopicTable } from './topics.ts';
import type { WillMessage, Wills } from './wills.ts';

/** 3.1.1 return codes of CONNACK, table 3.1. */
const RETURN_IDENTIFIER_REJECTED = 2;
const RETURN_SERVER_UNAVAILABLE = 3;
const RETURN_BAD_CREDENTIALS = 4;
const RETURN_NOT_AUTHORIZED = 5;

/** What a refused login is told, in 3.1.1 and in 5.0. */
const REFUSALS: Readonly<Record<RefusalReason, readonly [v3: number, v5: number]>> = {
  bad_credentials: [RETURN_BAD_CREDENTIALS, ReasonCode.badUserNameOrPassword],
  not_authorized: [RETURN_NOT_AUTHORIZED, ReasonCode.notAuthorized],
  busy: [RETURN_SERVER_UNAVAILABLE, ReasonCode.serverBusy],
};

export interface ConnectContext {
  readonly registry: SessionRegistry;
  readonly durability: Durability;
  readonly wills: Wills;
  readonly random: Random;
  readonly limits: BrokerLimits;
  readonly topics: TopicTable;
  readonly counters: BrokerCounters;
  readonly logger: Logger;
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
  const isV5 = packet.protocolVersion === 5;
  const assigned = packet.clientId === '' ? makeClientId(context.random) : undefined;
  const mayBeEmpty = isV5 || (packet.cleanStart && packet.protocolVersion !== 3);
  if (assigned !== undefined && !mayBeEmpty) {
    // [MQTT-3.1.3-8] of 3.1.1: an empty client id is only for a clean session. 3.1 knows none; that it
    // limits them to 23 characters nobody minds, Mosquitto neither.
    connection.refuseConnect(packet.protocolVersion, RETURN_IDENTIFIER_REJECTED);
    return;
  }
  if (packet.properties.authenticationMethod !== undefined) {
    connection.refuseConnect(5, ReasonCode.badAuthenticationMethod);
    return;
  }
  const clientId = assigned ?? packet.clientId;
  const { remoteAddress, tls } = connection.socket;
  const { username, password } = packet;
  const certificateName = tls?.userName;
  const login = { clientId, username, password, remoteAddress, certificateName };
  const admission = connection.authorizer.admit(login);
  const answer = (given: Admission): void => {
    if (given.kind === 'admitted' && given.isStillValid()) {
      const identity: ClientIdentity = { clientId, username: given.username, remoteAddress };
      enter(connection, packet, context, { identity, admission: given, assigned });
    } else {
      const reason = given.kind === 'refused' ? given.reason : 'bad_credentials';
      const [v3Code, v5Code] = REFUSALS[reason];
      connection.refuseConnect(packet.protocolVersion, isV5 ? v5Code : v3Code);
    }
  };
  if (admission instanceof Promise) connection.whenAdmitted(admission, answer);
  else answer(admission);
}

interface Entrant {
  readonly identity: ClientIdentity;
  readonly admission: Admitted;
  readonly assigned: string | undefined;
}

/** The client may come in; the rest is about what it brings. */
function enter(
  connection: Connection,
  packet: ConnectPacket,
  context: ConnectContext,
  entrant: Entrant,
): void {
  const { registry } = context;
  const { clientId } = entrant.identity;
  const isV5 = packet.protocolVersion === 5;
  const known = registry.get(clientId);
  const isNewDurable = expiryOf(packet) > 0 && known === undefined;
  const changes =
    isNewDurable || packet.will !== undefined || (packet.cleanStart && known?.durable);
  // Flash cannot be written, so an answer would have to wait for as long as that lasts.
  const isUnavailable = changes === true && context.durability.isRefusing;
  if (isUnavailable || (isNewDurable && !registry.hasRoomForState)) {
    const v5Code = isUnavailable ? ReasonCode.serverUnavailable : ReasonCode.quotaExceeded;
    const { protocolVersion } = packet;
    connection.refuseConnect(protocolVersion, isV5 ? v5Code : RETURN_SERVER_UNAVAILABLE);
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
  accept(connection, packet, context, { ...entrant, will: permittedWill(will, entrant, context) });
}

/** A will that its client may not publish is dropped, as Mosquitto drops it: the client is let in. */
function permittedWill(
  will: WillMessage | undefined,
  { identity, admission }: Entrant,
  { counters, logger }: ConnectContext,
): WillMessage | undefined {
  if (will === undefined || mayPublish(admission.rights, will.topic)) return will;
  counters.drop('not_authorized');
  logger.warn('client.will_refused', {
    client: identity.clientId,
    user: identity.username,
    topic: will.topic,
  });
  return undefined;
}

function accept(
  connection: Connection,
  packet: ConnectPacket,
  context: ConnectContext,
  client: Entrant & { readonly will: WillMessage | undefined },
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
  connection.opened(session, client, packet.protocolVersion, packet.properties);
  connection.keepAliveMs = packet.keepAliveSeconds * 1000;
  context.opened(connection);

  const gate = changed || will !== undefined ? context.lastSequence() : 0;
  const isGreeted = connection.sendConnack(gate, {
    type: 'connack',
    // 3.1 has no such flag: the byte is reserved there.
    sessionPresent: present && packet.protocolVersion !== 3,
    reasonCode: ReasonCode.success,
    properties: connackProperties(packet, assigned, asked, expirySeconds, limits),
  });
  if (!isGreeted) return;
  const window = Math.min(packet.properties.receiveMaximum ?? 65_535, limits.inflight);
  connection.afterDurable(0, () => {
    if (connection.isOpen && connection.session === session) {
      if (session.subscriptions.size > 0) context.topics.rightsTaken(connection.rights);
      session.attach(connection, window);
      connection.greeted();
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
  properties.topicAliasMaximum = TOPIC_ALIAS_MAXIMUM;
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
