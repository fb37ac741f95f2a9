import type { StateStore } from '../metadata/state-store.ts';
import { stateKey, stateKeyParts } from '../metadata/state-codec.ts';
import { decodeMessageAttributes } from '../codec/stored-message.ts';
import { type EventTimes, type PackedTime, packTime, unpackTime } from '../ring/event-time.ts';
import type { RecordView, Ring } from '../ring/types.ts';
import { Delivery, type InFlight } from '../session/delivery.ts';
import { Receipts } from '../session/receipts.ts';
import type { BacklogLimits } from './backlog-tally.ts';
import type { CatchUp } from './catch-up.ts';
import { ClientSession } from './client-session.ts';
import type { LappedMessages } from './lapped-messages.ts';
import type { MessageExpiry } from './message-expiry.ts';
import type { OutgoingPool } from './outgoing-queue.ts';
import type { CatchUpHandle, Outgoing, SessionDrop, SessionJournal } from './session-link.ts';
import { SessionReader } from './session-reader.ts';
import type { SharedSubscriptions } from './shared-subscriptions.ts';
import type { Subscription, SubscriptionOptions } from './subscription.ts';
import type { Publication } from './publication.ts';
import type { BrokerCounters } from './counters.ts';
import type { Durability } from './durability.ts';
import type { SubscriptionTree } from './subscription-tree.ts';
import type { TopicTable } from './topics.ts';

/** MQTT5 3.1.2.11.2: a session with this expiry never ends. */
export const NEVER_EXPIRES = 0xffff_ffff;

interface StoredSession {
  readonly expirySeconds: number;
}

interface StoredSubscription extends SubscriptionOptions {
  readonly since: number;
}

interface StoredCursor {
  readonly position: number;
  readonly beyond: readonly number[];
  /** Since when no connection carries the session. */
  readonly gone?: PackedTime;
  /** Messages lost to rotation that the log has not told of. */
  readonly lapped?: number;
}

interface StoredHandshake {
  readonly sequence: number;
  readonly released: boolean;
  /** The shared subscription that the message came by. */
  readonly share?: string;
}

export interface RegistryOptions {
  readonly ring: Ring;
  readonly state: StateStore;
  readonly durability: Durability;
  readonly times: EventTimes;
  readonly expiry: MessageExpiry;
  readonly counters: BrokerCounters;
  readonly tree: SubscriptionTree<Subscription>;
  readonly topics: TopicTable;
  /** Window before a client has said its Receive Maximum. */
  readonly window: number;
  /** What a session may have waiting: in memory, or in the ring. */
  readonly queue: BacklogLimits;
  /** What waits for sessions in memory. */
  readonly outgoing: OutgoingPool;
  readonly shared: SharedSubscriptions;
  readonly catchUp: CatchUp;
  readonly lapped: LappedMessages;
  readonly sessionExpiryMaxMs: number;
  readonly maxStateBytes: number;
}

/**
 * Every session by client id, and its lasting part in the state store: the session itself, its
 * subscriptions, its cursor, and the QoS 2 hand-shakes both ways.
 */
export class SessionRegistry implements SessionJournal {
  readonly outgoing: OutgoingPool;
  readonly #options: RegistryOptions;
  readonly #sessions = new Map<string, ClientSession>();
  readonly #movedCursors = new Set<ClientSession>();
  #unsavedMoves = 0;
  /** What the open QoS 2 identifiers would take of the ring, once it lets go of their messages. */
  #receiptBytes = 0;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.outgoing = options.outgoing;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /**
   * False while durable sessions and their subscriptions take all of the ring that they may, or it
   * cannot be written.
   */
  get hasRoomForState(): boolean {
    if (this.#options.durability.isRefusing) return false;
    return this.#options.state.liveBytes + this.#receiptBytes < this.#options.maxStateBytes;
  }

  get(clientId: string): ClientSession | undefined {
    return this.#sessions.get(clientId);
  }

  countSubscriptions(): { all: number; shared: number } {
    let all = 0;
    let shared = 0;
    for (const { subscriptions, shares } of this.#sessions.values()) {
      all += subscriptions.size;
      shared += shares?.size ?? 0;
    }
    return { all, shared };
  }

  /** Takes up every session that was durable before the restart; all of them are offline. */
  load(): void {
    const { ring, state, times } = this.#options;
    for (const [key, value] of state.entries(stateKey('session', ''))) {
      const clientId = stateKeyParts(key)[1] as string;
      const { expirySeconds } = value as StoredSession;
      const cursor = state.get(stateKey('cursor', clientId)) as StoredCursor | undefined;
      const session = this.#make(clientId, expirySeconds, cursor);
      session.lapped = cursor?.lapped ?? 0;
      // Who was connected to the end is gone since the end. Where nobody can tell how long ago that
      // was, it counts from now.
      const gone = cursor?.gone === undefined ? ring.lastTime : unpackTime(cursor.gone);
      const isKnown = gone !== undefined && times.ageMs(gone) !== undefined;
      session.goneSince = isKnown ? gone : times.now();
      session.isAbsenceSaved = isKnown && cursor?.gone !== undefined;
    }
    this.#loadSubscriptions();
    this.#loadHandshakes();
  }

  /**
   * The session for a CONNECT that was accepted. `changed` says that something durable was made or
   * discarded, so that CONNACK has to wait for its commit.
   */
  open(
    clientId: string,
    cleanStart: boolean,
    expirySeconds: number,
  ): { session: ClientSession; present: boolean; changed: boolean } {
    const known = this.#sessions.get(clientId);
    const durable = expirySeconds > 0;
    const { state } = this.#options;
    if (known !== undefined && !cleanStart) {
      const changed = known.durable !== durable || known.expirySeconds !== expirySeconds;
      known.expirySeconds = expirySeconds;
      if (changed) this.#saveSession(known, durable);
      this.#isBack(known);
      return { session: known, present: true, changed };
    }
    const discarded = known?.durable ?? false;
    if (known !== undefined) this.remove(known);
    const session = this.#make(clientId, expirySeconds, undefined);
    if (durable) {
      state.put(stateKey('session', clientId), { expirySeconds } satisfies StoredSession);
      state.put(stateKey('cursor', clientId), session.delivery.toPosition());
    }
    return { session, present: false, changed: durable || discarded };
  }

  /** Ends a session: it, its subscriptions and everything waiting for it are gone [MQTT-3.1.2-23]. */
  remove(session: ClientSession): void {
    const { clientId } = session;
    if (session.durable) {
      this.#settleBegun(session);
      this.#erase(session);
    }
    session.durable = false;
    for (const filter of [...session.subscriptions.keys()]) this.unsubscribe(session, filter);
    session.end();
    this.#movedCursors.delete(session);
    if (this.#sessions.get(clientId) === session) this.#sessions.delete(clientId);
  }

  /** True when the filter is new to the session. */
  subscribe(session: ClientSession, filter: string, options: SubscriptionOptions): boolean {
    const { ring, state, shared } = this.#options;
    const known = session.subscriptions.get(filter);
    const since = known?.since ?? ring.lastSequence + 1;
    const group = shared.groupOf(filter);
    const subscription: Subscription = { session, filter, options, since, group };
    if (group !== undefined) shared.join(group, subscription);
    this.#put(subscription, known);
    if (session.durable) {
      const stored: StoredSubscription = { ...options, since };
      state.put(stateKey('sub', session.clientId, filter), stored);
    }
    return known === undefined;
  }

  /** True when there was such a subscription. */
  unsubscribe(session: ClientSession, filter: string): boolean {
    const { state, tree, topics } = this.#options;
    const known = session.subscriptions.get(filter);
    if (known === undefined) return false;
    session.subscriptions.delete(filter);
    session.subscriptionsVersion++;
    if (known.group !== undefined) this.#options.shared.leave(known.group, known);
    else tree.remove(filter, known);
    topics.subscriptionsChanged();
    if (session.durable) state.delete(stateKey('sub', session.clientId, filter));
    return true;
  }

  /** The connection is gone: what the session needs for the next one is saved. */
  disconnected(session: ClientSession): void {
    const { durability, times } = this.#options;
    if (session.idle) session.delivery.passed(durability.readableSequence);
    session.detach();
    if (!session.durable) {
      this.remove(session);
      return;
    }
    session.goneSince = times.now();
    if (durability.isHeldUp) this.#movedCursors.add(session);
    else this.#saveCursor(session, false);
  }

  changeExpiry(session: ClientSession, expirySeconds: number): void {
    session.expirySeconds = expirySeconds;
    this.#saveSession(session, expirySeconds > 0);
  }

  /** Sessions whose time without a connection is over. */
  expired(): ClientSession[] {
    const { times } = this.#options;
    const now = times.now();
    return [...this.#sessions.values()].filter(({ goneSince, expirySeconds }) => {
      if (goneSince === undefined) return false;
      return (times.ageMs(goneSince, now) ?? 0) >= this.#lifeOf(expirySeconds);
    });
  }

  /** Saves cursors that moved. Called every few seconds, before a checkpoint and at stop. */
  saveCursors(): void {
    // They are saved later: nobody waits for them, and where they have not moved since, once.
    if (this.#options.durability.isHeldUp) return;
    for (const session of [...this.#movedCursors]) this.#saveCursor(session, false);
    this.#options.shared.saveCursors();
  }

  /** Saves since when sessions are gone that no disconnecting has saved. Called at stop, and now and then. */
  saveAbsences(): void {
    if (this.#options.durability.isHeldUp) return;
    for (const session of this.#sessions.values()) {
      const isToSave = session.durable && session.goneSince !== undefined;
      if (isToSave && !session.isAbsenceSaved) this.#saveCursor(session, true);
    }
  }

  /** Saves what absent sessions have lost to rotation. Called at stop, and now and then. */
  saveLapsed(): void {
    if (this.#options.durability.isHeldUp) return;
    for (const session of this.#sessions.values()) {
      const isToSave = session.durable && session.goneSince !== undefined;
      if (isToSave && session.lapped > 0) this.#saveCursor(session, true);
    }
    this.#options.shared.saveLapped();
  }

  // What sessions ask of the store.

  handshake(session: ClientSession, entry: InFlight<Outgoing>): number {
    const { packetId, released, claim } = entry;
    const key = stateKey('q2out', session.clientId, String(packetId));
    const sequence = claim?.sequence ?? entry.sequence;
    const stored: StoredHandshake = { sequence, released, ...(claim && { share: claim.filter }) };
    return this.#options.state.put(key, stored);
  }

  handshakeEnded(session: ClientSession, { packetId, claim }: InFlight<Outgoing>): void {
    // The cursor goes first: between the two the message is both done and in flight, which is safe.
    if (claim === undefined) this.#saveCursor(session, true);
    else this.#options.shared.saveCursorOf(claim.filter);
    this.#options.state.delete(stateKey('q2out', session.clientId, String(packetId)));
  }

  cursorMoved(session: ClientSession): void {
    this.#movedCursors.add(session);
    this.#unsavedMoves++;
    if (this.#unsavedMoves >= MAX_UNSAVED_MOVES) this.saveCursors();
  }

  dropped(reason: SessionDrop, count: number): void {
    this.#options.counters.drop(reason, count);
  }

  lost(session: ClientSession, count: number): void {
    this.#options.lapped.lost(session, count, session.link !== undefined);
  }

  /** The lowest sequence that a session has not had and that may matter to it; Infinity if none. */
  lowestOwed(): number {
    let lowest = this.#options.shared.lowestOwed();
    for (const { durable, link, idle, delivery } of this.#sessions.values()) {
      if (!durable || (link !== undefined && idle)) continue;
      lowest = Math.min(lowest, delivery.position);
    }
    return lowest;
  }

  isExpired(publication: Publication): boolean {
    return this.#options.expiry.isExpired(publication);
  }

  catchUp(session: ClientSession): CatchUpHandle {
    const { ring, catchUp, durability, queue, lapped } = this.#options;
    if (lapped.tell(session)) this.cursorMoved(session);
    return SessionReader.start({ session, ring, durability, catchUp, limits: queue });
  }

  /** Everybody who is there is brought up to what the ring can show now. */
  readAgain(): void {
    for (const session of this.#sessions.values()) session.readAgain();
  }

  /** A QoS 2 identifier was taken with a message that nobody needs kept: it is lasting by itself. */
  saveReceipt(session: ClientSession, packetId: number): number {
    const { state } = this.#options;
    this.#receiptBytes += receiptBytes(session.clientId);
    return state.put(stateKey('q2in', session.clientId, String(packetId)), { sequence: 0 });
  }

  /** The identifier is in the message's record; the next checkpoint has to know it too. */
  noteReceipt(clientId: string, packetId: number, sequence: number): void {
    const key = stateKey('q2in', clientId, String(packetId));
    this.#receiptBytes += receiptBytes(clientId);
    this.#options.state.note(key, { sequence }, sequence);
  }

  /** PUBREL: returns the sequence that makes the release lasting. */
  releaseReceipt(session: ClientSession, packetId: number): number {
    this.#receiptBytes -= receiptBytes(session.clientId);
    return this.#options.state.delete(stateKey('q2in', session.clientId, String(packetId)));
  }

  /** A record with a receipt, met by the scan at start: its identifier is open until a release. */
  replayReceipt(record: RecordView): void {
    const { receipt } = decodeMessageAttributes(record.attributes);
    if (receipt) this.noteReceipt(receipt.clientId, receipt.packetId, record.sequence);
  }

  /** The record is about to be let go. While its identifier is open, that has to be kept otherwise. */
  keepReceipt(record: RecordView): void {
    const { receipt } = decodeMessageAttributes(record.attributes);
    if (receipt === undefined) return;
    const key = stateKey('q2in', receipt.clientId, String(receipt.packetId));
    const open = this.#options.state.get(key) as { sequence: number } | undefined;
    if (open?.sequence === record.sequence) this.#options.state.put(key, { sequence: 0 });
  }

  /** The end of an absence is saved too, or a crash, however much later, would find it still lasting. */
  #isBack(session: ClientSession): void {
    const { goneSince, isAbsenceSaved } = session;
    session.goneSince = undefined;
    if (!session.durable || goneSince === undefined || !isAbsenceSaved) return;
    const awayMs = this.#options.times.ageMs(goneSince) ?? Infinity;
    if (awayMs > SHORT_ABSENCE_MS) this.#saveCursor(session, false);
    else this.#movedCursors.add(session);
  }

  #make(clientId: string, expirySeconds: number, cursor: StoredCursor | undefined): ClientSession {
    const { ring, window, queue } = this.#options;
    const position = cursor?.position ?? ring.lastSequence + 1;
    const session = new ClientSession({
      clientId,
      durable: expirySeconds > 0,
      expirySeconds,
      delivery: new Delivery<Outgoing>(window, position, cursor?.beyond),
      receipts: new Receipts(),
      journal: this,
      maxWaiting: queue.messages,
      maxWaitingBytes: queue.bytes,
    });
    this.#sessions.set(clientId, session);
    return session;
  }

  #put(subscription: Subscription, known: Subscription | undefined): void {
    const { tree, topics } = this.#options;
    const { session, filter, group } = subscription;
    if (group === undefined) {
      if (known !== undefined) tree.remove(filter, known);
      tree.add(filter, subscription);
    }
    session.addSubscription(subscription);
    topics.subscriptionsChanged();
  }

  #loadSubscriptions(): void {
    const { state, shared } = this.#options;
    for (const [key, value] of state.entries(stateKey('sub', ''))) {
      const [, clientId, filter] = stateKeyParts(key) as [string, string, string];
      const session = this.#sessions.get(clientId);
      if (session === undefined) continue;
      const { since, ...options } = value as StoredSubscription;
      const group = shared.groupOf(filter);
      const subscription: Subscription = { session, filter, options, since, group };
      if (group !== undefined) shared.rejoin(group, subscription);
      this.#put(subscription, undefined);
    }
    shared.forgetLeftovers();
  }

  #loadHandshakes(): void {
    const { state } = this.#options;
    for (const [key, value] of state.entries(stateKey('q2out', ''))) {
      const [, clientId, packetId] = stateKeyParts(key) as [string, string, string];
      const { sequence, released, share } = value as StoredHandshake;
      const claim = share === undefined ? undefined : this.#options.shared.reclaim(share, sequence);
      this.#sessions.get(clientId)?.delivery.restore(Number(packetId), sequence, released, claim);
    }
    const open = new Map<string, number[]>();
    for (const [key] of state.entries(stateKey('q2in', ''))) {
      const [, clientId, packetId] = stateKeyParts(key) as [string, string, string];
      const known = open.get(clientId);
      if (known === undefined) open.set(clientId, [Number(packetId)]);
      else known.push(Number(packetId));
    }
    // What the scan counted may have been released since.
    this.#receiptBytes = 0;
    for (const [clientId, packetIds] of open) {
      this.#receiptBytes += packetIds.length * receiptBytes(clientId);
      const session = this.#sessions.get(clientId);
      if (session) session.receipts = new Receipts(packetIds);
    }
  }

  #saveSession(session: ClientSession, durable: boolean): void {
    const { state } = this.#options;
    const { clientId, expirySeconds } = session;
    if (durable) state.put(stateKey('session', clientId), { expirySeconds });
    else if (session.durable) this.#erase(session);
    if (durable && !session.durable) {
      state.put(stateKey('cursor', clientId), session.delivery.toPosition());
      for (const { filter, options, since, group } of session.subscriptions.values()) {
        if (group !== undefined) this.#options.shared.makeDurable(group);
        state.put(stateKey('sub', clientId, filter), { ...options, since });
      }
    }
    session.durable = durable;
  }

  /**
   * [MQTT-4.8.2-5] over a restart: the groups' cursors say that what has begun with this session is
   * done before the hand-shakes are forgotten, which said whose it is.
   */
  #settleBegun({ delivery }: ClientSession): void {
    const filters = new Set<string>();
    for (const { claim, qos } of delivery.entries()) {
      if (claim === undefined || qos === 1) continue;
      claim.settle();
      filters.add(claim.filter);
    }
    for (const filter of filters) this.#options.shared.saveCursorOf(filter);
  }

  /** The session's own record goes last: until then a restart finds the session whole. */
  #erase({ clientId, subscriptions, delivery, receipts }: ClientSession): void {
    const { state } = this.#options;
    for (const { packetId } of delivery.entries()) {
      state.delete(stateKey('q2out', clientId, String(packetId)));
    }
    this.#receiptBytes -= receipts.size * receiptBytes(clientId);
    for (const packetId of receipts.open()) {
      state.delete(stateKey('q2in', clientId, String(packetId)));
    }
    for (const filter of subscriptions.keys()) state.delete(stateKey('sub', clientId, filter));
    state.delete(stateKey('cursor', clientId));
    state.delete(stateKey('session', clientId));
  }

  #saveCursor(session: ClientSession, rides: boolean): void {
    this.#movedCursors.delete(session);
    if (this.#movedCursors.size === 0) this.#unsavedMoves = 0;
    const { goneSince } = session;
    session.isAbsenceSaved = goneSince !== undefined;
    const stored: StoredCursor = {
      ...session.delivery.toPosition(),
      ...(goneSince && { gone: packTime(goneSince) }),
      ...(session.lapped > 0 && { lapped: session.lapped }),
    };
    this.#options.state.put(stateKey('cursor', session.clientId), stored, { rides });
  }

  #lifeOf(expirySeconds: number): number {
    const { sessionExpiryMaxMs } = this.#options;
    if (expirySeconds === NEVER_EXPIRES) return sessionExpiryMaxMs;
    return Math.min(expirySeconds * 1000, sessionExpiryMaxMs);
  }
}

/** After one the cursor is saved when it is due, so that a client that comes and goes costs no commits. */
const SHORT_ABSENCE_MS = 60_000;
/** A dirty cursor forces a record of its own after 5 s or this many moves. */
const MAX_UNSAVED_MOVES = 10_000;

/** Beside the client id: the record, and some of the memory, where each takes more than on flash. */
const RECEIPT_OVERHEAD_BYTES = 256;

function receiptBytes(clientId: string): number {
  return clientId.length + RECEIPT_OVERHEAD_BYTES;
}
