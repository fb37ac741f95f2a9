import type {
  ProtocolVersion,
  SubscribePacket,
  UnsubscribePacket,
} from '../codec/control-packet.ts';
import { noProperties } from '../codec/properties.ts';
import { ReasonCode } from '../codec/reason-codes.ts';
import { isValidTopicFilter } from '../codec/topic.ts';
import { maySubscribe } from './authorizer.ts';
import type { ClientSession } from './client-session.ts';
import type { Connection } from './connection.ts';
import type { BrokerLimits } from './limits.ts';
import { Publication } from './publication.ts';
import type { RetainedMessages } from './retained.ts';
import type { SessionRegistry } from './session-registry.ts';
import { parseSharedFilter, type SubscriptionOptions } from './subscription.ts';
import { isSysTopic, type SysTopics } from './sys-topics.ts';

export interface SubscribeContext {
  readonly registry: SessionRegistry;
  readonly retained: RetainedMessages;
  readonly sys: SysTopics;
  readonly limits: BrokerLimits;
  lastSequence(): number;
}

const SUBACK_FAILURE = 0x80;

/** SUBSCRIBE [MQTT5 3.8.4]. */
export function handleSubscribe(
  connection: Connection,
  packet: SubscribePacket,
  context: SubscribeContext,
): void {
  const { session } = connection;
  const reasonCodes: number[] = [];
  let isGranted = false;
  const wantRetained: { filter: string; options: SubscriptionOptions }[] = [];
  const [subscriptionId] = packet.properties.subscriptionIds;
  for (const { filter, ...asked } of packet.subscriptions) {
    const options: SubscriptionOptions = { ...asked, subscriptionId };
    const refusal = refusalOf(connection, filter, context);
    if (refusal !== undefined) {
      reasonCodes.push(refusalCode(connection.version, refusal, options.qos));
      continue;
    }
    const isNew = context.registry.subscribe(session, filter, options);
    isGranted = true;
    reasonCodes.push(options.qos);
    // [MQTT-3.3.1-9, -10, -11]: retain handling 0 always, 1 only for a new subscription, 2 never.
    const { retainHandling } = options;
    // Section 4.8.2: a shared subscription gets no retained messages when it is made.
    if (parseSharedFilter(filter) !== undefined) continue;
    if (retainHandling === 0 || (retainHandling === 1 && isNew)) {
      wantRetained.push({ filter, options });
    }
  }
  // What is refused alone promises nothing, also while flash cannot be written.
  const gate = session.durable && isGranted ? context.lastSequence() : 0;
  connection.sendAfterDurable(gate, {
    type: 'suback',
    packetId: packet.packetId,
    reasonCodes,
    properties: noProperties(),
  });
  if (wantRetained.length === 0) return;
  connection.afterDurable(0, () => {
    void sendRetained(connection, session, wantRetained, context);
  });
}

/**
 * 3.1.1 knows one refusal [MQTT-3.9.3-2], 3.1 none: there a client takes the answer for a QoS, so it
 * gets the one it asked for, as from Mosquitto.
 */
function refusalCode(version: ProtocolVersion, reasonCode: number, qos: number): number {
  if (version === 5) return reasonCode;
  return version === 4 ? SUBACK_FAILURE : qos;
}

/** UNSUBSCRIBE [MQTT5 3.10.4]. */
export function handleUnsubscribe(
  connection: Connection,
  packet: UnsubscribePacket,
  context: SubscribeContext,
): void {
  const { session } = connection;
  const reasonCodes = packet.filters.map((filter) =>
    context.registry.unsubscribe(session, filter)
      ? ReasonCode.success
      : ReasonCode.noSubscriptionExisted,
  );
  connection.sendAfterDurable(session.durable ? context.lastSequence() : 0, {
    type: 'unsuback',
    packetId: packet.packetId,
    reasonCodes: connection.version === 5 ? reasonCodes : [],
    properties: noProperties(),
  });
}

function refusalOf(
  connection: Connection,
  filter: string,
  { limits, registry }: SubscribeContext,
): number | undefined {
  if (!isValidTopicFilter(filter)) return ReasonCode.topicFilterInvalid;
  const shared = parseSharedFilter(filter);
  if (shared === 'invalid') return ReasonCode.topicFilterInvalid;
  const inner = shared?.filter ?? filter;
  if (inner.split('/').length > limits.topicLevels) return ReasonCode.topicFilterInvalid;
  const isLong = Buffer.byteLength(inner) > limits.topicBytes;
  if (isLong || (shared?.name.length ?? 0) > limits.topicBytes)
    return ReasonCode.topicFilterInvalid;
  if (/^\$(stream|queue|s|q)\//.test(filter)) return ReasonCode.implementationSpecificError;
  if (!maySubscribe(connection.rights, filter)) return ReasonCode.notAuthorized;
  const { subscriptions, durable } = connection.session;
  if (subscriptions.has(filter)) return undefined;
  const isFull = subscriptions.size >= limits.subscriptionsPerClient;
  const hasNoRoom = durable && !registry.hasRoomForState;
  return isFull || hasNoRoom ? ReasonCode.quotaExceeded : undefined;
}

/** Retained messages follow the SUBACK, with the retain flag set [MQTT-3.3.1-8]. */
async function sendRetained(
  connection: Connection,
  session: ClientSession,
  wanted: readonly { filter: string; options: SubscriptionOptions }[],
  { retained, sys }: SubscribeContext,
): Promise<void> {
  for (const { filter, options } of wanted) {
    const isSys = isSysTopic(filter);
    for (const message of isSys ? sys.matching(filter) : await retained.matching(filter)) {
      if (!connection.isOpen || connection.session !== session) return;
      if (!connection.rights.mayRead(message.topic.name)) continue;
      const ids = options.subscriptionId === undefined ? [] : [options.subscriptionId];
      const qos = message.qos < options.qos ? message.qos : options.qos;
      const copy = asRetained(message);
      // However many there are, a peer that reads gets them all.
      await (qos > 0 ? session.roomToWait() : connection.output.untilWritable());
      if (!connection.isOpen || connection.session !== session) return;
      if (qos > 0) session.offer(copy, qos as 1 | 2, true, ids);
      else connection.sendPublish(copy, 0, true, false, 0, ids);
    }
  }
}

/** Its place in the ring says nothing about this session's cursor, so the copy has none. */
function asRetained(message: Publication): Publication {
  const copy = new Publication(message.topic);
  copy.qos = message.qos;
  copy.retain = true;
  copy.properties = message.properties;
  copy.payload = message.payload;
  copy.origin = message.origin;
  copy.takeExpiry(message);
  return copy;
}
