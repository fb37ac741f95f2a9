import { topicMatchesFilter } from '../codec/topic.ts';
import type { Ring } from '../ring/types.ts';
import type { InFlight } from '../session/delivery.ts';
import { type BacklogLimits, BacklogTally } from './backlog-tally.ts';
import type { CatchUp, ReadRange, RingMessage, RingReader } from './catch-up.ts';
import type { ClientSession } from './client-session.ts';
import type { Durability } from './durability.ts';
import type { CatchUpHandle, Outgoing } from './session-link.ts';
import { type Subscription, subscriptionIdsOf } from './subscription.ts';
import { type Match, mergeBySession } from './topics.ts';

/** Topics whose subscriptions a reader remembers; there may be a thousand readers. */
const MAX_TOPICS = 100;

interface Covering {
  readonly subscriptions: readonly Subscription[];
  /** All of them as one; right for messages from `since` on that are not the client's own. */
  readonly match: Match | undefined;
  readonly since: number;
}

const NOTHING: Covering = { subscriptions: [], match: undefined, since: 0 };

export interface SessionReaderOptions {
  readonly session: ClientSession;
  readonly ring: Ring;
  readonly durability: Durability;
  readonly catchUp: CatchUp;
  readonly limits: BacklogLimits;
}

/**
 * Delivers to a session, from the ring and in its order, every message it has not had yet, while
 * newer ones queue behind.
 *
 * It counts first where more may wait than the session is allowed: then the cursor jumps over the
 * oldest. What is in flight is repeated in any case.
 */
export class SessionReader implements RingReader, CatchUpHandle {
  readonly #session: ClientSession;
  readonly #ring: Ring;
  readonly #durability: Durability;
  readonly #catchUp: CatchUp;
  readonly #limits: BacklogLimits;
  readonly #byTopic = new Map<string, Covering>();
  readonly #alone = new Map<Subscription, Covering>();
  #version = -1;
  #range: ReadRange;
  /** At most the lowest sequence that is to be repeated. */
  #unsentFrom: number;
  /** Below it nothing new is delivered. */
  #newFrom: number;
  #tally: BacklogTally | undefined;
  #isStopped = false;

  private constructor({ session, ring, durability, catchUp, limits }: SessionReaderOptions) {
    this.#session = session;
    this.#ring = ring;
    this.#durability = durability;
    this.#catchUp = catchUp;
    this.#limits = limits;
    this.#newFrom = session.delivery.position;
    this.#unsentFrom = session.delivery.lowestUnsent();
    this.#range = this.#rangeFrom(Math.min(this.#newFrom, session.delivery.lowestUnsent()));
  }

  static start(options: SessionReaderOptions): SessionReader {
    const reader = new SessionReader(options);
    reader.#begin();
    return reader;
  }

  get clientId(): string {
    return this.#session.clientId;
  }

  get wantsEveryTopic(): boolean {
    return this.#session.delivery.hasUnsent;
  }

  wantsTopic(topic: string): boolean {
    for (const subscription of this.#session.subscriptions.values()) {
      if (isFor(subscription, topic)) return true;
    }
    return false;
  }

  wake(): void {
    // As with the window: not for one message at a time.
    if (this.#session.delivery.inFlight * 2 > this.#catchUp.fairWindow) return;
    // One that stalled for long is behind by more than it may be.
    if (this.#ring.lastSequence - this.#range.end >= this.#limits.messages) this.#startAgain();
    else this.#catchUp.wake(this);
  }

  stop(): void {
    this.#isStopped = true;
    this.#catchUp.stop(this);
  }

  take(message: RingMessage): boolean {
    const { record } = message;
    const { sequence } = record;
    const { delivery } = this.#session;
    if (this.#tally !== undefined) {
      const isNew = this.#isNew(sequence) && !delivery.isKnown(sequence);
      const counts = isNew && (this.#match(message)?.qos ?? 0) > 0;
      if (counts) this.#tally.add(sequence, record.payload.length);
      return true;
    }
    if (sequence > this.#unsentFrom) {
      // Records are offered in order, so what has not been met by now is not in the ring any more.
      // It has to go at once: while the oldest is in flight, the cursor stands still.
      this.#session.giveUpUnsentBelow(sequence);
      this.#unsentFrom = delivery.lowestUnsent();
    }
    for (const entry of delivery.unsentAt(sequence)) {
      // Given up when the next record is offered.
      if (!this.#session.mayRead(record.topic)) continue;
      if (!this.#session.hasRoomToRepeat) return false;
      this.#session.repeat(entry, this.#asSentBefore(entry, message));
    }
    if (!this.#isNew(sequence) || delivery.isKnown(sequence)) return true;
    const match = this.#match(message);
    if (match === undefined || !this.#session.mayRead(record.topic)) return true;
    if (!this.#mayDeliver(sequence)) return false;
    const { publication } = message;
    const qos = publication.qos < match.qos ? publication.qos : match.qos;
    if (qos === 0) return true;
    const retain = publication.retain && match.retainAsPublished;
    const { subscriptionIds } = match;
    this.#session.deliverFromRing({ publication, qos, retain, subscriptionIds });
    return true;
  }

  rangeEnded(): ReadRange | undefined {
    const { delivery } = this.#session;
    const { from, end } = this.#range;
    if (this.#tally !== undefined) {
      const cut = this.#tally.cut();
      this.#tally = undefined;
      this.#newFrom = Math.max(this.#newFrom, cut.from);
      if (cut.dropped > 0) this.#session.skipped(cut.from - 1, cut.dropped);
      this.#range = { from: Math.min(Math.max(from, cut.from), delivery.lowestUnsent()), end };
      return this.#range;
    }
    this.#session.letGoUpTo(end);
    delivery.passed(end - 1);
    if (this.#session.caughtUp()) return undefined;
    // What overflowed while it read: as long as it may be, the session has had all before it.
    this.#range = this.#rangeFrom(end);
    if (this.#mayBeTooMuch()) this.#tally = new BacklogTally(this.#limits);
    return this.#range;
  }

  /** Its connection is ended by whoever hears of the failure. */
  abandoned(): void {}

  #startAgain(): void {
    const { delivery } = this.#session;
    this.#range = this.#rangeFrom(Math.min(delivery.position, delivery.lowestUnsent()));
    this.#begin();
  }

  #begin(): void {
    this.#tally = undefined;
    if (!this.#mayBeTooMuch()) {
      this.#catchUp.start(this, this.#range);
      return;
    }
    void this.#isTooMuch(this.#range).then((isTooMuch) => {
      if (isTooMuch === undefined) return;
      if (isTooMuch) this.#tally = new BacklogTally(this.#limits);
      this.#catchUp.start(this, this.#range);
    });
  }

  /** As far as the tables of topics can tell. Undefined where it has been stopped meanwhile. */
  async #isTooMuch(range: ReadRange): Promise<boolean | undefined> {
    const wantsTopic = (topic: string) => this.wantsTopic(topic);
    // What cannot be read now is met, and told of, when the records are read.
    const isStopped = () => this.#isStopped || range !== this.#range;
    const count = await this.#catchUp.countAtMost(wantsTopic, isStopped).catch(() => Infinity);
    if (isStopped()) return undefined;
    // Messages of one session are about as large as all are; twice that is on the safe side.
    const records = Math.max(1, range.end - range.from);
    const bytes = (2 * count * this.#ring.bytesSince(range.from)) / records;
    return count > this.#limits.messages || bytes > this.#limits.bytes;
  }

  #rangeFrom(from: number): ReadRange {
    return { from, end: Math.max(from, this.#durability.readableSequence + 1) };
  }

  /** Records and bytes of everybody since then: only where they are over the limit it has to count. */
  #mayBeTooMuch(): boolean {
    const { from, end } = this.#range;
    if (end - from > this.#limits.messages) return true;
    return this.#ring.bytesSince(from) > this.#limits.bytes;
  }

  /**
   * What is done ahead of the cursor takes room too, and the cursor may stand still for no other reason
   * than that nothing told it how far the ring was read: everything before `sequence` has been offered.
   */
  #mayDeliver(sequence: number): boolean {
    if (this.#hasRoomFor(sequence)) return true;
    this.#session.letGoUpTo(sequence);
    this.#session.delivery.passed(sequence - 1);
    return this.#hasRoomFor(sequence);
  }

  #hasRoomFor(sequence: number): boolean {
    const { delivery } = this.#session;
    const isFair = delivery.hasUnsent || delivery.inFlight < this.#catchUp.fairWindow;
    return isFair && this.#session.hasRoomFor(sequence);
  }

  #isNew(sequence: number): boolean {
    return sequence >= this.#newFrom && !this.#session.delivery.isDone(sequence);
  }

  /**
   * The session's subscriptions that cover this message, as one. Whoever only counts makes no
   * message of the record.
   */
  #match({ record }: RingMessage): Match | undefined {
    const { subscriptions, match, since } = this.#covering(record.topic);
    if (subscriptions.length === 0) return undefined;
    const isOwn = record.origin === this.#session.clientId;
    if (record.sequence >= since && !isOwn) return match;
    const covering = subscriptions.filter(
      (each) => each.since <= record.sequence && !(isOwn && each.options.noLocal),
    );
    return mergeBySession(covering)[0];
  }

  /** What was sent under this identifier before, as far as the subscriptions of now can tell. */
  #asSentBefore({ qos, claim }: InFlight<Outgoing>, message: RingMessage): Outgoing {
    const { publication } = message;
    if (claim === undefined) {
      const match = this.#match(message);
      const retain = publication.retain && match?.retainAsPublished === true;
      return { publication, qos, retain, subscriptionIds: match?.subscriptionIds ?? [] };
    }
    const options = this.#session.subscriptions.get(claim.filter)?.options;
    const retain = publication.retain && options?.retainAsPublished === true;
    return { publication, qos, retain, subscriptionIds: options ? subscriptionIdsOf(options) : [] };
  }

  #covering(topic: string): Covering {
    const { subscriptions, subscriptionsVersion } = this.#session;
    if (this.#version !== subscriptionsVersion || this.#byTopic.size >= MAX_TOPICS) {
      if (this.#version !== subscriptionsVersion) this.#alone.clear();
      this.#version = subscriptionsVersion;
      this.#byTopic.clear();
    }
    let covering = this.#byTopic.get(topic);
    if (covering === undefined) {
      const found: Subscription[] = [];
      for (const subscription of subscriptions.values()) {
        if (isFor(subscription, topic)) found.push(subscription);
      }
      covering = this.#coveringOf(found);
      this.#byTopic.set(topic, covering);
    }
    return covering;
  }

  /** Most topics are wanted by one subscription alone: those have one answer together. */
  #coveringOf(subscriptions: readonly Subscription[]): Covering {
    const [first] = subscriptions;
    if (first === undefined) return NOTHING;
    const known = subscriptions.length === 1 ? this.#alone.get(first) : undefined;
    if (known !== undefined) return known;
    const since = subscriptions.reduce((latest, each) => Math.max(latest, each.since), 0);
    const covering = { subscriptions, match: mergeBySession(subscriptions)[0], since };
    if (subscriptions.length === 1) this.#alone.set(first, covering);
    return covering;
  }
}

function isFor({ group, filter }: Subscription, topic: string): boolean {
  return group === undefined && topicMatchesFilter(topic, filter);
}
