import { CisternError, ProtocolError } from '../base/errors.ts';
import { ReasonCode } from '../codec/reason-codes.ts';
import { MessageAttributesEncoder, type Receipt } from '../codec/stored-message.ts';
import type { AppendRequest, DurabilityWaiter, Ring } from '../ring/types.ts';
import { RecordFlag, RETAINED_PARTITION_ID, SESSION_PARTITION_ID } from '../ring/types.ts';
import type { ClientSession } from './client-session.ts';
import type { BrokerCounters } from './counters.ts';
import type { Durability } from './durability.ts';
import { NO_BYTES, type Publication } from './publication.ts';
import type { RetainedMessages } from './retained.ts';
import type { Match, TopicTable } from './topics.ts';

/**
 * What became of a message: `unstored` is not stored because nobody needs it kept, `refused` could not
 * be stored though somebody does; nobody has received a refused one.
 */
export type RouteResult = 'stored' | 'unstored' | 'refused';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A QoS 2 message on its way to flash, and the sessions whose cursors must not pass it meanwhile. */
interface Uncommitted {
  readonly publication: Publication;
  readonly expectedBy: readonly ClientSession[];
}

/**
 * The way of one message: to the ring where a stream owns it, a durable session wants it or it is
 * retained; to live subscribers at once (QoS 0 and 1) or after its commit (QoS 2).
 */
export class Router implements DurabilityWaiter {
  readonly #ring: Ring;
  readonly #durability: Durability;
  readonly #topics: TopicTable;
  readonly #retained: RetainedMessages;
  readonly #counters: BrokerCounters;
  readonly #attributes = new MessageAttributesEncoder();
  /** One for all messages: the ring has copied what is in it when `append` returns. */
  readonly #request: Mutable<AppendRequest> = {
    partitionId: 0,
    source: null,
    flags: 0,
    attributes: NO_BYTES,
    payload: NO_BYTES,
    payloadStart: 0,
    payloadEnd: 0,
    rides: false,
    insists: false,
  };
  /** QoS 2 messages on their way to flash, in order of sequence. */
  #uncommitted: Uncommitted[] = [];

  constructor(options: {
    readonly ring: Ring;
    readonly durability: Durability;
    readonly topics: TopicTable;
    readonly retained: RetainedMessages;
    readonly counters: BrokerCounters;
  }) {
    this.#ring = options.ring;
    this.#durability = options.durability;
    this.#topics = options.topics;
    this.#retained = options.retained;
    this.#counters = options.counters;
  }

  /**
   * Takes a message. With `stored`, `publication.sequence` says which commit its ack waits for.
   * `receipt` goes into the record of a QoS 2 message of a durable session. The caller has seen that
   * the ring is accepting, or `insists`.
   */
  route(publication: Publication, receipt?: Receipt, insists = false): RouteResult {
    const { topic, qos } = publication;
    if (insists && !this.#mayEnter(publication)) return 'unstored';
    const matches = this.#topics.matches(topic);
    const retains = publication.retain && this.admitsRetained(publication);
    const flags =
      (qos > 0 && this.#wantedLater(publication, matches) ? RecordFlag.session : 0) |
      (retains ? RecordFlag.retained : 0);
    const streamPartition = topic.partitionId(publication);
    if (streamPartition === 0 && flags === 0) {
      this.#deliver(publication, matches);
      return 'unstored';
    }
    if (this.#durability.isMemoryOnly) {
      this.#routeFromMemory(publication, matches, streamPartition !== 0, retains);
      return 'unstored';
    }
    if (this.#ring.failed) {
      this.#counters.drop('device_failed');
      if (qos > 0) return 'refused';
      this.#deliver(publication, matches);
      return 'unstored';
    }
    const partitionId =
      streamPartition ||
      ((flags & RecordFlag.session) !== 0 ? SESSION_PARTITION_ID : RETAINED_PARTITION_ID);
    this.#append(publication, partitionId, flags, receipt, insists);
    if (retains) {
      const tail = this.#ring.partition(partitionId)?.tailOffset ?? 1;
      this.#retained.set(publication, partitionId, tail - 1);
    }
    if (qos < 2) this.#deliver(publication, matches);
    else this.#deliverAfterCommit(publication, matches);
    return 'stored';
  }

  /** A will cannot wait, so a stream that is full refuses it like any other message. */
  #mayEnter({ topic, qos, payloadLength, properties }: Publication): boolean {
    const gate = topic.streams[qos]?.gate;
    if (gate === undefined || gate.admits(payloadLength + properties.length)) return true;
    this.#counters.refuse(gate.stream, 'rejected');
    return false;
  }

  /** Whether there is room to retain the message; counted where there is none. */
  admitsRetained({ topic, payloadLength }: Publication): boolean {
    const admits = this.#retained.admits(topic.name, payloadLength);
    if (!admits) this.#counters.drop('retained_limit');
    return admits;
  }

  onDurable(durableSequence: number): void {
    let count = 0;
    for (const { publication, expectedBy } of this.#uncommitted) {
      if (publication.sequence > durableSequence) break;
      count++;
      const matches = this.#topics.matches(publication.topic);
      this.#deliver(publication, matches);
      for (const session of expectedBy) {
        // It has unsubscribed meanwhile: nothing more will come under this sequence.
        const isWanted = matches.some((match) => match.session === session);
        if (!isWanted) session.delivery.forgo(publication.sequence);
      }
    }
    this.#uncommitted.splice(0, count);
    if (this.#uncommitted.length > 0) this.#ring.whenDurable(this);
  }

  #append(
    publication: Publication,
    partitionId: number,
    flags: number,
    receipt: Receipt | undefined,
    insists: boolean,
  ): void {
    const { topic, qos, retain, properties, origin } = publication;
    const request = this.#request;
    const attributes = this.#attributes.encode(qos, retain, properties, receipt);
    request.partitionId = partitionId;
    request.flags = receipt === undefined ? flags : flags | RecordFlag.receipt;
    request.source = publication.source ?? { topic: topic.name, origin, epoch: 0, number: 0 };
    // A reference that is stored into an old object is work for the garbage collector.
    if (request.attributes !== attributes) request.attributes = attributes;
    if (request.payload !== publication.buffer) request.payload = publication.buffer;
    request.payloadStart = publication.payloadStart;
    request.payloadEnd = publication.payloadEnd;
    const stream = topic.streams[qos];
    request.rides = qos === 0 || stream?.config.ack === 'memory';
    request.insists = insists;
    try {
      publication.sequence = this.#ring.append(request);
      stream?.gate?.took(partitionId, publication.payloadLength + properties.length);
    } catch (error) {
      if (!(error instanceof CisternError && error.code === 'RECORD_TOO_LARGE')) throw error;
      throw new ProtocolError(ReasonCode.packetTooLarge, error.message);
    }
  }

  /** What flash would have kept reaches those who are there; for whom it is lost, is counted. */
  #routeFromMemory(
    publication: Publication,
    matches: readonly Match[],
    isOfStream: boolean,
    retains: boolean,
  ): void {
    const counters = this.#counters;
    counters.memoryOnly++;
    if (isOfStream) counters.drop('memory_only_stream');
    if (publication.qos > 0) {
      for (const each of matches) {
        const match = matchFor(each, publication.origin);
        if (match === undefined || match.qos === 0) continue;
        const { durable, link } = match.session;
        if (durable && link === undefined) counters.drop('memory_only_session');
      }
    }
    if (retains) this.#retained.setFromMemory(publication);
    this.#deliver(publication, matches);
  }

  #wantedLater({ origin, topic }: Publication, matches: readonly Match[]): boolean {
    for (const group of topic.groups) if (group.keeps) return true;
    for (const each of matches) {
      const match = matchFor(each, origin);
      if (match !== undefined && match.session.durable && match.qos > 0) return true;
    }
    return false;
  }

  #deliver(publication: Publication, matches: readonly Match[]): void {
    const { qos, retain, origin, sequence } = publication;
    for (const group of publication.topic.groups) group.offer(publication);
    for (const each of matches) {
      const { session } = each;
      const { link } = session;
      if (link === undefined) continue;
      const match = matchFor(each, origin);
      if (match === undefined) continue;
      if (sequence !== 0 && sequence < match.since) continue;
      // [MQTT-3.8.4-8]: the lower of the two.
      const granted = qos < match.qos ? qos : match.qos;
      const keepsRetain = retain && match.retainAsPublished;
      if (granted !== 0) {
        session.offer(publication, granted, keepsRetain, match.subscriptionIds);
      } else if (!link.writable) {
        this.#counters.drop('slow_consumer');
      } else if (!link.sendPublish(publication, 0, keepsRetain, false, 0, match.subscriptionIds)) {
        this.#counters.drop('packet_too_large');
      }
    }
  }

  #deliverAfterCommit(publication: Publication, matches: readonly Match[]): void {
    const { origin, sequence } = publication;
    const expectedBy: ClientSession[] = [];
    for (const group of publication.topic.groups) group.expect(sequence);
    for (const each of matches) {
      const { session } = each;
      const qos = matchFor(each, origin)?.qos ?? 0;
      if (!session.durable || session.link === undefined || qos === 0) continue;
      session.delivery.expect(sequence);
      expectedBy.push(session);
    }
    if (this.#uncommitted.length === 0) this.#ring.whenDurable(this);
    this.#uncommitted.push({ publication: publication.keep(), expectedBy });
  }
}

/** What of a session's subscriptions applies to a message from `origin`. */
function matchFor(match: Match, origin: string): Match | undefined {
  // The names are compared only where it makes a difference.
  if (match.ofOwn === match || match.session.clientId !== origin) return match;
  return match.ofOwn;
}
