import type { Rights } from '../auth/types.ts';
import type { Delivery, InFlight } from '../session/delivery.ts';
import type { Receipts } from '../session/receipts.ts';
import type { Publication } from './publication.ts';

/** SUBSCRIBE options [MQTT5 3.8.3.1]. 3.1.1 has only the QoS. */
export interface SubscriptionOptions {
  readonly qos: 0 | 1 | 2;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  readonly subscriptionId: number | undefined;
}

export interface Subscription {
  readonly session: ClientSession;
  readonly filter: string;
  readonly options: SubscriptionOptions;
  /** The first sequence it covers: messages routed before it was made are not for it. */
  readonly since: number;
}

export interface WillMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties: Uint8Array;
  readonly delaySeconds: number;
}

/** A message that waits for room in the window. */
export interface Waiting {
  readonly publication: Publication;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[];
}

/** What a session asks of the connection that carries it. */
export interface SessionLink {
  /** What may be delivered over it. */
  readonly rights: Rights;
  /** False while the peer does not take what it was sent: nothing more is put in flight. */
  readonly writable: boolean;
  /** Sends a PUBLISH; false where the peer's Maximum Packet Size forbids it. */
  sendPublish(
    publication: Publication,
    qos: 0 | 1 | 2,
    retain: boolean,
    duplicate: boolean,
    packetId: number,
    subscriptionIds: readonly number[],
  ): boolean;
  sendPubrel(packetId: number): void;
  /** Runs `fn`, in the order of this connection's acks, once the ring is durable up to `sequence`. */
  afterDurable(sequence: number, fn: () => void): void;
}

/** What a session asks of the broker's storage. Every change returns the sequence that makes it lasting. */
export interface SessionJournal {
  handshake(session: ClientSession, entry: InFlight<Publication>): number;
  handshakeEnded(session: ClientSession, packetId: number): void;
  cursorMoved(session: ClientSession): void;
  dropped(reason: 'queue_full' | 'packet_too_large' | 'lapped', count: number): void;
  /** Starts reading from the ring what the session has not had yet. */
  catchUp(session: ClientSession): void;
}

/** A queue of this many messages is kept in memory; what is beyond waits in the ring. */
const MAX_WAITING_IN_MEMORY = 1_000;
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * A client's session [MQTT5 4.1]. A durable one outlives its connection and is a cursor into the
 * ring: its waiting messages are a cache, and whatever does not fit is read from flash again.
 *
 * Invariants:
 * - At most one connection carries it; without one, nothing is kept in memory for it.
 * - While `catchingUp`, live messages wait behind those that are read from the ring.
 * - `overflowed` implies `catchingUp`: the ring holds what was not kept.
 */
export class ClientSession {
  readonly clientId: string;
  /** True when it outlives its connection: its state is in the ring. */
  durable: boolean;
  /** Seconds it lives without a connection; 0xFFFFFFFF for ever. */
  expirySeconds: number;
  readonly subscriptions = new Map<string, Subscription>();
  receipts: Receipts;
  delivery: Delivery<Publication>;
  will: WillMessage | undefined;
  link: SessionLink | undefined;
  /** Monotonic time at which it ends, while no connection carries it. */
  endsAtMs = Number.POSITIVE_INFINITY;
  /** Raised by every attach and detach, so that work begun for an earlier connection stops. */
  generation = 0;

  readonly #journal: SessionJournal;
  #waiting: Waiting[] = [];
  #waitingHead = 0;
  #waitingBytes = 0;
  #catchingUp = false;
  #overflowed = false;
  #wakeCatchUp: (() => void) | undefined;
  #roomWaiters: (() => void)[] = [];
  readonly #maxWaiting: number;

  constructor(options: {
    clientId: string;
    durable: boolean;
    expirySeconds: number;
    delivery: Delivery<Publication>;
    receipts: Receipts;
    journal: SessionJournal;
    /** Messages a session that is not durable may have waiting; the oldest go first. */
    maxWaiting: number;
  }) {
    this.clientId = options.clientId;
    this.durable = options.durable;
    this.expirySeconds = options.expirySeconds;
    this.delivery = options.delivery;
    this.receipts = options.receipts;
    this.#journal = options.journal;
    this.#maxWaiting = options.maxWaiting;
  }

  get waiting(): number {
    return this.#waiting.length - this.#waitingHead;
  }

  /** A connection takes the session up. Repeats what was in flight [MQTT-4.4.0-1], then what waited. */
  attach(link: SessionLink, window: number): void {
    this.generation++;
    this.link = link;
    this.endsAtMs = Number.POSITIVE_INFINITY;
    this.delivery = this.delivery.withWindow(window);
    for (const entry of this.delivery.entries()) {
      if (entry.released) {
        this.delivery.markSent(entry);
        link.sendPubrel(entry.packetId);
      } else if (entry.message && this.mayRead(entry.message.topic.name)) {
        this.#repeat(entry, entry.message);
      }
    }
    // Also a new one: it may have subscribed before its CONNACK was durable.
    if (this.durable) {
      this.#catchingUp = true;
      this.#journal.catchUp(this);
    }
  }

  /** The connection is gone. What waited in memory is in the ring if it is for keeping. */
  detach(): void {
    this.generation++;
    this.link = undefined;
    this.#clearWaiting();
    this.#catchingUp = false;
    this.#overflowed = false;
    this.#wake();
    this.#wakeRoomWaiters();
  }

  /** A routed message with QoS 1 or 2 for this session. Offline, there is nothing to do: the ring has it. */
  offer(
    publication: Publication,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
  ): void {
    const { link } = this;
    if (link === undefined) return;
    if (!this.#catchingUp && this.waiting === 0 && this.delivery.room > 0 && link.writable) {
      this.#send(link, publication, qos, retain, subscriptionIds);
      return;
    }
    this.#enqueue({ publication: publication.keep(), qos, retain, subscriptionIds });
  }

  /** Sends what waits, as far as the window and the peer allow. */
  pump(): void {
    const { link } = this;
    if (link === undefined) return;
    if (this.#catchingUp) {
      this.#wake();
      return;
    }
    while (this.waiting > 0 && this.delivery.room > 0 && link.writable) {
      const next = this.#waiting[this.#waitingHead] as Waiting;
      this.#waitingHead++;
      this.#waitingBytes -= next.publication.payloadLength;
      // The rules may have been read again since it began to wait.
      if (!this.mayRead(next.publication.topic.name)) continue;
      this.#send(link, next.publication, next.qos, next.retain, next.subscriptionIds);
    }
    if (this.waiting === 0) this.#clearWaiting();
    else if (this.#waitingHead > MAX_WAITING_IN_MEMORY) this.#compactWaiting();
    if (this.waiting < MAX_WAITING_IN_MEMORY / 2) this.#wakeRoomWaiters();
  }

  /** Whether its connection may read the topic; true while it has none. */
  mayRead(topic: string): boolean {
    const { link } = this;
    return link === undefined || !link.rights.isRestricted || link.rights.mayRead(topic);
  }

  /** Nothing is on its way to the client: the cursor may move to the end of the ring. */
  get idle(): boolean {
    return !this.#catchingUp && this.waiting === 0 && !this.delivery.expecting;
  }

  /** Delivers one message read from the ring that is new to the client. */
  deliverFromRing(
    publication: Publication,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
  ): void {
    if (this.link) this.#send(this.link, publication, qos, retain, subscriptionIds);
  }

  /** What an earlier connection left in flight under this sequence, and was not repeated yet. */
  unsentInFlight(sequence: number): InFlight<Publication> | undefined {
    if (!this.delivery.hasUnsent) return undefined;
    const entry = this.delivery.findBySequence(sequence);
    return entry === undefined || entry.sent ? undefined : entry;
  }

  /**
   * Repeats a message read from the ring under its old packet identifier, also where the
   * subscription is gone: a delivery that has begun is completed [MQTT-3.10.4-3].
   */
  repeatFromRing(entry: InFlight<Publication>, publication: Publication): void {
    this.#repeat(entry, publication);
  }

  /** Resolves when one more message may be sent, or the connection has changed. */
  async roomToSend(): Promise<void> {
    while (this.link && !(this.delivery.room > 0 && this.link.writable)) {
      await new Promise<void>((resolve) => {
        this.#wakeCatchUp = resolve;
      });
    }
  }

  /**
   * Everything in the ring up to where live messages began to wait has been delivered. Returns true
   * when the session is live again; false when the queue overflowed meanwhile and the ring must be
   * read once more, up to the sequence that is the last one now.
   */
  caughtUp(): boolean {
    this.#giveUpUnsent();
    if (this.#overflowed) {
      this.#overflowed = false;
      return false;
    }
    this.#catchingUp = false;
    this.pump();
    return true;
  }

  acknowledged(packetId: number): boolean {
    const entry = this.delivery.acknowledge(packetId);
    if (entry === undefined) return false;
    if (this.durable) this.#journal.cursorMoved(this);
    this.pump();
    return true;
  }

  /** PUBREC. The PUBREL leaves when the step is durable: after that the message is never sent again. */
  received(packetId: number, refused: boolean): boolean {
    if (refused) return this.completed(packetId);
    const entry = this.delivery.receive(packetId);
    const { link } = this;
    if (entry === undefined || link === undefined) return false;
    if (this.durable) {
      const sequence = this.#journal.handshake(this, entry);
      link.afterDurable(sequence, () => link.sendPubrel(packetId));
    } else {
      link.sendPubrel(packetId);
    }
    return true;
  }

  completed(packetId: number): boolean {
    const entry = this.delivery.complete(packetId);
    if (entry === undefined) return false;
    if (this.durable) {
      this.#journal.cursorMoved(this);
      this.#journal.handshakeEnded(this, packetId);
    }
    this.pump();
    return true;
  }

  #send(
    link: SessionLink,
    publication: Publication,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
  ): void {
    const { sequence } = publication;
    // A QoS 2 message is routed after its commit; the ring may have been read past it meanwhile.
    if (this.durable && sequence > 0 && this.delivery.isKnown(sequence)) return;
    // Without a place in the ring the message itself is kept, so that it can be repeated.
    const kept = this.durable && sequence === 0 ? publication.keep() : undefined;
    const entry = this.delivery.begin(this.durable ? sequence : 0, qos, kept);
    if (qos === 2 && this.durable) {
      const message = publication.keep();
      const durableAt = this.#journal.handshake(this, entry);
      const { generation } = this;
      link.afterDurable(durableAt, () => {
        if (this.generation !== generation) return;
        if (!link.sendPublish(message, qos, retain, false, entry.packetId, subscriptionIds)) {
          this.#journal.dropped('packet_too_large', 1);
          this.completed(entry.packetId);
        }
      });
    } else if (
      !link.sendPublish(publication, qos, retain, false, entry.packetId, subscriptionIds)
    ) {
      // [MQTT-3.1.2-25]: a packet beyond the client's maximum is as good as delivered.
      this.#journal.dropped('packet_too_large', 1);
      if (qos === 1) this.delivery.acknowledge(entry.packetId);
      else this.delivery.complete(entry.packetId);
    }
  }

  #repeat(
    entry: InFlight<Publication>,
    message: Publication,
    subscriptionIds: readonly number[] = [],
  ): void {
    this.delivery.markSent(entry);
    this.link?.sendPublish(
      message,
      entry.qos,
      message.retain,
      true,
      entry.packetId,
      subscriptionIds,
    );
  }

  #enqueue(item: Waiting): void {
    const isInRing = this.durable && item.publication.sequence > 0;
    if (this.#overflowed && isInRing) return;
    this.#waiting.push(item);
    this.#waitingBytes += item.publication.payloadLength;
    const limit = this.durable ? MAX_WAITING_IN_MEMORY : this.#maxWaiting;
    if (this.waiting <= limit && this.#waitingBytes <= MAX_WAITING_BYTES) return;
    if (this.durable) {
      if (isInRing) this.#leaveToRing();
    } else {
      this.#dropOldest();
    }
  }

  /** Too much waits. The ring has it all but the copies of retained messages, which stay. */
  #leaveToRing(): void {
    const copies = this.#waiting.slice(this.#waitingHead).filter((item) => isCopy(item));
    this.#clearWaiting();
    this.#waiting = copies;
    for (const { publication } of copies) this.#waitingBytes += publication.payloadLength;
    if (this.#catchingUp) {
      this.#overflowed = true;
      return;
    }
    this.#catchingUp = true;
    this.#journal.catchUp(this);
  }

  #dropOldest(): void {
    const oldest = this.#waiting[this.#waitingHead] as Waiting;
    this.#waitingHead++;
    this.#waitingBytes -= oldest.publication.payloadLength;
    this.#journal.dropped('queue_full', 1);
    if (this.#waitingHead > MAX_WAITING_IN_MEMORY) this.#compactWaiting();
  }

  /**
   * What is left in flight and unsent after the scan is not in the ring any more: rotation took it,
   * or it was a retained copy before a restart. QoS 1 is over with. Of a QoS 2 message the client may
   * have its half, so the hand-shake is completed with PUBREL, which frees the identifier both ways.
   */
  #giveUpUnsent(): void {
    const { link, delivery } = this;
    if (link === undefined || !delivery.hasUnsent) return;
    for (const entry of [...delivery.entries()]) {
      if (entry.sent) continue;
      this.#journal.dropped('lapped', 1);
      if (entry.qos === 1) {
        delivery.acknowledge(entry.packetId);
      } else {
        delivery.markSent(entry);
        this.received(entry.packetId, false);
      }
    }
    if (this.durable) this.#journal.cursorMoved(this);
  }

  /** Resolves when there is room for more copies of retained messages, or the connection has changed. */
  async roomToWait(): Promise<void> {
    const { generation } = this;
    while (this.generation === generation && this.waiting >= MAX_WAITING_IN_MEMORY / 2) {
      await new Promise<void>((resolve) => this.#roomWaiters.push(resolve));
    }
  }

  #compactWaiting(): void {
    this.#waiting = this.#waiting.slice(this.#waitingHead);
    this.#waitingHead = 0;
  }

  #clearWaiting(): void {
    if (this.#waiting.length > 0) this.#waiting = [];
    this.#waitingHead = 0;
    this.#waitingBytes = 0;
  }

  #wake(): void {
    const wake = this.#wakeCatchUp;
    this.#wakeCatchUp = undefined;
    wake?.();
  }

  #wakeRoomWaiters(): void {
    for (const wake of this.#roomWaiters.splice(0)) wake();
  }
}

/** A retained message on its way to a new subscriber: not at its place in the ring's order. */
function isCopy({ publication }: Waiting): boolean {
  return publication.sequence === 0;
}
