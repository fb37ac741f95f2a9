import { parsePublishProperties } from '../codec/publish-properties.ts';
import { partitionFor, type StreamTable } from '../streams/stream-table.ts';
import type { OpenStream } from '../streams/stream-table.ts';
import type { Rights } from '../auth/types.ts';
import type { ClientSession } from './client-session.ts';
import type { Publication } from './publication.ts';
import type { SharedGroup } from './shared-group.ts';
import { type Subscription, subscriptionIdsOf } from './subscription.ts';
import type { SubscriptionTree } from './subscription-tree.ts';

/** One receiver of a topic's messages: a session, with all of its matching subscriptions as one. */
export interface Match {
  readonly session: ClientSession;
  /** The highest QoS of its matching subscriptions [MQTT-3.3.4-2 allows one copy]. */
  readonly qos: 0 | 1 | 2;
  /**
   * What applies to the client's own messages: this very match, unless some of the subscriptions asked
   * not to hear them [MQTT-3.8.3-3]; undefined where all did.
   */
  readonly ofOwn: Match | undefined;
  readonly retainAsPublished: boolean;
  readonly subscriptionIds: readonly number[];
  /** The lowest sequence that any of its matching subscriptions covers. */
  readonly since: number;
}

const NO_GROUPS: readonly SharedGroup[] = [];

/** A topic name in use, with all that depends on nothing but the name. */
export class Topic {
  readonly name: string;
  /** UTF-8, without the length. */
  readonly bytes: Buffer;
  /** Owner by QoS: where no stream wants the message it is undefined. */
  readonly streams: readonly (OpenStream | undefined)[];
  /** By QoS: the partition of every message, 0 where no stream owns them, -1 where each has its own. */
  readonly #partitionIds: readonly number[];
  matches: readonly Match[] = [];
  /** Groups of which one member gets each message; as fresh as `matches`. */
  groups: readonly SharedGroup[] = NO_GROUPS;
  /** Of the subscriptions for which `matches` was made. */
  matchVersion = -1;

  constructor(name: string, streams: readonly (OpenStream | undefined)[]) {
    this.name = name;
    // Of its own: one from the shared pool would keep 64 KiB alive for as long as the topic is known.
    this.bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(name));
    this.bytes.write(name);
    this.streams = streams;
    this.#partitionIds = streams.map((stream) => fixedPartition(stream, name));
  }

  /** Partition in the ring for a message; 0 where no stream owns it. */
  partitionId({ qos, origin, properties }: Publication): number {
    const fixed = this.#partitionIds[qos] as number;
    if (fixed >= 0) return fixed;
    const stream = this.streams[qos];
    if (stream === undefined) return 0;
    const { key } = stream.config;
    if (key.by === 'property') return partitionFor(stream, userProperty(properties, key.name));
    return partitionFor(stream, key.by === 'client' ? origin : this.name);
  }
}

function fixedPartition(stream: OpenStream | undefined, topic: string): number {
  if (stream === undefined) return 0;
  const isOne = stream.partitionIds.length === 1 || stream.config.key.by === 'topic';
  return isOne ? partitionFor(stream, topic) : -1;
}

/** Topics beyond this are forgotten all at once and found again as they come: a cache, not a limit. */
const MAX_CACHED_TOPICS = 20_000;

/** References from topics to their receivers, over all topics; beyond it they are found again. */
const MAX_CACHED_MATCHES = 2_000_000;

/** The cache of topics and of who receives them. */
export class TopicTable {
  readonly #topics = new Map<string, Topic>();
  readonly #streams: StreamTable;
  readonly #tree: SubscriptionTree<Subscription>;
  readonly #sharedTree: SubscriptionTree<SharedGroup>;
  /** Of a subscription that is its session's only one for a topic: the same for all topics. */
  readonly #alone = new WeakMap<Subscription, Match>();
  #version = 0;
  #cachedMatches = 0;
  #hasRestricted = false;

  constructor(
    streams: StreamTable,
    tree: SubscriptionTree<Subscription>,
    sharedTree: SubscriptionTree<SharedGroup>,
  ) {
    this.#streams = streams;
    this.#tree = tree;
    this.#sharedTree = sharedTree;
  }

  /** `name` has been validated. */
  get(name: string): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      if (this.#topics.size >= MAX_CACHED_TOPICS) this.#topics.clear();
      topic = new Topic(
        name,
        [0, 1, 2].map((qos) => this.#streams.owner(name, qos)),
      );
      this.#topics.set(name, topic);
    }
    return topic;
  }

  /** Must be called after every change to the tree. */
  subscriptionsChanged(): void {
    this.#version++;
  }

  /** Must be called when a session with subscriptions gets a connection with these rights. */
  rightsTaken(rights: Rights): void {
    // While nobody's rights are restricted there is nothing in `matches` that depends on them.
    this.#hasRestricted ||= rights.isRestricted;
    if (this.#hasRestricted) this.#version++;
  }

  /** Must be called when rules were read again. */
  rightsChanged(): void {
    this.#version++;
  }

  /**
   * Who receives messages of this topic: sessions whose connection may read it, and all that have
   * none now. What may be delivered to those is asked when they are back.
   */
  matches(topic: Topic): readonly Match[] {
    if (topic.matchVersion !== this.#version) {
      const found: Subscription[] = [];
      this.#tree.match(topic.name, found);
      topic.matches = mergeBySession(found, this.#alone).filter(({ session }) =>
        session.mayRead(topic.name),
      );
      this.#noteMatches(topic.matches.length);
      topic.groups = this.#groupsOf(topic.name);
      topic.matchVersion = this.#version;
    }
    return topic.matches;
  }

  #noteMatches(count: number): void {
    this.#cachedMatches += count;
    if (this.#cachedMatches <= MAX_CACHED_MATCHES) return;
    this.#cachedMatches = count;
    for (const topic of this.#topics.values()) topic.matches = [];
    this.#version++;
  }

  #groupsOf(name: string): readonly SharedGroup[] {
    const found: SharedGroup[] = [];
    this.#sharedTree.match(name, found);
    return found.length === 0 ? NO_GROUPS : found;
  }
}

/** One delivery to a session whose subscriptions overlap, with the identifiers of all of them [MQTT-3.3.4-3]. */
export function mergeBySession(
  subscriptions: readonly Subscription[],
  alone?: WeakMap<Subscription, Match>,
): Match[] {
  const bySession = new Map<ClientSession, Subscription[]>();
  for (const subscription of subscriptions) {
    const there = bySession.get(subscription.session);
    if (there === undefined) bySession.set(subscription.session, [subscription]);
    else there.push(subscription);
  }
  return Array.from(bySession.values(), (own) => {
    const [first] = own;
    const single = own.length === 1 ? first : undefined;
    const known = single && alone?.get(single);
    if (known !== undefined) return known;
    const match = mergeOwn(own);
    if (single !== undefined) alone?.set(single, match);
    return match;
  });
}

function mergeOwn(subscriptions: readonly Subscription[]): Match {
  const heard = subscriptions.filter(({ options }) => !options.noLocal);
  const match = merge(subscriptions);
  if (heard.length === subscriptions.length) return match;
  return { ...match, ofOwn: heard.length === 0 ? undefined : merge(heard) };
}

function merge(subscriptions: readonly Subscription[]): Match {
  const [first] = subscriptions as [Subscription];
  const match = {
    session: first.session,
    qos: Math.max(...subscriptions.map(({ options }) => options.qos)) as 0 | 1 | 2,
    retainAsPublished: subscriptions.some(({ options }) => options.retainAsPublished),
    subscriptionIds: subscriptions.flatMap(({ options }) => subscriptionIdsOf(options)),
    since: Math.min(...subscriptions.map(({ since }) => since)),
    ofOwn: undefined as Match | undefined,
  };
  match.ofOwn = match;
  return match;
}

function userProperty(properties: Uint8Array, name: string): string {
  if (properties.length === 0) return '';
  const { userProperties } = parsePublishProperties(properties, 0, properties.length);
  return userProperties.find(([key]) => key === name)?.[1] ?? '';
}
