import { CisternError } from '../base/errors.ts';
import { withMessageExpiry, withoutMessageExpiry } from '../codec/publish-properties.ts';
import { decodeMessageAttributes, encodeMessageAttributes } from '../codec/stored-message.ts';
import { stateKey, stateKeyParts } from '../metadata/state-codec.ts';
import type { StateStore } from '../metadata/state-store.ts';
import type { AppendRequest, RecordView, Ring } from '../ring/types.ts';
import { RecordFlag, RETAINED_PARTITION_ID } from '../ring/types.ts';
import type { MessageExpiry } from './message-expiry.ts';
import { Publication } from './publication.ts';
import { RetainedTree } from './retained-tree.ts';
import type { TopicTable } from './topics.ts';

/** Where in the ring a topic's retained message is. The index is in the checkpoint; the value is not. */
interface StoredPlace {
  readonly partitionId: number;
  readonly offset: number;
  readonly sequence: number;
  /** What it takes of the ring, which carries it on for ever. */
  readonly bytes: number;
}

interface RetainedEntry extends StoredPlace {
  readonly topic: string;
  /** The message, where it has come by since the start or has been asked for. */
  readonly publication: Publication | undefined;
}

/**
 * The last value per topic [MQTT-3.3.1-5]. The message is an ordinary record with the retained flag;
 * this is the index over them. A value that rotation reaches moves to the partition `$retained`.
 *
 * Invariant: the index holds, for each topic, the record with the highest sequence that was
 * retained; an empty payload takes the topic out [MQTT-3.3.1-10].
 */
export class RetainedMessages {
  readonly #entries = new Map<string, RetainedEntry>();
  /** The same entries. */
  readonly #tree = new RetainedTree<RetainedEntry>();
  readonly #ring: Ring;
  readonly #state: StateStore;
  readonly #topics: TopicTable;
  readonly #expiry: MessageExpiry;
  readonly #limits: { readonly messages: number; readonly bytes: number };
  /** Values, and removals, by topic, that came while flash could not be written. */
  readonly #unwritten = new Map<string, Publication>();
  #bytes = 0;

  constructor(options: {
    readonly ring: Ring;
    readonly state: StateStore;
    readonly topics: TopicTable;
    readonly expiry: MessageExpiry;
    readonly limits: { readonly messages: number; readonly bytes: number };
  }) {
    this.#ring = options.ring;
    this.#state = options.state;
    this.#topics = options.topics;
    this.#expiry = options.expiry;
    this.#limits = options.limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** False where a new topic is over the limit: the message is routed, but not retained. */
  admits(topic: string, payloadBytes: number): boolean {
    if (payloadBytes === 0) return true;
    const known = this.#entries.get(topic);
    const bytes = this.#bytes - (known?.bytes ?? 0) + sizeOf(topic, payloadBytes);
    if (bytes > this.#limits.bytes) return false;
    return known !== undefined || this.#entries.size < this.#limits.messages;
  }

  /** A retained message was appended. */
  set(publication: Publication, partitionId: number, offset: number): void {
    const { topic, sequence } = publication;
    const kept = publication.keep();
    const bytes = sizeOf(topic.name, publication.payloadLength);
    this.#unwritten.delete(topic.name);
    this.#put({ topic: topic.name, partitionId, offset, sequence, bytes, publication: kept });
  }

  /** The last value is known to this process alone, until `write` makes a record of it. */
  setFromMemory(publication: Publication): void {
    const { name } = publication.topic;
    const kept = publication.keep();
    const before = this.#entries.get(name)?.bytes ?? 0;
    this.#unwritten.set(name, kept);
    if (publication.payloadLength === 0) {
      this.#bytes -= before;
      this.#remove(name);
      return;
    }
    const bytes = sizeOf(name, publication.payloadLength);
    this.#bytes += bytes - before;
    this.#enter({ topic: name, ...NOWHERE, bytes, publication: kept });
  }

  /** Flash takes records again: what came from memory alone becomes lasting, as far as there is room. */
  write(): void {
    for (const [name, publication] of this.#unwritten) {
      const sequence = this.#append(requestFor(publication, this.#expiry.leftMs(publication)));
      if (sequence === undefined) return;
      this.#unwritten.delete(name);
      const place = this.#place(sequence, sizeOf(name, publication.payloadLength));
      this.#put({ topic: name, ...place, publication });
    }
  }

  /** True while a value, or its removal, is in memory alone. */
  get isOwing(): boolean {
    return this.#unwritten.size > 0;
  }

  /** A record with the retained flag, met by the scan at start. Repeats and older ones change nothing. */
  replay(record: RecordView): void {
    const known = this.#state.get(stateKey('retained', record.topic)) as StoredPlace | undefined;
    if (known !== undefined && known.sequence >= record.sequence) return;
    const { partitionId, offset, sequence } = record;
    const bytes = sizeOf(record.topic, record.payload.length);
    const place: StoredPlace = { partitionId, offset, sequence, bytes };
    const isDeletion = record.payload.length === 0;
    this.#state.note(stateKey('retained', record.topic), isDeletion ? undefined : place, sequence);
  }

  /** Fills the index from the state, after the scan. */
  load(): void {
    for (const [key, value] of this.#state.entries(stateKey('retained', ''))) {
      const place = value as StoredPlace;
      const topic = stateKeyParts(key)[1] as string;
      this.#enter({ topic, ...place, publication: undefined });
      this.#bytes += place.bytes;
    }
  }

  /** Whether the record holds the last value of its topic. */
  isCurrent({ topic, partitionId, offset }: RecordView): boolean {
    const entry = this.#entries.get(topic);
    return entry?.partitionId === partitionId && entry.offset === offset;
  }

  /** Called when a segment is let go: a value that is still the last one moves on. */
  evacuate(record: RecordView): 'carry' | 'drop' {
    const entry = this.#entries.get(record.topic);
    if (entry === undefined || !this.isCurrent(record)) return 'drop';
    if (record.partitionId === RETAINED_PARTITION_ID) return 'carry';
    const sequence = this.#append({
      partitionId: RETAINED_PARTITION_ID,
      source: { topic: record.topic, origin: record.origin, epoch: 0, number: 0 },
      flags: RecordFlag.retained,
      attributes: record.attributes,
      payload: record.payload,
      rides: true,
      insists: true,
      time: record.time,
    });
    // What has no room as a new record is carried on as it is: that takes the last slot.
    if (sequence === undefined) return 'carry';
    this.#put({ ...entry, ...this.#place(sequence, entry.bytes) });
    return 'drop';
  }

  /** Where the record of `$retained` is that was just appended. */
  #place(sequence: number, bytes: number): StoredPlace {
    const info = this.#ring.partition(RETAINED_PARTITION_ID);
    const offset = (info?.tailOffset ?? 1) - 1;
    return { partitionId: RETAINED_PARTITION_ID, offset, sequence, bytes };
  }

  /** Undefined where there is no room. */
  #append(request: AppendRequest): number | undefined {
    // The sequences that follow are promised to what waits in the state store.
    if (this.#state.isOwing) return undefined;
    try {
      return this.#ring.append(request);
    } catch (error) {
      if (error instanceof CisternError && error.code === 'RING_FULL') return undefined;
      throw error;
    }
  }

  /** Every retained message that matches, read from the ring where it is not at hand. */
  async matching(filter: string): Promise<Publication[]> {
    const found = this.#tree.matching(filter).sort((a, b) => a.sequence - b.sequence);
    const messages: Publication[] = [];
    for (const entry of found) {
      const message = entry.publication ?? (await this.#fetch(entry));
      if (message === undefined) continue;
      if (this.#expiry.isExpired(message)) this.#forget(message);
      else messages.push(message);
    }
    return messages;
  }

  async #fetch(entry: RetainedEntry): Promise<Publication | undefined> {
    const record = await this.#ring.readAt(entry.partitionId, entry.offset);
    const current = this.#entries.get(entry.topic);
    if (current !== entry) {
      // Replaced by a newer message, or moved on with its segment, which leaves it unread.
      if (current === undefined) return undefined;
      return current.publication ?? this.#fetch(current);
    }
    if (record === undefined) return undefined;
    const publication = publicationOf(record, this.#topics).keep();
    this.#enter({ ...entry, publication });
    return publication;
  }

  /** [MQTT-3.3.2-5]: a message whose time is over is retained no longer, unless a newer one came. */
  #forget({ topic: { name } }: Publication): void {
    const entry = this.#entries.get(name);
    const kept = entry?.publication;
    if (entry === undefined || kept === undefined) return;
    if (!this.#expiry.isExpired(kept)) return;
    this.#bytes -= entry.bytes;
    this.#remove(name);
    this.#state.note(stateKey('retained', name), undefined);
  }

  #enter(entry: RetainedEntry): void {
    this.#entries.set(entry.topic, entry);
    this.#tree.set(entry.topic, entry);
  }

  #remove(topic: string): void {
    this.#entries.delete(topic);
    this.#tree.delete(topic);
  }

  #put(entry: RetainedEntry): void {
    const { topic, partitionId, offset, sequence, bytes, publication } = entry;
    this.#bytes -= this.#entries.get(topic)?.bytes ?? 0;
    const key = stateKey('retained', topic);
    if (publication !== undefined && publication.payloadLength === 0) {
      this.#remove(topic);
      this.#state.note(key, undefined);
      return;
    }
    this.#bytes += bytes;
    this.#enter(entry);
    const place: StoredPlace = { partitionId, offset, sequence, bytes };
    this.#state.note(key, place);
  }
}

const NOWHERE = { partitionId: 0, offset: -1, sequence: 0 } as const;

/** Beside topic and payload: attributes, and what a carried record has of its own. */
const OVERHEAD_BYTES = 64;

function sizeOf(topic: string, payloadBytes: number): number {
  return topic.length + payloadBytes + OVERHEAD_BYTES;
}

/** A record of a message that came earlier; its life, if it has an end, counts from the record on. */
function requestFor(publication: Publication, leftMs: number): AppendRequest {
  const { topic, qos, origin, payload } = publication;
  const properties = Number.isFinite(leftMs)
    ? withMessageExpiry(withoutMessageExpiry(publication.properties), Math.ceil(leftMs / 1000))
    : publication.properties;
  return {
    partitionId: RETAINED_PARTITION_ID,
    source: { topic: topic.name, origin, epoch: 0, number: 0 },
    flags: RecordFlag.retained,
    attributes: encodeMessageAttributes(qos, true, properties),
    payload,
    rides: true,
    insists: true,
  };
}

/** The message in a record of the ring, as the broker routes it. Its sequence is the record's. */
export function publicationOf(record: RecordView, topics: TopicTable): Publication {
  const attributes = decodeMessageAttributes(record.attributes);
  const publication = new Publication(topics.get(record.topic));
  publication.qos = attributes.qos;
  publication.retain = attributes.retain;
  publication.properties = attributes.properties;
  publication.payload = record.payload;
  publication.origin = record.origin;
  publication.sequence = record.sequence;
  if (attributes.expirySeconds !== undefined) {
    publication.expirySeconds = attributes.expirySeconds;
    publication.time = record.time;
  }
  return publication;
}
