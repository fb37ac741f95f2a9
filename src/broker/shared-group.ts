import { topicMatchesFilter } from '../codec/topic.ts';
import type { Ring } from '../ring/types.ts';
import type { Claim } from '../session/delivery.ts';
import { SharedCursor, type SharedPosition } from '../session/shared-cursor.ts';
import { type WaitingMemory, WaitingQueue } from '../session/waiting-queue.ts';
import { type BacklogLimits, BacklogTally } from './backlog-tally.ts';
import type { CatchUp, ReadRange, RingMessage, RingReader } from './catch-up.ts';
import { AtRisk, type CursorOwner } from './lapped-messages.ts';
import { type Publication, weightOf } from './publication.ts';
import type { SessionDrop } from './session-link.ts';
import { type Subscription, subscriptionIdsOf } from './subscription.ts';

/*
 * Shared subscriptions [MQTT5 4.8.2], for 3.1.1 and 3.1 too.
 *
 * A group is the members of one `$share/<name>/<filter>`. It is a consumer like any other: once a
 * durable session has joined it is a cursor into the ring, and what no member can take now is read
 * from there later; before that it is a queue in memory that ends with its last member. It stays
 * durable until the last member has left.
 *
 * Where a message is:
 *
 *   routed -> claimed by a member that has room (round robin)           live
 *          -> waiting, in memory, while every member is busy            live, up to a bound
 *          -> left to the ring, nobody connected or too much waiting    behind
 *   claimed -> done      PUBACK or PUBCOMP, also one that refuses [MQTT-4.8.2-6]
 *           -> free      QoS 1, when the member's session ends: the next member gets it
 *           -> done      QoS 2, when the member's session ends: it is for nobody else [MQTT-4.8.2-5]
 *
 * A connection that breaks frees nothing while the session lives: the client gets what it had in
 * flight when it returns, under the same identifier [MQTT-4.8.2-4].
 *
 * Invariants:
 * - A message is claimed by at most one session at a time.
 * - While the group is behind, nothing is given out but what is read from the ring, in its order.
 * - Of a durable group every message that is not done lies in the ring at or after the cursor, so a
 *   restart gives it out again; a QoS 2 message that has begun goes to whom it had begun with.
 */

/** What waits in memory for a group whose members are busy; what is beyond waits in the ring. */
const MAX_WAITING = 1_000;
const MAX_WAITING_BYTES = 1024 * 1024;

/** What a group asks of its surroundings. */
export interface SharedGroupHost {
  readonly ring: Ring;
  readonly catchUp: CatchUp;
  readonly memory: WaitingMemory;
  readonly limits: BacklogLimits;
  dropped(reason: SessionDrop, count: number): void;
  /** Rotation took messages before a member had them. */
  lost(group: SharedGroup, count: number, isAnybodyThere: boolean): void;
  /** A member is back: the log tells what was lost meanwhile. */
  tellLapped(group: SharedGroup): void;
  isExpired(publication: Publication): boolean;
  /** The cursor of a durable group moved: it is to be saved soon. */
  moved(group: SharedGroup): void;
}

class SharedClaim implements Claim {
  readonly filter: string;
  readonly sequence: number;
  readonly #group: SharedGroup;
  /** Kept where the ring does not hold it for the group. */
  readonly #message: Publication | undefined;

  constructor(group: SharedGroup, sequence: number, message: Publication | undefined) {
    this.filter = group.key;
    this.sequence = sequence;
    this.#group = group;
    this.#message = message;
  }

  settle(): void {
    this.#group.settled(this.sequence);
  }

  giveBack(): void {
    this.#group.givenBack(this.sequence, this.#message);
  }
}

export class SharedGroup implements RingReader, CursorOwner {
  /** `$share/<name>/<filter>`. */
  readonly key: string;
  /** What topics are matched with. */
  readonly filter: string;
  readonly clientId = undefined;
  readonly wantsEveryTopic = false;
  /** Messages that rotation took, and that the log does not tell of yet. */
  lapped = 0;
  readonly #host: SharedGroupHost;
  readonly #members: Subscription[] = [];
  readonly #waiting: WaitingQueue<Publication>;
  /**
   * Not in the ring for the group, though it may be durable: given back by sessions that ended, or
   * waiting since before it was. They go before all that waits.
   */
  readonly #returned: WaitingQueue<Publication>;
  /** QoS 2 messages that were on their way to the ring before the group was durable. */
  readonly #early = new Set<number>();
  #cursor: SharedCursor | undefined;
  #next = 0;
  /** The ring holds what the group has not had: live messages are not given out. */
  #behind = false;
  /** Being read now; messages queue behind. */
  #range: ReadRange | undefined;
  /** Something was left to the ring, or given back, while it was being read. */
  #again = false;
  #tally: BacklogTally | undefined;
  readonly #atRisk = new AtRisk((sequence) => this.#takeLost(sequence));

  constructor(key: string, filter: string, host: SharedGroupHost) {
    this.key = key;
    this.filter = filter;
    this.#host = host;
    this.#waiting = new WaitingQueue(host.memory, weightOf);
    this.#returned = new WaitingQueue(host.memory, weightOf);
  }

  // Members.

  get name(): string {
    return this.key;
  }

  get isEmpty(): boolean {
    return this.#members.length === 0;
  }

  get isDurable(): boolean {
    return this.#cursor !== undefined;
  }

  /** True where a routed message has to be kept for it. */
  get keeps(): boolean {
    return this.#cursor !== undefined && this.#members.some(({ options }) => options.qos > 0);
  }

  /** Adds a member, or changes its options. */
  join(subscription: Subscription): void {
    const at = this.#members.findIndex(({ session }) => session === subscription.session);
    if (at === -1) this.#members.push(subscription);
    else this.#members[at] = subscription;
    const { session } = subscription;
    session.shares ??= new Set();
    session.shares.add(this);
    if (session.link) this.memberCame();
  }

  leave(subscription: Subscription): void {
    const at = this.#members.findIndex(({ session }) => session === subscription.session);
    if (at === -1) return;
    this.#members.splice(at, 1);
    subscription.session.shares?.delete(this);
    if (this.isEmpty) this.#end();
    else this.memberWent();
  }

  /** A durable session has joined: from `position` on nothing is lost. */
  makeDurable(position: SharedPosition): void {
    // What waits came before `position`: only memory has it for the group.
    for (;;) {
      const publication = this.#waiting.shift();
      if (publication === undefined) break;
      this.#returned.push(publication);
    }
    this.#cursor = new SharedCursor(position);
    this.#behind ||= !this.#isAnybodyThere();
  }

  /** A session that was restored holds this QoS 2 message; 0 for one that only memory had. */
  reclaim(sequence: number): Claim {
    if (sequence > 0) this.#cursor?.reclaim(sequence);
    return new SharedClaim(this, sequence, undefined);
  }

  /** After a restart everything is read from the ring. */
  get position(): SharedPosition | undefined {
    const cursor = this.#cursor;
    if (cursor === undefined) return undefined;
    // Every message up to the last one was offered and taken: none of it need be looked for again.
    if (this.#isLevel) cursor.passed(this.#host.ring.lastSequence);
    return cursor.toPosition();
  }

  /** The lowest sequence that no member was given; Infinity where all that there is was given out. */
  get lowestOwed(): number {
    if (this.#cursor === undefined || this.#isLevel) return Number.POSITIVE_INFINITY;
    return this.#cursor.lowestUnread;
  }

  /** A member's connection has come. */
  memberCame(): void {
    if (this.#behind && this.#range === undefined) this.#readRing();
    this.pump();
  }

  /** A member's connection has gone, or the member has left. */
  memberWent(): void {
    if (this.#cursor === undefined || this.#isAnybodyThere()) return;
    if (this.#isLevel) this.#cursor.passed(this.#host.ring.lastSequence);
    this.#leaveToRing();
    this.#lost(this.#atRisk.settle(Number.POSITIVE_INFINITY));
    this.#host.catchUp.stop(this);
    this.#range = undefined;
  }

  // Messages.

  /** A QoS 2 message is on its way to the ring; until `offer` names it the cursor stays below it. */
  expect(sequence: number): void {
    if (sequence === 0) return;
    if (this.#cursor === undefined) this.#early.add(sequence);
    else this.#cursor.expect(sequence);
  }

  /** A message was routed that matches the filter. */
  offer(publication: Publication): void {
    if (publication.qos === 0) {
      this.#sendOnce(publication);
      return;
    }
    const isEarly = this.#early.delete(publication.sequence);
    const sequence = this.#cursor === undefined ? 0 : publication.sequence;
    if (isEarly && sequence > 0) {
      // It came before the cursor: as what waited then, only memory has it for the group.
      this.#returned.push(publication.keep());
      this.#drain(this.#returned);
      return;
    }
    if (sequence > 0) {
      this.#cursor?.arrived(sequence);
      // Routed before the group was made, or met in the ring already.
      if (this.#cursor?.wants(sequence) === false) return;
    }
    if (!this.#behind && this.#hasNoneWaiting && this.#give(publication, sequence)) return;
    if (this.#behind && this.#range === undefined && sequence > 0) return;
    this.#enqueue(publication.keep());
  }

  /** Some member has room again. */
  pump(): void {
    if (this.#range !== undefined) this.#host.catchUp.wake(this);
    this.#drain(this.#returned);
    if (!this.#behind && this.#returned.length === 0) this.#drain(this.#waiting);
  }

  settled(sequence: number): void {
    if (sequence === 0 || this.#cursor === undefined) return;
    this.#cursor.done(sequence);
    this.#host.moved(this);
  }

  givenBack(sequence: number, message: Publication | undefined): void {
    if (this.isEmpty) return;
    if (message !== undefined) {
      this.#returned.push(message);
      this.pump();
    } else if (this.#cursor !== undefined) {
      this.#cursor.free(sequence);
      this.#host.moved(this);
      this.#behind = true;
      this.#again = true;
      if (this.#range === undefined && this.#isAnybodyThere()) this.#readRing();
    }
  }

  // Reading the ring.

  /** Whether the ring has to keep the message for this group. */
  owes(sequence: number): boolean {
    return this.#cursor?.isOpen(sequence) === true;
  }

  /** The ring lets a message go that is for this group, if no member has had it. */
  letGo(sequence: number): void {
    if (this.#isLevel || this.#cursor?.wants(sequence) !== true) return;
    if (this.#isAnybodyThere()) this.#lost(this.#atRisk.add(sequence));
    else if (this.#takeLost(sequence)) this.#lost(1);
  }

  wantsTopic(topic: string): boolean {
    return topicMatchesFilter(topic, this.filter);
  }

  take(message: RingMessage): boolean {
    const cursor = this.#cursor;
    const { sequence, topic, payload } = message.record;
    if (cursor === undefined || !cursor.wants(sequence) || !this.wantsTopic(topic)) return true;
    if (this.#tally !== undefined) {
      this.#tally.add(sequence, payload.length);
      return true;
    }
    const { publication } = message;
    return this.#passOver(publication, sequence) || this.#give(publication, sequence);
  }

  rangeEnded(): ReadRange | undefined {
    const cursor = this.#cursor;
    const range = this.#range;
    if (cursor === undefined || range === undefined) return undefined;
    if (this.#tally !== undefined) {
      const { from, dropped } = this.#tally.cut();
      this.#tally = undefined;
      if (dropped > 0) {
        cursor.passed(from - 1);
        this.#host.dropped('session_queue_full', dropped);
      }
      this.#range = { from: Math.max(range.from, from), end: range.end };
      return this.#range;
    }
    const lost = this.#atRisk.settle(range.end);
    this.#lost(lost + cursor.passed(range.end - 1));
    this.#host.moved(this);
    if (this.#again) return this.#beginRange();
    this.#range = undefined;
    this.#behind = false;
    this.pump();
    return undefined;
  }

  /** The next member that comes has it read again. */
  abandoned(): void {
    this.#range = undefined;
  }

  get #isLevel(): boolean {
    return !this.#behind && this.#waiting.length === 0;
  }

  /** What is lost is nobody's from then on, so that a scan that does not meet it counts it no more. */
  #takeLost(sequence: number): boolean {
    if (this.#cursor?.wants(sequence) !== true) return false;
    this.#cursor.done(sequence);
    return true;
  }

  #lost(count: number): void {
    if (count > 0) this.#host.lost(this, count, this.#isAnybodyThere());
  }

  #readRing(): void {
    this.#host.tellLapped(this);
    const range = this.#beginRange();
    if (range !== undefined) this.#host.catchUp.start(this, range);
  }

  #beginRange(): ReadRange | undefined {
    const { ring, limits } = this.#host;
    if (this.#cursor === undefined) return undefined;
    this.#again = false;
    const from = this.#cursor.beginScan();
    const end = ring.lastSequence + 1;
    const mayBeTooMuch = end - from > limits.messages || ring.bytesSince(from) > limits.bytes;
    this.#tally = mayBeTooMuch ? new BacklogTally(limits) : undefined;
    this.#range = { from, end: Math.max(from, end) };
    return this.#range;
  }

  #enqueue(publication: Publication): void {
    const isInRing = this.#cursor !== undefined && publication.sequence > 0;
    if (this.#again && isInRing) return;
    this.#waiting.push(publication);
    const { length, bytes } = this.#waiting;
    if (length <= 1) return;
    const { memory } = this.#host;
    if (length <= MAX_WAITING && bytes <= MAX_WAITING_BYTES && !memory.isFull) return;
    if (isInRing) {
      this.#leaveToRing();
      if (this.#range === undefined) this.#readRing();
    } else {
      this.#waiting.shift();
      this.#host.dropped('queue_full', 1);
    }
  }

  get #hasNoneWaiting(): boolean {
    return this.#waiting.length === 0 && this.#returned.length === 0;
  }

  #drain(queue: WaitingQueue<Publication>): void {
    for (;;) {
      const publication = queue.shift();
      if (publication === undefined) return;
      const isInRing = this.#cursor !== undefined && queue === this.#waiting;
      const sequence = isInRing ? publication.sequence : 0;
      // It may have been met in the ring while it waited here.
      if (sequence > 0 && this.#cursor?.wants(sequence) === false) continue;
      if (this.#passOver(publication, sequence) || this.#give(publication, sequence)) continue;
      queue.unshift(publication);
      return;
    }
  }

  #leaveToRing(): void {
    this.#waiting.retain(({ sequence }) => sequence === 0);
    this.#behind = true;
    this.#again = true;
  }

  /** Gives the message to the next member that has room; false where none has. */
  #give(publication: Publication, sequence: number): boolean {
    const count = this.#members.length;
    let isForSomebody = false;
    for (let i = 0; i < count; i++) {
      const at = (this.#next + i) % count;
      const member = this.#members[at] as Subscription;
      const { session, options } = member;
      if (session.link === undefined || !session.mayRead(publication.topic.name)) continue;
      isForSomebody = true;
      const isQos0 = publication.qos === 0 || options.qos === 0;
      if (isQos0 ? !session.link.writable : !session.hasRoom) continue;
      this.#next = (at + 1) % count;
      this.#giveTo(member, publication, sequence);
      return true;
    }
    if (isForSomebody || !this.#isAnybodyThere()) return false;
    // None of those who are there may read it: it must not hold up the others.
    this.#host.dropped('not_authorized', 1);
    this.#skip(sequence);
    return true;
  }

  #giveTo({ session, options }: Subscription, publication: Publication, sequence: number): void {
    if (sequence > 0) this.#cursor?.claim(sequence);
    const qos = publication.qos < options.qos ? publication.qos : options.qos;
    const retain = publication.retain && options.retainAsPublished;
    const subscriptionIds = subscriptionIdsOf(options);
    if (qos === 0) {
      session.link?.sendPublish(publication, 0, retain, false, 0, subscriptionIds);
      this.settled(sequence);
      return;
    }
    const kept = sequence > 0 ? undefined : publication.keep();
    const claim = new SharedClaim(this, sequence, kept);
    session.sendShared({ publication, qos, retain, subscriptionIds }, claim);
  }

  /** QoS 0: to the next member that takes it now, or to nobody. */
  #sendOnce(publication: Publication): void {
    if (!this.#give(publication, 0)) this.#host.dropped('no_shared_member', 1);
  }

  /** True where the message's time is over: it is for nobody. */
  #passOver(publication: Publication, sequence: number): boolean {
    if (!this.#host.isExpired(publication)) return false;
    this.#host.dropped('expired', 1);
    this.#skip(sequence);
    return true;
  }

  #skip(sequence: number): void {
    if (sequence === 0) return;
    this.#cursor?.claim(sequence);
    this.settled(sequence);
  }

  #isAnybodyThere(): boolean {
    return this.#members.some(({ session }) => session.link !== undefined);
  }

  #end(): void {
    this.#host.catchUp.stop(this);
    this.#range = undefined;
    this.#waiting.clear();
    this.#returned.clear();
  }
}
