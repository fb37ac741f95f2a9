import type { Clock } from '../platform/clock.ts';
import type { RecordView, Ring } from '../ring/types.ts';
import { RecordFlag } from '../ring/types.ts';
import type { Publication } from './publication.ts';
import { publicationOf } from './retained.ts';
import type { TopicTable } from './topics.ts';

/** A record of the ring and the message in it, which is made once for all who want it. */
export class RingMessage {
  readonly record: RecordView;
  readonly #topics: TopicTable;
  #publication: Publication | undefined;

  constructor(record: RecordView, topics: TopicTable) {
    this.record = record;
    this.#topics = topics;
  }

  get publication(): Publication {
    this.#publication ??= publicationOf(this.record, this.#topics).markLasting();
    return this.#publication;
  }
}

/** What a reader is to be offered: everything from `from` up to, not including, `end`. */
export interface ReadRange {
  readonly from: number;
  readonly end: number;
}

/** Somebody who is behind: a session, or a group that shares a subscription. All is synchronous. */
export interface RingReader {
  /** Whose it is, where it is one client's. */
  readonly clientId: string | undefined;
  /** True where records of any topic may be its: nothing is skipped for its topics then. */
  readonly wantsEveryTopic: boolean;
  wantsTopic(topic: string): boolean;
  /** Takes a record, or passes over it. False: it has no room; it is offered the record again. */
  take(message: RingMessage): boolean;
  /** The whole range was offered. Returns what to read next, or undefined where it is done. */
  rangeEnded(): ReadRange | undefined;
  /** The ring could not be read: it is not served any more. */
  abandoned(): void;
}

/** Decoded batches kept for readers that are close behind one another. */
const MAX_CHUNK_BYTES = 16 * 1024 * 1024;
/** Of a record in memory beside its bytes; about. */
const RECORD_BYTES = 600;
/**
 * Deliveries after which everybody else has a turn: some for each who is served, so that a write to
 * its socket carries more than one message, which is most of the cost; some tens of milliseconds at
 * most.
 */
const DELIVERIES_A_TURN = 500;
const DELIVERIES_A_READER = 16;
const MAX_DELIVERIES_A_TURN = 10_000;
/** Records passed over cost about this part of a delivery. */
const PASSING_COST = 1 / 16;
/** Messages that all readers together may have in flight, each at least the smaller number. */
const MAX_IN_FLIGHT = 200_000;
const MIN_IN_FLIGHT = 16;
/** How long counts by topic are good enough. */
const COUNTS_LAST_MS = 2_000;
/** Time that counting may take before everybody else has a turn, looked at once for so many topics. */
const COUNTING_MS = 5;
const TOPICS_A_LOOK = 16;
/** References from topics to those interested in them that are remembered. */
const MAX_INTERESTS = 500_000;

/** A stretch of the ring without a gap: what of it may matter to readers that joined before `stamp`. */
interface Chunk {
  readonly from: number;
  readonly to: number;
  readonly stamp: number;
  readonly messages: readonly RingMessage[];
  readonly bytes: number;
}

interface Place {
  readonly reader: RingReader;
  /** Chunks that were read before it came may leave out what only it wants. */
  readonly joined: number;
  /** The first sequence it was not offered yet. */
  next: number;
  readonly end: number;
  /** Has room, as far as is known, and its range is durable. */
  ready: boolean;
  /** The pass in which it is being served. */
  pass: number;
}

/**
 * Reads the ring for everybody who is behind, together: whoever is furthest behind and has room is
 * read for, and all who are at the same place are served from the same decoded batch. A thousand
 * sessions that return at once cost one reading, not a thousand; one that stalls holds up nobody.
 *
 * Invariants:
 * - A reader is offered the records of its range in order, each until it takes it, none twice.
 * - What is kept decoded is bounded by {@link MAX_CHUNK_BYTES}; a reader keeps nothing.
 */
export class CatchUp {
  readonly #ring: Ring;
  readonly #topics: TopicTable;
  readonly #clock: Clock;
  readonly #onFailure: (readers: readonly RingReader[], error: unknown) => void;
  readonly #places = new Map<RingReader, Place>();
  readonly #interested = new Map<string, Place[]>();
  #interests = 0;
  #counts: Promise<ReadonlyMap<string, number>> | undefined;
  #countedMs = 0;
  /** Ends with the count that is under way: one at a time, or each would take its share of a turn. */
  #counting: Promise<void> = Promise.resolve();
  #chunks: Chunk[] = [];
  #chunkBytes = 0;
  #joins = 0;
  #passes = 0;
  #running = false;
  /** Done since the last turn, in deliveries. */
  #work = 0;
  /** The reading that may be gone on with, and the sequence that comes next in it. */
  #scan: { iterator: AsyncIterator<readonly RecordView[]>; at: number; end: number } | undefined;

  constructor(options: {
    readonly ring: Ring;
    readonly topics: TopicTable;
    readonly clock: Clock;
    /** The ring could not be read. Those readers are not served any more. */
    readonly onFailure: (readers: readonly RingReader[], error: unknown) => void;
  }) {
    this.#ring = options.ring;
    this.#topics = options.topics;
    this.#clock = options.clock;
    this.#onFailure = options.onFailure;
  }

  /**
   * Messages that one reader may have in flight: what is in flight takes memory, and a thousand full
   * windows would be most of a small machine's.
   */
  get fairWindow(): number {
    return Math.max(MIN_IN_FLIGHT, Math.floor(MAX_IN_FLIGHT / Math.max(1, this.#places.size)));
  }

  /** Begins to read for `reader`, once all of the range is durable; replaces an earlier range. */
  start(reader: RingReader, { from, end }: ReadRange): void {
    this.stop(reader);
    this.#joins++;
    const place: Place = { reader, joined: this.#joins, next: from, end, ready: false, pass: 0 };
    this.#places.set(reader, place);
    for (const [topic, places] of this.#interested) {
      if (!this.#isFor(place, topic)) continue;
      places.push(place);
      this.#interests++;
    }
    if (this.#ring.durableSequence >= end - 1) this.#makeReady(place);
    else this.#ring.whenDurable({ onDurable: () => this.#makeReady(place) });
  }

  /** The reader has room again. */
  wake(reader: RingReader): void {
    const place = this.#places.get(reader);
    if (place === undefined || place.ready || this.#ring.durableSequence < place.end - 1) return;
    this.#makeReady(place);
  }

  stop(reader: RingReader): void {
    const place = this.#places.get(reader);
    if (place === undefined) return;
    this.#places.delete(reader);
    place.ready = false;
    place.pass = 0;
    if (this.#places.size === 0) this.#forget();
  }

  /**
   * How many records at most those who want some topics may find: from the tables of topics, which
   * cost much less than the records. Asked by many at once, read once.
   */
  async countAtMost(
    wantsTopic: (topic: string) => boolean,
    isStopped: () => boolean,
  ): Promise<number> {
    const before = this.#counting;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#counting = promise;
    try {
      await before;
      return isStopped() ? 0 : await this.#count(wantsTopic, isStopped);
    } finally {
      resolve();
    }
  }

  async #count(wantsTopic: (topic: string) => boolean, isStopped: () => boolean): Promise<number> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#counts === undefined || nowMs - this.#countedMs > COUNTS_LAST_MS) {
      this.#counts = this.#ring.countByTopic();
      this.#countedMs = nowMs;
    }
    let count = 0;
    let seen = 0;
    let turnMs = this.#clock.monotonicMs();
    for (const [topic, records] of await this.#counts) {
      if (wantsTopic(topic)) count += records;
      seen++;
      if (seen % TOPICS_A_LOOK !== 0 || this.#clock.monotonicMs() - turnMs < COUNTING_MS) continue;
      // Thousands of topics by hundreds of filters are seconds: everybody else has a turn meanwhile.
      await this.#turn();
      if (isStopped()) return 0;
      turnMs = this.#clock.monotonicMs();
    }
    return count;
  }

  #makeReady(place: Place): void {
    if (this.#places.get(place.reader) !== place) return;
    place.ready = true;
    if (this.#running) return;
    this.#running = true;
    this.#run()
      .catch((error: unknown) => {
        const readers = [...this.#places.keys()];
        for (const reader of readers) {
          this.stop(reader);
          reader.abandoned();
        }
        this.#onFailure(readers, error);
      })
      .finally(() => {
        this.#running = false;
        for (const waiting of this.#places.values()) if (waiting.ready) this.#makeReady(waiting);
      });
  }

  async #run(): Promise<void> {
    // Those that come in the same turn begin together.
    await this.#turn();
    for (;;) {
      // All who are through first: those that begin anew are then served together.
      for (const place of this.#places.values()) {
        if (place.ready && place.next >= place.end) this.#ended(place);
      }
      const place = this.#furthestBehind();
      if (place === undefined) break;
      if (place.next >= place.end) continue;
      const chunk = this.#chunkAt(place) ?? (await this.#read(place));
      await this.#serve(chunk);
    }
    await this.#endScan();
  }

  #furthestBehind(): Place | undefined {
    let lowest: Place | undefined;
    for (const place of this.#places.values()) {
      if (place.ready && (lowest === undefined || place.next < lowest.next)) lowest = place;
    }
    return lowest;
  }

  #chunkAt({ next, joined }: Place): Chunk | undefined {
    const at = this.#chunks.findLastIndex(
      ({ from, to, stamp }) => from <= next && next <= to && stamp >= joined,
    );
    const chunk = this.#chunks[at];
    if (chunk === undefined) return undefined;
    this.#chunks.splice(at, 1);
    this.#chunks.push(chunk);
    return chunk;
  }

  /** Reads the batch that comes at `place.next`, or learns that nothing does. */
  async #read({ next }: Place): Promise<Chunk> {
    const stamp = this.#joins;
    if (this.#scan?.at !== next) {
      await this.#endScan();
      const end = this.#ring.durableSequence + 1;
      const records = this.#ring.scan({
        fromSequence: next,
        toSequence: end,
        anyFlag: RecordFlag.session,
        wantsTopic: (topic) => this.#isWantedTopic(topic),
      });
      this.#scan = { iterator: records[Symbol.asyncIterator](), at: next, end };
    }
    const scan = this.#scan;
    const { value, done } = await scan.iterator.next();
    const records = done === true ? [] : value;
    const last = records.at(-1)?.sequence ?? next - 1;
    const to = done === true ? scan.end - 1 : last;
    if (done === true) this.#scan = undefined;
    else scan.at = to + 1;
    return this.#keep({ from: next, to, stamp, ...this.#messagesOf(records) });
  }

  #messagesOf(records: readonly RecordView[]): { messages: RingMessage[]; bytes: number } {
    const messages: RingMessage[] = [];
    let bytes = 0;
    for (const record of records) {
      if ((record.flags & RecordFlag.session) === 0) continue;
      messages.push(new RingMessage(record, this.#topics));
      bytes += record.payload.length + record.attributes.length + RECORD_BYTES;
    }
    return { messages, bytes };
  }

  #keep(chunk: Chunk): Chunk {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.bytes;
    while (this.#chunkBytes > MAX_CHUNK_BYTES && this.#chunks.length > 1) {
      this.#chunkBytes -= this.#chunks.shift()?.bytes ?? 0;
    }
    return chunk;
  }

  /** Offers a chunk to everybody who is in it. */
  async #serve({ from, to, stamp, messages }: Chunk): Promise<void> {
    const pass = ++this.#passes;
    let lowest = Number.POSITIVE_INFINITY;
    let riders = 0;
    for (const place of this.#places.values()) {
      const isHere = place.ready && place.joined <= stamp && from <= place.next && place.next <= to;
      if (!isHere) continue;
      place.pass = pass;
      lowest = Math.min(lowest, place.next);
      riders++;
    }
    const share = Math.max(DELIVERIES_A_TURN, riders * DELIVERIES_A_READER);
    const turn = Math.min(share, MAX_DELIVERIES_A_TURN);
    for (const message of messages) {
      if (message.record.sequence < lowest) continue;
      this.#work += PASSING_COST + this.#offer(message, pass);
      if (this.#work >= turn) await this.#turn();
    }
    for (const place of this.#places.values()) {
      if (place.pass === pass && place.next <= to) place.next = to + 1;
    }
  }

  /** Returns how many took it, or could not. */
  #offer(message: RingMessage, pass: number): number {
    const { sequence, topic } = message.record;
    let count = 0;
    for (const place of this.#interestedIn(topic)) {
      if (place.pass !== pass || sequence < place.next || sequence >= place.end) continue;
      count++;
      if (place.reader.take(message)) continue;
      place.next = sequence;
      place.ready = false;
      place.pass = 0;
    }
    return count;
  }

  #ended(place: Place): void {
    const { reader } = place;
    // Out of the way first: the reader may start again from within.
    this.#places.delete(reader);
    place.ready = false;
    const range = reader.rangeEnded();
    if (range !== undefined) this.start(reader, range);
    else if (this.#places.size === 0) this.#forget();
  }

  #forgetInterests(): void {
    this.#interested.clear();
    this.#interests = 0;
  }

  #forget(): void {
    this.#counts = undefined;
    this.#forgetInterests();
    this.#chunks = [];
    this.#chunkBytes = 0;
  }

  #isFor(place: Place, topic: string): boolean {
    return place.reader.wantsEveryTopic || place.reader.wantsTopic(topic);
  }

  #isWantedTopic(topic: string): boolean {
    for (const place of this.#places.values()) if (this.#isFor(place, topic)) return true;
    return false;
  }

  /** Those who may want records of a topic. Places that are gone are left out when they are met. */
  #interestedIn(topic: string): readonly Place[] {
    let places = this.#interested.get(topic);
    if (places === undefined) {
      if (this.#interests > MAX_INTERESTS) this.#forgetInterests();
      places = [...this.#places.values()].filter((place) => this.#isFor(place, topic));
      this.#interested.set(topic, places);
      this.#interests += 1 + places.length;
    } else if (places.length > 2 * this.#places.size) {
      places = places.filter((place) => this.#places.get(place.reader) === place);
      this.#interested.set(topic, places);
    }
    return places;
  }

  async #endScan(): Promise<void> {
    const scan = this.#scan;
    this.#scan = undefined;
    await scan?.iterator.return?.();
  }

  #turn(): Promise<void> {
    this.#work = 0;
    return new Promise((resolve) => this.#clock.atTurnEnd(resolve));
  }
}
