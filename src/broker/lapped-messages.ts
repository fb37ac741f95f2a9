import { RecentLoss } from '../base/recent-loss.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { RecordView } from '../ring/types.ts';
import { RecordFlag } from '../ring/types.ts';
import type { BrokerCounters } from './counters.ts';
import type { MessageExpiry } from './message-expiry.ts';
import { publicationOf } from './retained.ts';
import type { Match, TopicTable } from './topics.ts';

/** Somebody with a cursor into the ring: a durable session, or a group that shares a subscription. */
export interface CursorOwner {
  /** The client id, or the shared subscription. */
  readonly name: string;
  /** Lost to rotation, and not said in the log yet. */
  lapped: number;
}

/** Who is furthest behind is looked for again after so many records that were let go. */
const LOOK_EVERY_RECORDS = 1_000;

/**
 * Counts what rotation takes before those whom it was for have had it.
 *
 * The recycler shows every record that a session wanted before it lets it go, so the count is of
 * messages, not of segments. It is a lower bound all the same: a segment that cannot be read is not
 * counted, nor what a broker lost in the last hour before its power was cut.
 */
export class LappedMessages {
  readonly #topics: TopicTable;
  readonly #counters: BrokerCounters;
  readonly #clock: Clock;
  readonly #expiry: MessageExpiry;
  readonly #logger: Logger;
  readonly #lowestOwed: () => number;
  readonly #recent = new RecentLoss();
  readonly #losers = new Set<string>();
  /** Nobody is behind it; nobody falls back, so it holds until it is looked for again. */
  #floor = 0;
  #sinceLook = LOOK_EVERY_RECORDS;
  #through = 0;

  constructor(options: {
    readonly topics: TopicTable;
    readonly counters: BrokerCounters;
    readonly clock: Clock;
    readonly expiry: MessageExpiry;
    readonly logger: Logger;
    /** The lowest sequence that a cursor owes its owner; where none does, the next one of the ring. */
    readonly lowestOwed: () => number;
  }) {
    this.#topics = options.topics;
    this.#counters = options.counters;
    this.#clock = options.clock;
    this.#expiry = options.expiry;
    this.#logger = options.logger;
    this.#lowestOwed = options.lowestOwed;
  }

  /** Whether somebody has yet to have this message. */
  isOwed(record: RecordView): boolean {
    const { flags, origin, sequence } = record;
    if ((flags & RecordFlag.session) === 0 || !this.#mayBeOwed(sequence)) return false;
    const topic = this.#topics.get(record.topic);
    const matches = this.#topics.matches(topic);
    return (
      topic.groups.some((group) => group.owes(sequence)) ||
      matches.some((match) => wantedBy(match, origin, sequence)?.session.owes(sequence) === true)
    );
  }

  /** A record is let go. */
  letGo(record: RecordView): void {
    const { sequence } = record;
    if ((record.flags & RecordFlag.session) === 0) return;
    // A segment that could not be let go is gone through again. Copies come in no order.
    if (!record.carried && sequence <= this.#through) return;
    if (!record.carried) this.#through = sequence;
    if (!this.#mayBeOwed(sequence)) return;
    const topic = this.#topics.get(record.topic);
    const matches = this.#topics.matches(topic);
    if (matches.length === 0 && topic.groups.length === 0) return;
    // One whose time is over is no loss to anybody.
    if (this.#expiry.isExpired(publicationOf(record, this.#topics))) return;
    for (const match of matches) {
      wantedBy(match, record.origin, sequence)?.session.letGo(sequence);
    }
    for (const group of topic.groups) group.letGo(sequence);
  }

  /** `owner` will not get so many messages. Said at once where `isThere`, or else when it is back. */
  lost(owner: CursorOwner, count: number, isThere: boolean): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#recent.at(nowMs) === undefined) this.#losers.clear();
    this.#recent.note(count, nowMs);
    this.#losers.add(owner.name);
    this.#counters.drop('lapped', count);
    owner.lapped += count;
    if (isThere) this.tell(owner);
  }

  /** The owner is back. True where there was something to say. */
  tell(owner: CursorOwner): boolean {
    if (owner.lapped === 0) return false;
    this.#logger.warn('session.lapped', { client: owner.name, lostAtLeast: owner.lapped });
    owner.lapped = 0;
    return true;
  }

  /** What was lost lately, for the alarm. */
  recent():
    | { readonly messages: number; readonly owners: number; readonly sinceMs: number }
    | undefined {
    const recent = this.#recent.at(this.#clock.monotonicMs());
    if (recent === undefined) return undefined;
    return { messages: recent.count, owners: this.#losers.size, sinceMs: recent.sinceMs };
  }

  #mayBeOwed(sequence: number): boolean {
    if (sequence < this.#floor) return false;
    if (++this.#sinceLook < LOOK_EVERY_RECORDS) return true;
    this.#sinceLook = 0;
    // Who is level now may be left behind at any time, but only by what comes after.
    this.#floor = this.#lowestOwed();
    return sequence >= this.#floor;
  }
}

/** What of the match asks for the message to be kept. */
function wantedBy(match: Match, origin: string, sequence: number): Match | undefined {
  const applies = origin === match.session.clientId ? match.ofOwn : match;
  return applies === undefined || applies.qos === 0 || sequence < applies.since
    ? undefined
    : applies;
}

/** Messages remembered for one owner; of more than that some may be counted that it gets yet. */
const MAX_AT_RISK = 1_000;

/**
 * Messages that the ring has let go while their owner may still hold them in memory: whether they
 * are lost is known when they have been delivered, or the reading or the connection has ended.
 */
export class AtRisk {
  readonly #sequences = new Set<number>();
  readonly #isOwed: (sequence: number) => boolean;

  constructor(isOwed: (sequence: number) => boolean) {
    this.#isOwed = isOwed;
  }

  /** Returns how many are lost for certain, or as good as, because there are too many to remember. */
  add(sequence: number): number {
    this.#sequences.add(sequence);
    return this.#sequences.size <= MAX_AT_RISK ? 0 : this.settle(Infinity);
  }

  /** It is being delivered after all. */
  had(sequence: number): void {
    this.#sequences.delete(sequence);
  }

  /** Of those below `end`, which will not come any more: how many are owed. */
  settle(end: number): number {
    let lost = 0;
    for (const sequence of this.#sequences) {
      if (sequence >= end) continue;
      this.#sequences.delete(sequence);
      if (this.#isOwed(sequence)) lost++;
    }
    return lost;
  }
}
