import type { Claim, Delivery, InFlight } from '../session/delivery.ts';
import type { EventTime } from '../ring/types.ts';
import type { Receipts } from '../session/receipts.ts';
import { AtRisk, type CursorOwner } from './lapped-messages.ts';
import { OutgoingQueue } from './outgoing-queue.ts';
import type { Publication } from './publication.ts';
import type { CatchUpHandle, Outgoing, SessionJournal, SessionLink } from './session-link.ts';
import type { SharedGroup } from './shared-group.ts';
import type { Subscription } from './subscription.ts';

/** What of a durable session waits in memory; the rest waits in the ring. */
const MAX_WAITING_IN_MEMORY = 1_000;
const MAX_WAITING_BYTES = 1024 * 1024;

/** Shared by all sessions without one, and never added to. */
const NO_SUBSCRIPTIONS = new Map<string, Subscription>();

/**
 * A client's session [MQTT5 4.1]. A durable one outlives its connection and is a cursor into the
 * ring: its waiting messages are a cache, and whatever does not fit is read from flash again.
 *
 * Invariants:
 * - At most one connection carries it; without one, nothing is kept in memory for it.
 * - While it reads from the ring (`#reader`), live messages wait behind those that are read.
 * - `#overflowed` implies `#reader`: the ring holds what was not kept.
 */
export class ClientSession implements CursorOwner {
  readonly clientId: string;
  /** True when it outlives its connection: its state is in the ring. */
  durable: boolean;
  /** Seconds it lives without a connection; 0xFFFFFFFF for ever. */
  expirySeconds: number;
  /** By filter as the client wrote it. */
  subscriptions = NO_SUBSCRIPTIONS;
  /** Raised with every change of `subscriptions`. */
  subscriptionsVersion = 0;
  /** Groups it is a member of: they are told when it can take more. */
  shares: Set<SharedGroup> | undefined;
  receipts: Receipts;
  delivery: Delivery<Outgoing>;
  link: SessionLink | undefined;
  /** Since when no connection carries it; undefined while one does. */
  goneSince: EventTime | undefined;
  /** Whether a restart would know since when. */
  isAbsenceSaved = false;
  /** Raised by every attach and detach, so that work begun for an earlier connection stops. */
  generation = 0;
  /** Messages that rotation took, and that the log does not tell of yet. */
  lapped = 0;

  readonly #journal: SessionJournal;
  readonly #waiting: OutgoingQueue;
  readonly #maxWaiting: number;
  readonly #maxWaitingBytes: number;
  #reader: CatchUpHandle | undefined;
  #overflowed = false;
  #atRisk: AtRisk | undefined;
  #roomWaiters: (() => void)[] | undefined;

  constructor(options: {
    clientId: string;
    durable: boolean;
    expirySeconds: number;
    delivery: Delivery<Outgoing>;
    receipts: Receipts;
    journal: SessionJournal;
    /** What a session that is not durable may have waiting; the oldest go first. */
    maxWaiting: number;
    maxWaitingBytes: number;
  }) {
    this.clientId = options.clientId;
    this.durable = options.durable;
    this.expirySeconds = options.expirySeconds;
    this.delivery = options.delivery;
    this.receipts = options.receipts;
    this.#journal = options.journal;
    this.#maxWaiting = options.maxWaiting;
    this.#maxWaitingBytes = options.maxWaitingBytes;
    this.#waiting = new OutgoingQueue(options.journal.outgoing);
  }

  get name(): string {
    return this.clientId;
  }

  addSubscription(subscription: Subscription): void {
    if (this.subscriptions === NO_SUBSCRIPTIONS) this.subscriptions = new Map();
    this.subscriptions.set(subscription.filter, subscription);
    this.subscriptionsVersion++;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** One more message may be put in flight now. */
  get hasRoom(): boolean {
    return this.link?.writable === true && this.delivery.room > 0;
  }

  /** As `hasRoom`, for a message at this place of the ring. */
  hasRoomFor(sequence: number): boolean {
    return this.link?.writable === true && this.delivery.roomFor(sequence) > 0;
  }

  /** One more of those that an earlier connection left in flight may be repeated now. */
  get hasRoomToRepeat(): boolean {
    return this.link?.writable === true && this.delivery.roomToRepeat > 0;
  }

  /** Whether messages of this topic may go to the client; without one it is asked when it is back. */
  mayRead(topic: string): boolean {
    return this.link === undefined || this.link.rights.mayRead(topic);
  }

  /** A connection takes the session up. Repeats what was in flight [MQTT-4.4.0-1], then what waited. */
  attach(link: SessionLink, window: number): void {
    this.generation++;
    this.link = link;
    this.delivery = this.delivery.withWindow(window);
    for (const entry of this.delivery.entries()) {
      if (entry.released) {
        this.delivery.markSent(entry);
        link.afterDurable(entry.releasedAt, () => link.sendPubrel(entry.packetId));
      } else if (entry.message && this.mayRead(entry.message.publication.topic.name)) {
        this.repeat(entry, entry.message);
      }
    }
    // Also a new one: it may have subscribed before its CONNACK was durable.
    this.#reader?.stop();
    this.#reader = this.durable ? this.#journal.catchUp(this) : undefined;
    for (const share of this.shares ?? []) share.memberCame();
  }

  /** The connection is gone. What waited in memory is in the ring if it is for keeping. */
  detach(): void {
    this.generation++;
    this.letGoUpTo(Number.POSITIVE_INFINITY);
    this.link = undefined;
    this.#waiting.clear();
    this.#reader?.stop();
    this.#reader = undefined;
    this.#overflowed = false;
    this.#wakeRoomWaiters();
    for (const share of this.shares ?? []) share.memberWent();
  }

  /**
   * The session is over. A QoS 1 message of a shared subscription that was not acknowledged is for
   * another member; one of QoS 2 that has begun is for nobody else [MQTT-4.8.2-5].
   */
  end(): void {
    for (const { claim, qos } of this.delivery.entries()) {
      if (qos === 1) claim?.giveBack();
      else claim?.settle();
    }
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
    const isLive = this.#reader === undefined && this.#waiting.length === 0;
    if (isLive && this.delivery.room > 0 && link.writable) {
      this.#send(link, publication, qos, retain, subscriptionIds, undefined);
      return;
    }
    this.#enqueue(publication, qos, retain, subscriptionIds);
  }

  /** A message of a shared subscription, whose group has seen that there is room. */
  sendShared(message: Outgoing, claim: Claim): void {
    const { publication, qos, retain, subscriptionIds } = message;
    if (this.link) this.#send(this.link, publication, qos, retain, subscriptionIds, claim);
  }

  /** Sends what waits, as far as the window and the peer allow. */
  pump(): void {
    const { link } = this;
    if (link === undefined) return;
    if (this.#reader !== undefined) {
      if (link.writable && this.delivery.hasAmpleRoom) this.#reader.wake();
    } else {
      while (this.#waiting.length > 0 && this.delivery.room > 0 && link.writable) {
        const publication = this.#waiting.shift() as Publication;
        const { qos, retain, subscriptionIds } = this.#waiting;
        // The rules may have been read again since it began to wait.
        if (!this.mayRead(publication.topic.name)) continue;
        this.#send(link, publication, qos, retain, subscriptionIds, undefined);
      }
      if (this.#waiting.length < MAX_WAITING_IN_MEMORY / 2) this.#wakeRoomWaiters();
    }
    if (this.shares === undefined || !this.hasRoom) return;
    for (const share of this.shares) share.pump();
  }

  /** Whether the ring has to keep the message for this session. */
  owes(sequence: number): boolean {
    return this.durable && !this.delivery.isDone(sequence);
  }

  /** The ring lets a message go that is for this session, if it has not had it. */
  letGo(sequence: number): void {
    if (!this.durable || this.delivery.isKnown(sequence)) return;
    if (this.link === undefined) this.#lost(1);
    else if (!this.idle) this.#lost(this.#mayBeLost(sequence));
  }

  /** Nothing below `end` is in memory for it any more: what the ring has let go of that is lost. */
  letGoUpTo(end: number): void {
    if (this.#atRisk !== undefined) this.#lost(this.#atRisk.settle(end));
  }

  #mayBeLost(sequence: number): number {
    this.#atRisk ??= new AtRisk(() => true);
    return this.#atRisk.add(sequence);
  }

  /** Nothing is on its way to the client: the cursor may move to the end of the ring. */
  get idle(): boolean {
    return this.#reader === undefined && this.#waiting.length === 0 && !this.delivery.expecting;
  }

  /** Delivers one message read from the ring that is new to the client. There must be room. */
  deliverFromRing({ publication, qos, retain, subscriptionIds }: Outgoing): void {
    if (this.link) this.#send(this.link, publication, qos, retain, subscriptionIds, undefined);
  }

  /**
   * Repeats a message under its old packet identifier, also where the subscription is gone: a
   * delivery that has begun is completed [MQTT-3.10.4-3].
   */
  repeat(entry: InFlight<Outgoing>, message: Outgoing): void {
    this.delivery.markSent(entry);
    const { publication, retain, subscriptionIds } = message;
    this.link?.sendPublish(publication, entry.qos, retain, true, entry.packetId, subscriptionIds);
  }

  /** The oldest of what waited in the ring, up to `sequence`, was more than may wait. */
  skipped(sequence: number, count: number): void {
    this.delivery.passed(sequence);
    this.#journal.dropped('session_queue_full', count);
    this.#journal.cursorMoved(this);
  }

  /**
   * Everything in the ring up to where live messages began to wait has been delivered. Returns true
   * when the session is live again; false when the queue overflowed meanwhile and the ring must be
   * read once more, up to the sequence that is the last one now.
   */
  caughtUp(): boolean {
    this.giveUpUnsentBelow(Number.POSITIVE_INFINITY);
    if (this.#overflowed) {
      this.#overflowed = false;
      return false;
    }
    this.#reader = undefined;
    this.pump();
    return true;
  }

  /** PUBACK. With a reason that refuses, the message is done with all the same [MQTT-4.8.2-6]. */
  acknowledged(packetId: number): boolean {
    const entry = this.delivery.acknowledge(packetId);
    if (entry === undefined) return false;
    this.#settled(entry);
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
      entry.releasedAt = this.#journal.handshake(this, entry);
      link.afterDurable(entry.releasedAt, () => link.sendPubrel(packetId));
    } else {
      link.sendPubrel(packetId);
    }
    return true;
  }

  completed(packetId: number): boolean {
    const entry = this.delivery.complete(packetId);
    if (entry === undefined) return false;
    this.#settled(entry);
    if (this.durable) this.#journal.handshakeEnded(this, entry);
    this.pump();
    return true;
  }

  /** Resolves when there is room for more copies of retained messages, or the connection has changed. */
  async roomToWait(): Promise<void> {
    const { generation } = this;
    while (this.generation === generation && this.waiting >= MAX_WAITING_IN_MEMORY / 2) {
      await new Promise<void>((resolve) => {
        (this.#roomWaiters ??= []).push(resolve);
      });
    }
  }

  #send(
    link: SessionLink,
    publication: Publication,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
    claim: Claim | undefined,
  ): void {
    const sequence = this.durable && claim === undefined ? publication.sequence : 0;
    // A QoS 2 message is routed after its commit; the ring may have been read past it meanwhile.
    if (sequence > 0 && this.delivery.isKnown(sequence)) return;
    this.#atRisk?.had(sequence);
    if (this.#journal.isExpired(publication)) {
      this.#expired(sequence, claim);
      return;
    }
    // Without a place in the ring the message itself is kept, so that it can be repeated.
    const isInRing = sequence > 0 || (claim !== undefined && claim.sequence > 0);
    const kept =
      this.durable && !isInRing
        ? { publication: publication.keep(), qos, retain, subscriptionIds }
        : undefined;
    const entry = this.delivery.begin(sequence, qos, kept, claim);
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
      this.#settled(entry);
    }
  }

  /** Whoever keeps the cursor hears that the message is done with. */
  #settled(entry: InFlight<Outgoing>): void {
    if (entry.claim !== undefined) entry.claim.settle();
    else if (this.durable) this.#journal.cursorMoved(this);
  }

  #expired(sequence: number, claim: Claim | undefined): void {
    this.#journal.dropped('expired', 1);
    claim?.settle();
    if (sequence === 0) return;
    this.delivery.skip(sequence);
    this.#journal.cursorMoved(this);
  }

  #enqueue(
    publication: Publication,
    qos: 1 | 2,
    retain: boolean,
    subscriptionIds: readonly number[],
  ): void {
    const isInRing = this.durable && publication.sequence > 0;
    if (this.#overflowed && isInRing) return;
    // Came while flash could not be written: only memory has it. Copies of retained messages wait
    // for room before they are offered.
    if (this.durable && !isInRing && !retain && this.#isCrowded()) {
      this.#journal.dropped('queue_full', 1);
      return;
    }
    this.#waiting.push(publication, qos, retain, subscriptionIds);
    if (this.durable) {
      if (isInRing && this.#isCrowded()) this.#leaveToRing();
      return;
    }
    while (this.#isOverfull()) {
      this.#waiting.shift();
      this.#journal.dropped('queue_full', 1);
    }
  }

  /** Reads the ring for what it could not show before. Nothing is sent twice. */
  readAgain(): void {
    if (!this.durable || this.link === undefined) return;
    this.#reader?.stop();
    this.#reader = this.#journal.catchUp(this);
  }

  #isCrowded(): boolean {
    const { length, bytes } = this.#waiting;
    const isFull = length > MAX_WAITING_IN_MEMORY || bytes > MAX_WAITING_BYTES;
    return isFull || this.#journal.outgoing.memory.isFull;
  }

  /** The newest message may stay, however large: it is bounded by the packet size. */
  #isOverfull(): boolean {
    const { length, bytes } = this.#waiting;
    if (length <= 1) return false;
    if (length > this.#maxWaiting || bytes > this.#maxWaitingBytes) return true;
    return this.#journal.outgoing.memory.isFull;
  }

  /** Too much waits. The ring has it all but the copies of retained messages, which stay. */
  #leaveToRing(): void {
    this.#waiting.filter(({ sequence }) => sequence === 0);
    if (this.#reader === undefined) this.#reader = this.#journal.catchUp(this);
    else this.#overflowed = true;
  }

  /**
   * What is left in flight and unsent after the scan is not in the ring any more: rotation took it,
   * or it was a retained copy before a restart. QoS 1 is over with. Of a QoS 2 message the client may
   * have its half, so the hand-shake is completed with PUBREL, which frees the identifier both ways.
   */
  giveUpUnsentBelow(sequence: number): void {
    const { link, delivery } = this;
    if (link === undefined || !delivery.hasUnsent) return;
    let lost = 0;
    for (const entry of [...delivery.entries()]) {
      if (entry.sent || (entry.claim?.sequence ?? entry.sequence) >= sequence) continue;
      lost++;
      if (entry.qos === 1) {
        delivery.acknowledge(entry.packetId);
        this.#settled(entry);
      } else {
        delivery.markSent(entry);
        this.received(entry.packetId, false);
      }
    }
    this.#lost(lost);
  }

  #lost(count: number): void {
    if (count > 0) this.#journal.lost(this, count);
  }

  #wakeRoomWaiters(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = undefined;
    for (const wake of waiters ?? []) wake();
  }
}
