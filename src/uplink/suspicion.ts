import type { PendingRecord } from './pending-record.ts';
import type { Settlement } from './partition-cursor.ts';

/**
 * Finds the record because of which a peer ends the link. MQTT 3.1.1 has no other way to refuse one
 * (too large, a topic that is forbidden), and says neither which nor why.
 *
 * A bad link, or a peer that takes nothing at all, must not cost a record. So a record is given up
 * only after all of this:
 * 1. the peer itself ended the link `attempts` times in a row with the same record as the oldest one
 *    in flight;
 * 2. from then on the records of that window go out one at a time, and the peer ended the link as
 *    often with this one alone in flight;
 * 3. on one and the same link, the peer then took a witness, which is any other record, and ended
 *    the link on this one once more.
 *
 * Where the witness is of the same partition and the record is taken at that last chance after all,
 * the two arrive in the wrong order. That takes a peer that recovers between the links of 2 and 3.
 * Without any other record in the backlog, the record is tried until there is one.
 *
 * Invariants:
 * - While there are suspects at most one record is in flight, and the first of them is not settled.
 */
export class Suspicion {
  readonly #attempts: number;
  /** The oldest in flight when the peer last ended a link, and how often in a row it was. */
  #oldest: PendingRecord | undefined;
  #endings = 0;
  /** What was in flight when the suspicion arose, in the order of sending. */
  #suspects: PendingRecord[] = [];
  /** How often the link was ended with the first suspect alone in flight. */
  #endingsAlone = 0;
  #witnessesTried = 0;
  /** A witness was taken on the link that is up. */
  #hasWitness = false;

  constructor(attempts: number) {
    this.#attempts = attempts;
  }

  /** Whether records are to be sent one at a time, each as `next` names it. */
  get isOneByOne(): boolean {
    return this.#suspects.length > 0;
  }

  /** The record that the peer has refused often enough to look for a witness; undefined for none. */
  get accused(): PendingRecord | undefined {
    return this.#endingsAlone >= this.#attempts ? this.#suspects[0] : undefined;
  }

  /** What to send next, alone. `unsettled` are all records in hand. */
  next(unsettled: Iterable<PendingRecord>): PendingRecord | undefined {
    const { accused } = this;
    if (accused === undefined || this.#hasWitness) return this.#suspects[0];
    const others = [...unsettled].filter((record) => record !== accused);
    // One of another partition comes first: it cannot overtake.
    const apart = others.filter(({ partitionId }) => partitionId !== accused.partitionId);
    const candidates = apart.length > 0 ? apart : others;
    // The next one each time, since those beside a poisonous record are often poisonous too.
    return candidates[this.#witnessesTried % Math.max(1, candidates.length)] ?? accused;
  }

  /**
   * The peer ended the link with these records in flight, in the order of sending. Returns the one to
   * give up, if that was the proof.
   */
  endedByPeer(inFlight: readonly PendingRecord[]): PendingRecord | undefined {
    const hadWitness = this.#hasWitness;
    this.#hasWitness = false;
    const [oldest] = inFlight;
    if (oldest === undefined) return undefined;
    const [suspect] = this.#suspects;
    if (suspect === undefined) {
      this.#count(oldest, inFlight);
      return undefined;
    }
    if (oldest !== suspect) {
      this.#witnessesTried += 1;
      return undefined;
    }
    this.#endingsAlone += 1;
    return hadWitness ? suspect : undefined;
  }

  /** The link went for another reason, which says nothing about any record. */
  wentOtherwise(): void {
    this.#hasWitness = false;
  }

  /** To be called when the record is marked as settled. */
  settled(record: PendingRecord, how: Settlement): void {
    if (record === this.#oldest) this.#oldest = undefined;
    const [suspect] = this.#suspects;
    if (suspect === undefined) return;
    if (record !== suspect) {
      if (how === 'acknowledged' && this.accused !== undefined) this.#hasWitness = true;
      return;
    }
    this.#nextSuspect();
  }

  /** To be called when records were settled because the peer says that it has them. */
  skipped(): void {
    if (this.#oldest?.isSettled === true) this.#oldest = undefined;
    if (this.#suspects[0]?.isSettled === true) this.#nextSuspect();
  }

  #nextSuspect(): void {
    const next = this.#suspects.findIndex(({ isSettled }) => !isSettled);
    this.#suspects = next === -1 ? [] : this.#suspects.slice(next);
    this.#endingsAlone = 0;
    this.#witnessesTried = 0;
    this.#hasWitness = false;
  }

  #count(oldest: PendingRecord, inFlight: readonly PendingRecord[]): void {
    this.#endings = oldest === this.#oldest ? this.#endings + 1 : 1;
    this.#oldest = oldest;
    if (this.#endings < this.#attempts) return;
    this.#suspects = [...inFlight];
    this.#oldest = undefined;
  }
}
