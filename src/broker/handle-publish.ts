import { ProtocolError } from '../base/errors.ts';
import { PacketType } from '../codec/control-packet.ts';
import type { PublishView } from '../codec/packet-decoder.ts';
import {
  forwardableProperties,
  scanPublishProperties,
  type PublishPropertyScan,
} from '../codec/publish-properties.ts';
import { ReasonCode } from '../codec/reason-codes.ts';
import { decodeTopic, isMqttString, isValidTopicName } from '../codec/topic.ts';
import type { Clock } from '../platform/clock.ts';
import { mayPublish } from './authorizer.ts';
import { BlockedPublishers } from './blocked-publishers.ts';
import type { Connection } from './connection.ts';
import type { BrokerCounters } from './counters.ts';
import type { ClientSession } from './client-session.ts';
import { type KnownTopic, NO_TOPICS } from './known-topics.ts';
import type { BrokerLimits } from './limits.ts';
import { NO_BYTES, Publication } from './publication.ts';
import type { Router, RouteResult } from './router.ts';
import type { SessionRegistry } from './session-registry.ts';
import { TOPIC_ALIAS_MAXIMUM } from './topic-aliases.ts';
import type { Ring } from '../ring/types.ts';
import type { StreamGate } from '../streams/stream-gate.ts';
import type { OpenStream } from '../streams/stream-table.ts';
import type { TopicTable } from './topics.ts';

/** Topics one connection has at hand; beyond it they are forgotten and looked up again. */
const MAX_KNOWN_TOPICS = 256;
/** What they take over all connections, about; a connection then has its last one alone. */
const MAX_KNOWN_BYTES = 32 * 1024 * 1024;
const KNOWN_TOPIC_BYTES = 400;
/** QoS 2 messages of one client that wait for their PUBREL: 3.1.1 has no Receive Maximum to bound them. */
const MAX_RECEIPTS = 16_384;

/**
 * PUBLISH and PUBREL from a client. The hot path: one Publication and one property scan serve all
 * messages, and a topic is validated and looked up by its bytes only once per connection.
 */
export class PublishHandler {
  readonly #topics: TopicTable;
  readonly #router: Router;
  readonly #registry: SessionRegistry;
  readonly #counters: BrokerCounters;
  readonly #limits: BrokerLimits;
  readonly #clock: Clock;
  readonly #lastSequence: () => number;
  readonly #publication: Publication;
  readonly #blocked: BlockedPublishers;
  #knownBytes = 0;
  readonly #scan: PublishPropertyScan = {
    topicAlias: 0,
    messageExpirySeconds: -1,
    payloadFormat: -1,
    subscriptionIds: 0,
  };

  constructor(options: {
    readonly topics: TopicTable;
    readonly router: Router;
    readonly registry: SessionRegistry;
    readonly counters: BrokerCounters;
    readonly limits: BrokerLimits;
    readonly clock: Clock;
    readonly ring: Pick<Ring, 'accepting' | 'failed' | 'onAccepting'>;
    /** The last sequence given out. */
    readonly lastSequence: () => number;
  }) {
    this.#topics = options.topics;
    this.#router = options.router;
    this.#registry = options.registry;
    this.#counters = options.counters;
    this.#limits = options.limits;
    this.#clock = options.clock;
    this.#lastSequence = options.lastSequence;
    this.#publication = new Publication(this.#topics.get('-'));
    this.#blocked = new BlockedPublishers({
      clock: options.clock,
      ring: options.ring,
      retry: (connection, view) => connection.retry(() => this.#take(connection, view)),
      onTimeout: (connection, gate) => this.#blockedForTooLong(connection, gate),
    });
  }

  onPublish(connection: Connection, view: PublishView): void {
    if (!connection.isOpen) return;
    this.#counters.received++;
    this.#take(connection, view);
  }

  /** The connection has ended: nothing of it waits any more. */
  forget(connection: Connection): void {
    this.#blocked.forget(connection);
    this.forgetTopics(connection);
  }

  #take(connection: Connection, view: PublishView): void {
    const { qos, packetId } = view;
    const properties = this.#properties(view);
    const alias = properties === NO_BYTES ? 0 : this.#scan.topicAlias;
    const known =
      alias === 0
        ? this.#knownTopic(connection, view)
        : this.#aliasedTopic(connection, view, alias);
    const publication = this.#publication;
    publication.reset(known.topic, known.source);
    publication.qos = qos;
    publication.retain = view.retain;
    if (publication.properties !== properties) publication.properties = properties;
    if (publication.buffer !== view.buffer) publication.buffer = view.buffer;
    publication.payloadStart = view.payloadStart;
    publication.payloadEnd = view.payloadEnd;
    const expiry = this.#scan.messageExpirySeconds;
    if (properties.length > 0 && expiry >= 0) {
      publication.expirySeconds = expiry;
      publication.receivedMs = this.#clock.monotonicMs();
    }
    const { rights } = connection;
    if (known.rightsGeneration !== rights.generation) {
      known.rightsGeneration = rights.generation;
      known.mayPublish = mayPublish(rights, known.topic.name);
    }
    if (!known.mayPublish && !isRepeat(connection, view)) {
      this.#forbid(connection, view);
      return;
    }
    if (view.retain && this.#cannotRetain(connection, view)) {
      this.#refuse(connection, view, ReasonCode.quotaExceeded);
      return;
    }
    const stream = known.topic.streams[qos];
    if (stream?.gate !== undefined && !this.#mayEnter(connection, view, stream)) return;
    if (qos === 2) {
      this.#publishExactlyOnce(connection, view);
      return;
    }
    const result = this.#router.route(publication);
    if (qos === 0) return;
    if (result === 'refused') this.#refuse(connection, view, ReasonCode.quotaExceeded);
    else connection.acknowledge(PacketType.puback, packetId, this.#gateOf(publication));
  }

  /** What its ack waits for. */
  #gateOf({ topic, qos, sequence }: Publication): number {
    return topic.streams[qos]?.config.ack === 'memory' ? 0 : sequence;
  }

  /** Asked before anything is done with the message: one that is refused reaches nobody. */
  #mayEnter(connection: Connection, view: PublishView, { gate }: OpenStream): boolean {
    const { payloadLength, properties } = this.#publication;
    if (gate === undefined || isRepeat(connection, view)) return true;
    if (gate.admits(payloadLength + properties.length)) return true;
    if (gate.whenFull === 'block') {
      this.#blocked.block(connection, view, gate);
      return false;
    }
    this.#counters.refuse(gate.stream, 'rejected');
    this.#refuse(connection, view, ReasonCode.quotaExceeded);
    return false;
  }

  #blockedForTooLong(connection: Connection, gate: StreamGate): void {
    this.#counters.refuse(gate.stream, 'block_timeout');
    connection.disconnect(ReasonCode.quotaExceeded, `the stream ${gate.stream} is full`);
  }

  /** PUBREL: PUBCOMP leaves when the release is durable, or a restart would take the next message for a repeat. */
  onPubrel(connection: Connection, packetId: number): void {
    if (!connection.isOpen) return;
    const { session } = connection;
    const wasOpen = session.receipts.release(packetId);
    // One that is not open may have been released a moment ago, on a connection that is gone.
    let gate = session.durable ? this.#lastSequence() : 0;
    if (wasOpen && session.durable) gate = this.#registry.releaseReceipt(session, packetId);
    if (wasOpen || connection.version !== 5) {
      connection.acknowledge(PacketType.pubcomp, packetId, gate);
      return;
    }
    const { packetIdentifierNotFound } = ReasonCode;
    const { pubcomp } = PacketType;
    connection.acknowledgeWithReason(pubcomp, packetId, packetIdentifierNotFound, gate);
  }

  #publishExactlyOnce(connection: Connection, view: PublishView): void {
    const { session } = connection;
    const { packetId } = view;
    const publication = this.#publication;
    if (!session.receipts.has(packetId) && this.#hasTooManyReceipts(session)) {
      this.#counters.drop('receipt_limit');
      this.#refuse(connection, view, ReasonCode.quotaExceeded);
      return;
    }
    if (!session.receipts.take(packetId)) {
      // A repeat [MQTT-4.3.3-10]: answered when all that came before it is durable, and not routed.
      connection.acknowledge(PacketType.pubrec, packetId, this.#lastSequence());
      return;
    }
    const { clientId, durable } = session;
    const result = this.#routeOnce(connection, packetId);
    if (result === 'refused') {
      session.receipts.release(packetId);
      this.#refuse(connection, view, ReasonCode.quotaExceeded);
      return;
    }
    let gate = this.#gateOf(publication);
    if (durable) {
      if (result === 'stored') {
        this.#registry.noteReceipt(clientId, packetId, publication.sequence);
      } else gate = this.#registry.saveReceipt(session, packetId);
    }
    connection.acknowledge(PacketType.pubrec, packetId, gate);
  }

  /** What is not taken must not be answered as a repeat when it comes again. */
  #routeOnce({ session }: Connection, packetId: number): RouteResult {
    const { clientId, durable, receipts } = session;
    try {
      return this.#router.route(this.#publication, durable ? { clientId, packetId } : undefined);
    } catch (error) {
      receipts.release(packetId);
      throw error;
    }
  }

  /** Identifiers are kept until their PUBREL, which may never come; those of lasting sessions on flash. */
  #hasTooManyReceipts({ receipts, durable }: ClientSession): boolean {
    return receipts.size >= MAX_RECEIPTS || (durable && !this.#registry.hasRoomForState);
  }

  /**
   * The client may not publish this. 5.0 is told; 3.1.1 gets its ack, as from Mosquitto, since it has
   * no other answer [MQTT-3.3.5-2] and would send the message again for ever.
   */
  #forbid(connection: Connection, view: PublishView): void {
    this.#counters.drop('not_authorized');
    if (connection.version === 5) this.#refuse(connection, view, ReasonCode.notAuthorized);
    else if (view.qos === 1) connection.acknowledge(PacketType.puback, view.packetId, 0);
    else if (view.qos === 2) connection.acknowledge(PacketType.pubrec, view.packetId, 0);
  }

  /**
   * An acknowledgement would promise that the message is retained, so a client that can be told is
   * refused. From others the message is taken and not retained: without an answer they would send it
   * for ever.
   */
  #cannotRetain(connection: Connection, view: PublishView): boolean {
    if (connection.version !== 5 || view.qos === 0 || isRepeat(connection, view)) return false;
    return !this.#router.admitsRetained(this.#publication);
  }

  /** The message was not taken. 3.1.1 has no negative ack: without one the client still has it. */
  #refuse(connection: Connection, { qos, packetId }: PublishView, reasonCode: number): void {
    if (qos === 0) return;
    if (connection.version === 5) {
      const type = qos === 1 ? PacketType.puback : PacketType.pubrec;
      connection.acknowledgeWithReason(type, packetId, reasonCode);
    } else {
      connection.disconnect(reasonCode);
    }
  }

  #properties(view: PublishView): Uint8Array {
    const { buffer, propertiesStart, propertiesEnd } = view;
    if (propertiesStart === propertiesEnd) return NO_BYTES;
    scanPublishProperties(buffer, propertiesStart, propertiesEnd, this.#scan);
    if (this.#scan.subscriptionIds > 0) {
      // [MQTT-3.3.4-6]
      throw new ProtocolError(ReasonCode.protocolError, 'a client sent a subscription identifier');
    }
    return forwardableProperties(buffer, propertiesStart, propertiesEnd);
  }

  /** A topic alias stands for a topic, or is told with one to stand for it from now on. */
  #aliasedTopic(connection: Connection, view: PublishView, alias: number): KnownTopic {
    if (alias > TOPIC_ALIAS_MAXIMUM) {
      // [MQTT-3.3.2-9]
      throw new ProtocolError(
        ReasonCode.topicAliasInvalid,
        `the topic alias ${alias} is above ${TOPIC_ALIAS_MAXIMUM}`,
      );
    }
    connection.aliasedTopics ??= [];
    if (view.topicStart < view.topicEnd) {
      const known = this.#knownTopic(connection, view);
      connection.aliasedTopics[alias] = known;
      return known;
    }
    const known = connection.aliasedTopics[alias];
    if (known === undefined) {
      throw new ProtocolError(ReasonCode.protocolError, `the topic alias ${alias} means nothing`);
    }
    return known;
  }

  #knownTopic(connection: Connection, view: PublishView): KnownTopic {
    const { topicStart, topicEnd } = view;
    const buffer = view.buffer as Buffer;
    const { lastTopic } = connection;
    if (lastTopic !== undefined && sameBytes(lastTopic.topic.bytes, buffer, topicStart, topicEnd)) {
      return lastTopic;
    }
    if (topicStart === topicEnd) {
      // [MQTT-4.7.3-1]; only a topic alias may stand for a topic.
      throw new ProtocolError(ReasonCode.protocolError, 'a PUBLISH has no topic');
    }
    const name = decodeTopic(buffer, topicStart, topicEnd);
    let known = connection.topics.get(name);
    // Ill-formed UTF-8 decodes to U+FFFD, so the same name does not mean the same bytes.
    if (known === undefined || !sameBytes(known.topic.bytes, buffer, topicStart, topicEnd)) {
      this.#checkTopic(view);
      const topic = this.#topics.get(name);
      const { clientId } = connection.session;
      const source = { topic: name, origin: clientId, epoch: 0, number: 0 };
      known = { topic, source, mayPublish: false, rightsGeneration: -1 };
      this.#remember(connection, name, known);
    }
    connection.lastTopic = known;
    return known;
  }

  #remember(connection: Connection, name: string, known: KnownTopic): void {
    const bytes = 2 * name.length + KNOWN_TOPIC_BYTES;
    const isFull = this.#knownBytes + bytes > MAX_KNOWN_BYTES;
    if (isFull || connection.topics.size >= MAX_KNOWN_TOPICS) this.forgetTopics(connection);
    if (connection.topics === NO_TOPICS) connection.topics = new Map();
    connection.topics.set(name, known);
    connection.topicBytes += bytes;
    this.#knownBytes += bytes;
  }

  /** What one connection has at hand. */
  forgetTopics(connection: Connection): void {
    connection.topics.clear();
    this.#knownBytes -= connection.topicBytes;
    connection.topicBytes = 0;
  }

  #checkTopic({ buffer, topicStart, topicEnd }: PublishView): void {
    const { topicBytes, topicLevels } = this.#limits;
    let levels = 1;
    for (let i = topicStart; i < topicEnd; i++) if (buffer[i] === 0x2f) levels++;
    const fits = topicEnd - topicStart <= topicBytes && levels <= topicLevels;
    if (!isMqttString(buffer, topicStart, topicEnd)) {
      // [MQTT-1.5.4-1], [MQTT-1.5.4-2]
      throw new ProtocolError(
        ReasonCode.malformedPacket,
        'the topic name is not well-formed UTF-8',
      );
    }
    if (!fits || !isValidTopicName(buffer, topicStart, topicEnd)) {
      throw new ProtocolError(ReasonCode.topicNameInvalid, 'the topic name is not valid');
    }
  }
}

/**
 * What was taken once is answered alike again [MQTT-4.3.3-10], also when the right is gone meanwhile:
 * a refusal would free the identifier on the client's side alone.
 */
function isRepeat({ session }: Connection, { qos, packetId }: PublishView): boolean {
  return qos === 2 && session.receipts.has(packetId);
}

function sameBytes(known: Uint8Array, buffer: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = known.length - 1; i >= 0; i--) if (known[i] !== buffer[start + i]) return false;
  return true;
}
