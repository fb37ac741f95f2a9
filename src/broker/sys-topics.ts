import { topicMatchesFilter } from '../codec/topic.ts';
import type { Clock } from '../platform/clock.ts';
import type { MemoryUse } from '../platform/memory.ts';
import { type Ring, STATE_PARTITION_ID } from '../ring/types.ts';
import type { BrokerCounters } from './counters.ts';
import { Publication } from './publication.ts';
import type { Topic, TopicTable } from './topics.ts';

/** How often values are sampled and those that changed are published, as Mosquitto's `sys_interval`. */
export const SYS_INTERVAL_MS = 10_000;

/** The root of the tree. Nobody but the broker publishes below it. */
const ROOT = '$SYS/broker';

/**
 * True for a topic that only the broker itself may publish to, and for a filter that matches such
 * topics alone: no filter that begins otherwise matches any [MQTT-4.7.2-1].
 */
export function isSysTopic(topic: string): boolean {
  return topic.startsWith('$SYS/');
}

/** What is read when a value is asked for. Each is a walk at most over sessions or partitions. */
export interface SysSource {
  readonly version: string;
  readonly counters: BrokerCounters;
  readonly memory: MemoryUse;
  connected(): number;
  /** Those of connected clients included. */
  sessions(): number;
  subscriptions(): { readonly all: number; readonly shared: number };
  retainedMessages(): number;
  /** Records of messages that the ring holds, for whomever. */
  stored(): { readonly messages: number; readonly bytes: number };
}

/** Topics below `load/` and the counter whose rate a minute they are. */
const LOADS: readonly (readonly [string, (counters: BrokerCounters) => number])[] = [
  ['messages/received', (counters) => counters.packetsReceived],
  ['messages/sent', (counters) => counters.packetsSent],
  ['publish/received', (counters) => counters.received],
  ['publish/sent', (counters) => counters.delivered],
  ['publish/dropped', (counters) => counters.droppedInAll],
  ['bytes/received', (counters) => counters.bytesReceived],
  ['bytes/sent', (counters) => counters.bytesSent],
  ['sockets', (counters) => counters.sockets],
  ['connections', (counters) => counters.connects],
];

const MINUTES = [1, 5, 15] as const;

/** Exponentially weighted rate a minute over 1, 5 and 15 minutes, as of Unix load. */
class Load {
  readonly #read: (counters: BrokerCounters) => number;
  #last = 0;
  readonly averages = MINUTES.map(() => 0);

  constructor(read: (counters: BrokerCounters) => number) {
    this.#read = read;
  }

  sample(counters: BrokerCounters, elapsedMs: number): void {
    const now = this.#read(counters);
    const rate = ((now - this.#last) * 60_000) / elapsedMs;
    this.#last = now;
    for (const [index, minutes] of MINUTES.entries()) {
      const kept = Math.exp(-elapsedMs / (minutes * 60_000));
      this.averages[index] = rate + kept * ((this.averages[index] as number) - rate);
    }
  }
}

interface SysValue {
  readonly topic: Topic;
  readonly read: () => string;
  /** As last published to whoever listened. */
  published: string | undefined;
}

/**
 * `$SYS/broker/…`, Mosquitto's tree, so that dashboards made for it go on working. Values are made
 * when somebody asks: a new subscriber gets all of them as retained messages, those that listen get
 * what changed every {@link SYS_INTERVAL_MS}. They go out with QoS 0, past router and ring: nothing
 * of it is stored, and no stream or uplink sees it.
 */
export class SysTopics {
  readonly #topics: TopicTable;
  readonly #clock: Clock;
  readonly #source: SysSource;
  readonly #startedMs: number;
  readonly #loads = LOADS.map(([, read]) => new Load(read));
  readonly #values: readonly SysValue[];
  #sampledMs: number;

  constructor(options: {
    readonly topics: TopicTable;
    readonly clock: Clock;
    readonly source: SysSource;
  }) {
    this.#topics = options.topics;
    this.#clock = options.clock;
    this.#source = options.source;
    this.#startedMs = this.#clock.monotonicMs();
    this.#sampledMs = this.#startedMs;
    this.#values = [...this.#plainValues(), ...this.#loadValues()].map(([name, read]) => ({
      topic: this.#topics.get(`${ROOT}/${name}`),
      read,
      published: undefined,
    }));
  }

  /** Called every {@link SYS_INTERVAL_MS}. */
  tick(): void {
    const now = this.#clock.monotonicMs();
    const elapsedMs = now - this.#sampledMs;
    this.#sampledMs = now;
    if (elapsedMs > 0) {
      for (const load of this.#loads) load.sample(this.#source.counters, elapsedMs);
    }
    for (const value of this.#values) this.#publishIfChanged(value);
  }

  /** All that matches a filter, as the retained messages a new subscriber gets. */
  matching(filter: string): Publication[] {
    return this.#values
      .filter(({ topic }) => topicMatchesFilter(topic.name, filter))
      .map(({ topic, read }) => message(topic, read()));
  }

  #publishIfChanged(value: SysValue): void {
    const { topic } = value;
    const receivers = this.#topics.matches(topic);
    if (receivers.length === 0 && topic.groups.length === 0) {
      value.published = undefined;
      return;
    }
    const text = value.read();
    if (text === value.published) return;
    value.published = text;
    const publication = message(topic, text);
    for (const group of topic.groups) group.offer(publication);
    for (const { session, retainAsPublished, subscriptionIds } of receivers) {
      const { link } = session;
      if (!link?.writable) continue;
      link.sendPublish(publication, 0, retainAsPublished, false, 0, subscriptionIds);
    }
  }

  #plainValues(): (readonly [string, () => string])[] {
    const source = this.#source;
    const { counters } = source;
    const offline = () => String(Math.max(0, source.sessions() - source.connected()));
    return [
      ['version', () => `cistern version ${source.version}`],
      [
        'uptime',
        () => `${Math.floor((this.#clock.monotonicMs() - this.#startedMs) / 1000)} seconds`,
      ],
      ['clients/total', () => String(source.sessions())],
      ['clients/connected', () => String(source.connected())],
      ['clients/active', () => String(source.connected())],
      ['clients/disconnected', offline],
      ['clients/inactive', offline],
      ['clients/maximum', () => String(counters.connectedMaximum)],
      ['clients/expired', () => String(counters.expiredSessions)],
      ['messages/received', () => String(counters.packetsReceived)],
      ['messages/sent', () => String(counters.packetsSent)],
      ['messages/stored', () => String(source.stored().messages)],
      ['store/messages/count', () => String(source.stored().messages)],
      ['store/messages/bytes', () => String(source.stored().bytes)],
      ['publish/messages/received', () => String(counters.received)],
      ['publish/messages/sent', () => String(counters.delivered)],
      ['publish/messages/dropped', () => String(counters.droppedInAll)],
      ['publish/bytes/received', () => String(counters.receivedPayloadBytes)],
      ['publish/bytes/sent', () => String(counters.deliveredPayloadBytes)],
      ['bytes/received', () => String(counters.bytesReceived)],
      ['bytes/sent', () => String(counters.bytesSent)],
      ['subscriptions/count', () => String(source.subscriptions().all)],
      ['shared_subscriptions/count', () => String(source.subscriptions().shared)],
      // What the process takes: of V8's heap alone nobody could tell whether the machine is too small.
      ['heap/current', () => String(source.memory.residentBytes())],
      ['heap/maximum', () => String(source.memory.residentBytesMax())],
      ['retained messages/count', () => String(source.retainedMessages())],
    ];
  }

  #loadValues(): (readonly [string, () => string])[] {
    return LOADS.flatMap(([name], load) =>
      MINUTES.map(
        (minutes, index) =>
          [
            `load/${name}/${minutes}min`,
            () => (this.#loads[load]?.averages[index] ?? 0).toFixed(2),
          ] as const,
      ),
    );
  }
}

function message(topic: Topic, text: string): Publication {
  const publication = new Publication(topic);
  publication.payload = Buffer.from(text);
  publication.retain = true;
  return publication;
}

/** Messages that the ring holds, in streams, for sessions and as retained ones. */
export function storedMessages(ring: Pick<Ring, 'partitions'>): {
  messages: number;
  bytes: number;
} {
  let messages = 0;
  let bytes = 0;
  for (const partition of ring.partitions()) {
    if (partition.id === STATE_PARTITION_ID) continue;
    messages += partition.tailOffset - partition.headOffset;
    bytes += partition.bytes;
  }
  return { messages, bytes };
}
