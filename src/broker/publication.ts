import type { EventTime, RecordSource } from '../ring/types.ts';
import type { Topic } from './topics.ts';

export const NO_BYTES = new Uint8Array(0);

/** In the place of an expiry in seconds. */
const NEVER = -1;

/** V8's limit for typed arrays without memory of their own. */
const WITHIN_OBJECT_BYTES = 64;

/**
 * A message on its way through the broker. The router reuses one for all that arrive, with a payload
 * that is a view on the receive buffer; whoever keeps it beyond the call asks for `keep()`.
 */
export class Publication {
  topic: Topic;
  qos: 0 | 1 | 2 = 0;
  retain = false;
  /** Raw 5.0 properties to pass on: without their length, topic alias and subscription identifiers. */
  properties: Uint8Array = NO_BYTES;
  /** Holds the payload from `payloadStart` to `payloadEnd`: while routed, the receive buffer. */
  buffer: Uint8Array = NO_BYTES;
  payloadStart = 0;
  payloadEnd = 0;
  /** The publishing client's id; '' for the broker itself. */
  origin = '';
  /** What the ring needs to name topic and origin by number; belongs to the publishing connection. */
  source: RecordSource | null = null;
  /** Place in the ring's order; 0 where nobody needs it kept. */
  sequence = 0;
  /** How long it lives, from `time` or `receivedMs`; below 0: for ever. Read it by `MessageExpiry`. */
  expirySeconds = NEVER;
  /** When it was appended, where it was read from the ring. */
  time: EventTime | undefined;
  /** Monotonic time at which it came in, where it has an expiry and no `time`. */
  receivedMs = 0;
  #kept: Publication | undefined;

  constructor(topic: Topic) {
    this.topic = topic;
  }

  get payloadLength(): number {
    return this.payloadEnd - this.payloadStart;
  }

  /** A view on the payload. The hot path goes without one. */
  get payload(): Uint8Array {
    return this.buffer.subarray(this.payloadStart, this.payloadEnd);
  }

  set payload(bytes: Uint8Array) {
    this.buffer = bytes;
    this.payloadStart = 0;
    this.payloadEnd = bytes.length;
  }

  /** It lives as long as the other one, of which it is a copy. */
  takeExpiry({ expirySeconds, time, receivedMs }: Publication): void {
    this.expirySeconds = expirySeconds;
    this.time = time;
    this.receivedMs = receivedMs;
  }

  /** A copy that lasts; the same one for every receiver of this message. */
  keep(): Publication {
    if (this.#kept === undefined) {
      const copy = new Publication(this.topic);
      copy.qos = this.qos;
      copy.retain = this.retain;
      copy.properties = this.properties.length === 0 ? NO_BYTES : new Uint8Array(this.properties);
      copy.payload = this.#copyOfPayload();
      copy.origin = this.origin;
      copy.source = this.source;
      copy.sequence = this.sequence;
      copy.takeExpiry(this);
      copy.#kept = copy;
      this.#kept = copy;
    }
    return this.#kept;
  }

  /**
   * A small payload is copied byte by byte: V8 keeps an array of up to 64 bytes within the object,
   * and any call that leaves JavaScript, or a view on the payload, takes longer than the copy.
   */
  #copyOfPayload(): Uint8Array {
    const { buffer, payloadStart, payloadLength } = this;
    if (payloadLength === 0) return NO_BYTES;
    if (payloadLength > WITHIN_OBJECT_BYTES) return new Uint8Array(this.payload);
    const bytes = new Uint8Array(payloadLength);
    for (let i = 0; i < payloadLength; i++) bytes[i] = buffer[payloadStart + i] as number;
    return bytes;
  }

  /** A copy that lasts is there, so `keep` costs nothing. */
  get isKept(): boolean {
    return this.#kept !== undefined;
  }

  /** The bytes are never changed and may stay: `keep` need not copy them. */
  markLasting(): this {
    this.#kept = this;
    return this;
  }

  /**
   * Makes the object ready for the next message of `source`'s topic and client; copies that were kept
   * stay as they are. References are stored only where they change: each store into an old object is
   * work for the garbage collector.
   */
  reset(topic: Topic, source: RecordSource): void {
    if (this.source !== source) {
      this.topic = topic;
      this.source = source;
      this.origin = source.origin;
    }
    if (this.#kept !== undefined) this.#kept = undefined;
    this.sequence = 0;
    this.expirySeconds = NEVER;
  }
}

/** Objects and references around a payload that waits; about, for bounds only. */
const OVERHEAD_BYTES = 160;

/** What a message takes of the memory while it waits for one receiver. */
export function weightOf({ payloadLength, properties }: Publication): number {
  return payloadLength + properties.length + OVERHEAD_BYTES;
}
