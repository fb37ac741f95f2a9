import type { Topic } from './topics.ts';

/** Aliases that one client may give its topics; a table of this many references a connection. */
export const TOPIC_ALIAS_MAXIMUM = 32;

/** Aliases that we give a client at most, whatever it allows: each is an entry in a table. */
const OUTBOUND_MAXIMUM = 256;
/** A topic this short costs less than the property that would stand for it. */
const SHORTEST_BYTES = 4;
/** Messages under a topic without alias until it takes the place of an older one. */
const PATIENCE = 8;

/**
 * The topic aliases that one connection gives [MQTT5 3.3.2.3.4]: the first topics that are sent get
 * the ones there are; later an alias moves on, oldest first, to a topic without one, but only every
 * {@link PATIENCE} such messages, so that many rare topics do not take turns with it.
 */
export class OutboundAliases {
  readonly #maximum: number;
  readonly #byTopic = new Map<Topic, number>();
  #misses = 0;

  /** `maximum`: what the client allows, at least 1. */
  constructor(maximum: number) {
    this.#maximum = Math.min(maximum, OUTBOUND_MAXIMUM);
  }

  /** The alias that the client knows for this topic; 0 for none. */
  known(topic: Topic): number {
    return this.#byTopic.get(topic) ?? 0;
  }

  /** An alias to be told to the client with this message; 0 for none. It must be sent then. */
  give(topic: Topic): number {
    if (topic.bytes.length < SHORTEST_BYTES) return 0;
    if (this.#byTopic.size < this.#maximum) return this.#assign(topic, this.#byTopic.size + 1);
    this.#misses++;
    if (this.#misses < PATIENCE) return 0;
    this.#misses = 0;
    const [oldest] = this.#byTopic;
    if (oldest === undefined) return 0;
    this.#byTopic.delete(oldest[0]);
    return this.#assign(topic, oldest[1]);
  }

  #assign(topic: Topic, alias: number): number {
    this.#byTopic.set(topic, alias);
    return alias;
  }
}
