import { assert } from '../base/assert.ts';

/** One message sent to the client and not yet done with. */
export interface InFlight<M> {
  readonly packetId: number;
  /** Place in the ring's order; 0 where the ring does not hold it for this session. */
  readonly sequence: number;
  readonly qos: 1 | 2;
  /** QoS 2: PUBREC has come, so the message must never be sent again, only its PUBREL. */
  released: boolean;
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
  readonly #inFlight = new Map<number, InFlight<M>>();
  readonly #beyond = new Set<number>();
  readonly #expected = new Set<number>();
  #position: number;
  #highest: number;
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
    for (const sequence of beyond) {
      this.#beyond.add(sequence);
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
    return Math.max(0, this.#window - this.#sent);
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
    next.#lastPacketId = this.#lastPacketId;
    next.#ordered = this.#ordered;
    for (const [id, entry] of this.#inFlight) {
      entry.sent = false;
      next.#inFlight.set(id, entry);
    }
    for (const sequence of this.#expected) next.#expected.add(sequence);
    return next;
  }

  /** Puts a message in flight and gives it a packet identifier. There must be `room`. */
  begin(sequence: number, qos: 1 | 2, message: M | undefined): InFlight<M> {
    assert(this.#inFlight.size < HIGHEST_PACKET_ID, 'a packet identifier is free');
    let packetId = this.#lastPacketId;
    do packetId = packetId === HIGHEST_PACKET_ID ? 1 : packetId + 1;
    while (this.#inFlight.has(packetId));
    this.#lastPacketId = packetId;
    const entry: InFlight<M> = { packetId, sequence, qos, released: false, sent: true, message };
    this.#inFlight.set(packetId, entry);
    this.#sent++;
    this.#expected.delete(sequence);
    if (sequence > this.#highest) this.#highest = sequence;
    else if (sequence > 0) this.#ordered = false;
    return entry;
  }

  /** Takes up a QoS 2 hand-shake that was durable before a restart. */
  restore(packetId: number, sequence: number, released: boolean): void {
    const entry = { packetId, sequence, released, message: undefined };
    this.#inFlight.set(packetId, { ...entry, qos: 2, sent: false });
    this.#ordered = false;
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

  /** Nothing up to `sequence` that is not in flight is wanted any more: a scan has passed it. */
  passed(sequence: number): void {
    for (const expected of this.#expected) {
      if (expected <= sequence) this.#expected.delete(expected);
    }
    if (sequence > this.#highest) this.#highest = sequence;
    this.#moveTo(this.#nextPosition());
  }

  /**
   * A message that is on its way to the ring will be delivered once it is durable (QoS 2). Until
   * `begin` or `forgo` names it again, the position stays at or below it.
   */
  expect(sequence: number): void {
    this.#expected.add(sequence);
  }

  /** The expected message will not be delivered after all. */
  forgo(sequence: number): void {
    if (!this.#expected.delete(sequence)) return;
    if (sequence > this.#highest) this.#highest = sequence;
    this.#moveTo(this.#nextPosition());
  }

  #settle(entry: InFlight<M>): void {
    this.#inFlight.delete(entry.packetId);
    if (entry.sent) this.#sent--;
    if (this.#inFlight.size === 0) this.#ordered = true;
    const next = this.#nextPosition();
    if (entry.sequence >= next) this.#beyond.add(entry.sequence);
    this.#moveTo(next);
  }

  #moveTo(next: number): void {
    if (next <= this.#position) return;
    this.#position = next;
    if (this.#beyond.size === 0) return;
    for (const sequence of this.#beyond) if (sequence < next) this.#beyond.delete(sequence);
  }

  #nextPosition(): number {
    let next = this.#lowestInFlight() ?? this.#highest + 1;
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
