import { assert } from '../base/assert.ts';

/**
 * A message that came to the session by a shared subscription. Not the session's cursor but the
 * group's says whether it is done with, so the group is told.
 */
export interface Claim {
  /** The subscription's filter, `$share` and name included. */
  readonly filter: string;
  /** Place in the ring's order; 0 where the ring does not hold it for the group. */
  readonly sequence: number;
  /** The client has it, or it is nobody's any more. */
  settle(): void;
  /** The client never had it for certain, and will not: it is for another member. */
  giveBack(): void;
}

/** One message sent to the client and not yet done with. */
export interface InFlight<M> {
  readonly packetId: number;
  /** Place in the ring's order; 0 where the ring does not hold it for this session's own cursor. */
  readonly sequence: number;
  readonly claim: Claim | undefined;
  readonly qos: 1 | 2;
  /** QoS 2: PUBREC has come, so the message must never be sent again, only its PUBREL. */
  released: boolean;
  /** Sequence that makes `released` lasting: PUBREL must not leave before it is durable. */
  releasedAt: number;
  /** It, or its PUBREL, has gone out on the connection that carries the session now. */
  sent: boolean;
  /** The message itself, kept only where it cannot be read from the ring again. */
  readonly message: M | undefined;
}

/** What a restart needs to know of a session's deliveries beside its QoS 2 hand-shakes. */
export interface DeliveryPosition {
  readonly position: number;
  readonly beyond: readonly number[];
}

const HIGHEST_PACKET_ID = 65_535;

/**
 * Acknowledgements that may come ahead of an older one. A client acknowledges in order
 * [MQTT-4.6.0-2]; one that leaves a message out would otherwise make the set grow for ever.
 */
const MAX_BEYOND = 4_096;

const NONE: readonly never[] = [];

// Shared by all who have nothing, and never added to: empty collections of their own would be most of
// what thousands of idle sessions take.
const NOTHING_IN_FLIGHT = new Map<number, never>();
const NO_SEQUENCES = new Set<number>();

/**
 * The sending half of a session's QoS 1 and 2 state, as pure bookkeeping: packet identifiers, the
 * window, and the cursor that says up to where the ring is done with.
 *
 * Invariants:
 * - Every message of the session with sequence below `position` is done: the client has it.
 * - A sequence at or above `position` is done only if it is in `beyond`.
 * - A packet identifier is in use from `begin` to the end of its hand-shake [MQTT-2.2.1-4].
 */
export class Delivery<M> {
  readonly #window: number;
  #inFlight: Map<number, InFlight<M>> = NOTHING_IN_FLIGHT;
  #beyond = NO_SEQUENCES;
  #expected = NO_SEQUENCES;
  /** What an earlier connection left in flight, by sequence, to be found when the ring is read. */
  #left: Map<number, InFlight<M>[]> | undefined;
  #position: number;
  /** Of what was sent or is done. */
  #highest: number;
  /**
   * Up to here the ring holds nothing for the session that was not sent or given up. Below `#highest`
   * where a restart found messages done beyond others that the client never had.
   */
  #scanned: number;
  #lastPacketId = 0;
  /** In flight and sent on the connection of now; the others are still to be repeated. */
  #sent = 0;
  /** Restored hand-shakes are not in order of sequence; until they are gone the minimum is searched. */
  #ordered = true;

  /** `window`: messages in flight at most, the smaller of the client's Receive Maximum and our limit. */
  constructor(window: number, position: number, beyond: readonly number[] = []) {
    assert(window >= 1 && window <= HIGHEST_PACKET_ID, 'the window is 1 to 65535');
    this.#window = window;
    this.#position = position;
    this.#highest = position - 1;
    this.#scanned = position - 1;
    for (const sequence of beyond) {
      this.#addBeyond(sequence);
      if (sequence > this.#highest) this.#highest = sequence;
    }
  }

  /** Every message of this session with a lower sequence is done. */
  get position(): number {
    return this.#position;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /**
   * Messages that may be sent before the next acknowledgement, repeats included. What an earlier
   * connection left in flight takes no room until it has been repeated on this one.
   */
  get room(): number {
    if (this.#beyond.size >= MAX_BEYOND) return 0;
    return this.roomToRepeat;
  }

  /** As `room`, for repeats: they do not add to what is done ahead of the cursor, they end it. */
  get roomToRepeat(): number {
    return Math.max(0, this.#window - this.#sent);
  }

  /** As `room`, for this sequence: one that was left out is what the cursor waits for. */
  roomFor(sequence: number): number {
    return sequence < this.#highest ? this.roomToRepeat : this.room;
  }

  /** Enough room that it is worth while to read on: not one message for each acknowledgement. */
  get hasAmpleRoom(): boolean {
    return this.#sent === 0 || this.room * 2 >= this.#window;
  }

  /** Something was in flight when the client came back, and has not been repeated yet. */
  get hasUnsent(): boolean {
    return this.#sent < this.#inFlight.size;
  }

  entries(): IterableIterator<InFlight<M>> {
    return this.#inFlight.values();
  }

  toPosition(): DeliveryPosition {
    return { position: this.#position, beyond: [...this.#beyond] };
  }

  /** Continues with another window, as when the client comes back with another Receive Maximum. */
  withWindow(window: number): Delivery<M> {
    const next = new Delivery<M>(window, this.#position, [...this.#beyond]);
    next.#highest = this.#highest;
    next.#scanned = this.#scanned;
    next.#lastPacketId = this.#lastPacketId;
    next.#ordered = this.#ordered;
    for (const [id, entry] of this.#inFlight) {
      entry.sent = false;
      next.#putInFlight(id, entry);
      next.#noteLeft(entry);
    }
    for (const sequence of this.#expected) next.expect(sequence);
    return next;
  }

  /** Puts a message in flight and gives it a packet identifier. There must be `room`. */
  begin(sequence: number, qos: 1 | 2, message: M | undefined, claim?: Claim): InFlight<M> {
    assert(this.#inFlight.size < HIGHEST_PACKET_ID, 'a packet identifier is free');
    let packetId = this.#lastPacketId;
    do packetId = packetId === HIGHEST_PACKET_ID ? 1 : packetId + 1;
    while (this.#inFlight.has(packetId));
    this.#lastPacketId = packetId;
    const entry: InFlight<M> = {
      packetId,
      sequence,
      claim,
      qos,
      released: false,
      releasedAt: 0,
      sent: true,
      message,
    };
    this.#putInFlight(packetId, entry);
    this.#sent++;
    this.#expected.delete(sequence);
    if (sequence <= this.#highest && sequence > 0) this.#ordered = false;
    this.#reached(sequence);
    return entry;
  }

  /** Takes up a QoS 2 hand-shake that was durable before a restart. */
  restore(packetId: number, sequence: number, released: boolean, claim?: Claim): void {
    const entry = { packetId, message: undefined, claim, qos: 2, sent: false } as const;
    const place = claim === undefined ? sequence : 0;
    this.#putInFlight(packetId, { ...entry, released, releasedAt: 0, sequence: place });
    this.#ordered = false;
  }

  /** What an earlier connection left in flight under this sequence, and was not repeated yet. */
  unsentAt(sequence: number): readonly InFlight<M>[] {
    if (!this.hasUnsent) return NONE;
    return this.#left?.get(sequence)?.filter(({ sent }) => !sent) ?? NONE;
  }

  /** The lowest sequence of what is to be repeated from the ring; Infinity where nothing is. */
  lowestUnsent(): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { sent, sequence, claim } of this.#inFlight.values()) {
      const place = claim?.sequence ?? sequence;
      if (!sent && place > 0 && place < lowest) lowest = place;
    }
    return lowest;
  }

  /** The entry, or its PUBREL, goes out on the connection of now. */
  markSent(entry: InFlight<M>): void {
    if (entry.sent) return;
    entry.sent = true;
    this.#sent++;
  }

  /** What is in flight for a sequence, where a scan of the ring meets it again. */
  findBySequence(sequence: number): InFlight<M> | undefined {
    if (sequence > this.#highest && this.#ordered) return undefined;
    for (const entry of this.#inFlight.values()) if (entry.sequence === sequence) return entry;
    return undefined;
  }

  /** True while a message that was expected has not come: nothing may pass it. */
  get expecting(): boolean {
    return this.#expected.size > 0;
  }

  /** True where a message with this sequence has been sent or done with, so that a second copy is a repeat. */
  isKnown(sequence: number): boolean {
    if (sequence > this.#highest && this.#ordered) return false;
    return this.isDone(sequence) || this.findBySequence(sequence) !== undefined;
  }

  /** True where a scan of the ring must not deliver this sequence again. */
  isDone(sequence: number): boolean {
    return sequence < this.#position || this.#beyond.has(sequence);
  }

  /** PUBACK. Undefined for an identifier that is not in use with QoS 1. */
  acknowledge(packetId: number): InFlight<M> | undefined {
    const entry = this.#inFlight.get(packetId);
    if (entry === undefined || entry.qos !== 1) return undefined;
    this.#settle(entry);
    return entry;
  }

  /** PUBREC. The caller makes the step durable before it sends PUBREL. */
  receive(packetId: number): InFlight<M> | undefined {
    const entry = this.#inFlight.get(packetId);
    if (entry === undefined || entry.qos !== 2) return undefined;
    entry.released = true;
    return entry;
  }

  /** PUBCOMP, or a PUBREC that refuses. Undefined for an identifier that is not in use with QoS 2. */
  complete(packetId: number): InFlight<M> | undefined {
    const entry = this.#inFlight.get(packetId);
    if (entry === undefined || entry.qos !== 2) return undefined;
    this.#settle(entry);
    return entry;
  }

  /** The message is not sent after all (it has expired): it is as good as done. */
  skip(sequence: number): void {
    this.#expected.delete(sequence);
    this.#reached(sequence);
    const next = this.#nextPosition();
    if (sequence >= next) this.#addBeyond(sequence);
    this.#moveTo(next);
  }

  /** Nothing up to `sequence` that is not in flight is wanted any more: a scan has passed it. */
  passed(sequence: number): void {
    for (const expected of this.#expected) {
      if (expected <= sequence) this.#expected.delete(expected);
    }
    this.#reached(sequence);
    this.#moveTo(this.#nextPosition());
  }

  /**
   * A message that is on its way to the ring will be delivered once it is durable (QoS 2). Until
   * `begin` or `forgo` names it again, the position stays at or below it.
   */
  expect(sequence: number): void {
    if (this.#expected === NO_SEQUENCES) this.#expected = new Set();
    this.#expected.add(sequence);
  }

  /** The expected message will not be delivered after all. */
  forgo(sequence: number): void {
    if (!this.#expected.delete(sequence)) return;
    // What waits before it has not been sent yet, so this does not mean that all up to it was.
    this.#moveTo(this.#nextPosition());
  }

  #putInFlight(packetId: number, entry: InFlight<M>): void {
    if (this.#inFlight === NOTHING_IN_FLIGHT) this.#inFlight = new Map();
    this.#inFlight.set(packetId, entry);
  }

  #addBeyond(sequence: number): void {
    if (this.#beyond === NO_SEQUENCES) this.#beyond = new Set();
    this.#beyond.add(sequence);
  }

  /** Messages are begun, skipped and passed in the order of the ring. */
  #reached(sequence: number): void {
    if (sequence > this.#highest) this.#highest = sequence;
    if (sequence > this.#scanned) this.#scanned = sequence;
  }

  #noteLeft(entry: InFlight<M>): void {
    const place = entry.claim?.sequence ?? entry.sequence;
    if (place === 0 || entry.message !== undefined) return;
    this.#left ??= new Map();
    const there = this.#left.get(place);
    if (there === undefined) this.#left.set(place, [entry]);
    else there.push(entry);
  }

  #settle(entry: InFlight<M>): void {
    this.#inFlight.delete(entry.packetId);
    if (entry.sent) this.#sent--;
    if (this.#inFlight.size === 0) {
      this.#ordered = true;
      this.#left = undefined;
    }
    if (entry.sequence === 0) return;
    const next = this.#nextPosition();
    if (entry.sequence >= next) this.#addBeyond(entry.sequence);
    this.#moveTo(next);
  }

  #moveTo(next: number): void {
    if (next <= this.#position) return;
    this.#position = next;
    if (this.#beyond.size === 0) return;
    for (const sequence of this.#beyond) if (sequence < next) this.#beyond.delete(sequence);
  }

  #nextPosition(): number {
    let next = Math.min(this.#lowestInFlight() ?? Number.POSITIVE_INFINITY, this.#scanned + 1);
    for (const sequence of this.#expected) if (sequence < next) next = sequence;
    return next;
  }

  #lowestInFlight(): number | undefined {
    let lowest: number | undefined;
    for (const { sequence } of this.#inFlight.values()) {
      if (sequence === 0) continue;
      if (this.#ordered) return sequence;
      if (lowest === undefined || sequence < lowest) lowest = sequence;
    }
    return lowest;
  }
}
