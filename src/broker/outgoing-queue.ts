import { assert } from '../base/assert.ts';
import { copyBytes } from '../base/copy-bytes.ts';
import type { RecordSource } from '../ring/types.ts';
import type { WaitingMemory } from '../session/waiting-queue.ts';
import { NO_BYTES, Publication, weightOf } from './publication.ts';
import type { Topic } from './topics.ts';

/** Larger payloads are shared by the queues they wait in; smaller ones are copied into each. */
const MAX_COPIED_BYTES = 512;
/** Of a queue's first chunk, so that one message waiting in each of a thousand costs little. */
const SMALL_CHUNK_BYTES = 2 * MAX_COPIED_BYTES;
const CHUNK_BYTES = 16 * 1024;
const SPARE_CHUNKS = 64;
/** Entries at the front that were taken before the arrays are made shorter. */
const COMPACT_AT = 256;

/** Bits of an entry; the payload's length is above them. */
const Bit = { qos2: 1, retain: 2, published2: 4, publishedRetain: 8, whole: 16, nextChunk: 32 };
const LENGTH_SHIFT = 6;

/** Shared by all queues in which nothing waits, and never added to. */
const NONE: never[] = [];
const NO_IDS: readonly number[] = [];

/** What all queues of a broker share. */
export class OutgoingPool {
  readonly memory: WaitingMemory;
  readonly #spare: Buffer[] = [];
  #scratch: Publication | undefined;

  constructor(memory: WaitingMemory) {
    this.memory = memory;
  }

  takeChunk(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }

  giveChunk(chunk: Buffer): void {
    if (chunk.length === CHUNK_BYTES && this.#spare.length < SPARE_CHUNKS) this.#spare.push(chunk);
  }

  /** For a message that is looked at and let go at once. */
  scratch(topic: Topic): Publication {
    this.#scratch ??= new Publication(topic);
    return this.#scratch;
  }
}

/**
 * Messages that wait for one client, first in, first out; whoever fills it bounds it. A small one is
 * no object: payloads lie side by side in chunks, the rest in arrays. To a subscriber that is a little
 * behind a fast publisher every message comes through here, and half a kilobyte of objects for each
 * kept the garbage collector busy for a fifth of the time.
 */
export class OutgoingQueue {
  /** Of the message that {@link shift} took, until the next call. */
  qos: 1 | 2 = 1;
  retain = false;
  subscriptionIds = NO_IDS;

  readonly #pool: OutgoingPool;
  #topics: Topic[] = NONE;
  #sources: (RecordSource | null)[] = NONE;
  #subscriptionIds: (readonly number[])[] = NONE;
  #sequences: number[] = NONE;
  #bits: number[] = NONE;
  /** Messages that are objects of their own, in the order of their entries. */
  #wholes: Publication[] = NONE;
  /** The first one is read, the last one written. */
  #chunks: Buffer[] = NONE;
  #head = 0;
  #wholesHead = 0;
  #readAt = 0;
  #writeAt = 0;
  #bytes = 0;

  constructor(pool: OutgoingPool) {
    this.#pool = pool;
  }

  get length(): number {
    return this.#bits.length - this.#head;
  }

  /** The sum of what {@link weightOf} says of each. */
  get bytes(): number {
    return this.#bytes;
  }

  push(
    publication: Publication,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
  ): void {
    if (this.#bits === NONE) this.#begin();
    const { payloadLength, source } = publication;
    let bits = payloadLength << LENGTH_SHIFT;
    if (qos === 2) bits |= Bit.qos2;
    if (retain) bits |= Bit.retain;
    if (publication.qos === 2) bits |= Bit.published2;
    if (publication.retain) bits |= Bit.publishedRetain;
    const isSmall = payloadLength <= MAX_COPIED_BYTES && publication.properties.length === 0;
    if (isSmall && source !== null && !publication.isKept) {
      if (this.#copy(publication)) bits |= Bit.nextChunk;
    } else {
      bits |= Bit.whole;
      this.#wholes.push(publication.keep());
    }
    this.#topics.push(publication.topic);
    this.#sources.push(source);
    this.#subscriptionIds.push(subscriptionIds);
    this.#sequences.push(publication.sequence);
    this.#bits.push(bits);
    this.#weigh(weightOf(publication));
  }

  /**
   * Takes the oldest message; undefined where nothing waits. It is good until the next call of any
   * queue of the pool; `keep` makes it last.
   */
  shift(): Publication | undefined {
    if (this.length === 0) return undefined;
    const at = this.#head++;
    const bits = this.#bits[at] as number;
    this.qos = (bits & Bit.qos2) === 0 ? 1 : 2;
    this.retain = (bits & Bit.retain) !== 0;
    this.subscriptionIds = this.#subscriptionIds[at] as readonly number[];
    const publication = (bits & Bit.whole) === 0 ? this.#small(at, bits) : this.#whole();
    this.#weigh(-weightOf(publication));
    if (this.#head === this.#bits.length) this.clear();
    else if (this.#head >= COMPACT_AT && 2 * this.#head >= this.#bits.length) this.#compact();
    return publication;
  }

  clear(): void {
    for (const chunk of this.#chunks) this.#pool.giveChunk(chunk);
    this.#topics = NONE;
    this.#sources = NONE;
    this.#subscriptionIds = NONE;
    this.#sequences = NONE;
    this.#bits = NONE;
    this.#wholes = NONE;
    this.#chunks = NONE;
    this.#head = 0;
    this.#wholesHead = 0;
    this.#readAt = 0;
    this.#writeAt = 0;
    this.#weigh(-this.#bytes);
  }

  /** Lets go of every message for which `keeps` is false. */
  filter(keeps: (publication: Publication) => boolean): void {
    const kept = new OutgoingQueue(this.#pool);
    for (let next = this.shift(); next !== undefined; next = this.shift()) {
      if (keeps(next)) kept.push(next, this.qos, this.retain, this.subscriptionIds);
    }
    for (let next = kept.shift(); next !== undefined; next = kept.shift()) {
      this.push(next, kept.qos, kept.retain, kept.subscriptionIds);
    }
  }

  #begin(): void {
    this.#topics = [];
    this.#sources = [];
    this.#subscriptionIds = [];
    this.#sequences = [];
    this.#bits = [];
    this.#wholes = [];
    this.#chunks = [];
  }

  /** True where the payload is the first of another chunk. */
  #copy({ buffer, payloadStart, payloadEnd }: Publication): boolean {
    let chunk = this.#chunks.at(-1);
    const isFull = chunk !== undefined && this.#writeAt + payloadEnd - payloadStart > chunk.length;
    if (chunk === undefined || isFull) {
      chunk = isFull ? this.#pool.takeChunk() : Buffer.allocUnsafeSlow(SMALL_CHUNK_BYTES);
      this.#chunks.push(chunk);
      this.#writeAt = 0;
    }
    this.#writeAt = copyBytes(chunk, this.#writeAt, buffer, payloadStart, payloadEnd);
    return isFull;
  }

  #small(at: number, bits: number): Publication {
    if ((bits & Bit.nextChunk) !== 0) {
      const read = this.#chunks.shift();
      if (read !== undefined) this.#pool.giveChunk(read);
      this.#readAt = 0;
    }
    const [chunk] = this.#chunks;
    const topic = this.#topics[at] as Topic;
    const source = this.#sources[at];
    assert(
      chunk !== undefined && source !== undefined && source !== null,
      'an entry has its parts',
    );
    const publication = this.#pool.scratch(topic);
    publication.reset(topic, source);
    publication.qos = (bits & Bit.published2) === 0 ? 1 : 2;
    publication.retain = (bits & Bit.publishedRetain) !== 0;
    publication.properties = NO_BYTES;
    if (publication.buffer !== chunk) publication.buffer = chunk;
    publication.payloadStart = this.#readAt;
    this.#readAt += bits >> LENGTH_SHIFT;
    publication.payloadEnd = this.#readAt;
    publication.sequence = this.#sequences[at] as number;
    return publication;
  }

  #whole(): Publication {
    const publication = this.#wholes[this.#wholesHead++];
    assert(publication !== undefined, 'a message that is an object was put in');
    return publication;
  }

  #compact(): void {
    this.#topics = this.#topics.slice(this.#head);
    this.#sources = this.#sources.slice(this.#head);
    this.#subscriptionIds = this.#subscriptionIds.slice(this.#head);
    this.#sequences = this.#sequences.slice(this.#head);
    this.#bits = this.#bits.slice(this.#head);
    this.#head = 0;
    this.#wholes = this.#wholes.slice(this.#wholesHead);
    this.#wholesHead = 0;
  }

  #weigh(bytes: number): void {
    this.#bytes += bytes;
    this.#pool.memory.usedBytes += bytes;
  }
}
