/** What a restart needs to know of a group: every message up to `through` was given out, but `open`. */
export interface SharedPosition {
  readonly through: number;
  /** Sequences up to `through`, or beyond it, that nobody is known to have done with. */
  readonly open: readonly number[];
  /** Sequences beyond `through` that are done with all the same. */
  readonly beyond?: readonly number[];
}

/** A message that some member has: whether it is done with is that member's to say. */
const CLAIMED = 0;
/** A message that is on its way to the ring and comes when it is durable (QoS 2). */
const EXPECTED = -1;

/**
 * The cursor of a group of sessions that share a subscription: which messages of the ring have been
 * given to a member, and which of those are not done with.
 *
 * Every message is in one of these states, and moves only so:
 *
 *   unread -> claimed -> done
 *   unread -> expected -> claimed | free
 *   claimed -> free -> claimed              (the member's session ended without an ack)
 *   free -> gone                            (a scan begun afterwards did not meet it: rotation took it)
 *
 * Invariants:
 * - A sequence above `through` is unread, unless it is a hole or in `beyond`. One at or below it is
 *   done, or was never the group's, unless it is a hole.
 * - `beyond` holds only what was reclaimed and done with before a scan came so far: no more than the
 *   members' windows had room for at the restart.
 * - Holes are the claimed, the expected and the free ones. There are no more of them than the members'
 *   windows have room for, plus what ended sessions gave back; so the position stays small, however
 *   long one member holds one message.
 * - What is claimed is given to nobody else.
 */
export class SharedCursor {
  readonly #holes = new Map<number, number>();
  readonly #beyond: Set<number>;
  #through: number;
  /** Counts scans, so that what is given back during one is left for the next. */
  #scan = 1;

  constructor({ through, open, beyond }: SharedPosition) {
    this.#through = through;
    this.#beyond = new Set(beyond);
    for (const sequence of open) this.#holes.set(sequence, this.#scan);
  }

  toPosition(): SharedPosition {
    for (const sequence of this.#beyond) {
      if (sequence <= this.#through) this.#beyond.delete(sequence);
    }
    const open = [...this.#holes.keys()];
    if (this.#beyond.size === 0) return { through: this.#through, open };
    return { through: this.#through, open, beyond: [...this.#beyond] };
  }

  /** Whether a member is to be given this message, when it is met in the ring. */
  wants(sequence: number): boolean {
    const hole = this.#holes.get(sequence);
    if (hole !== undefined) return hole > CLAIMED;
    return sequence > this.#through && !this.#beyond.has(sequence);
  }

  /** Not done with, as far as is known: given to somebody, or to be given. */
  isOpen(sequence: number): boolean {
    if (this.#holes.has(sequence)) return true;
    return sequence > this.#through && !this.#beyond.has(sequence);
  }

  /** A member has it now. Also after a restart, for a QoS 2 message that is half delivered. */
  claim(sequence: number): void {
    this.#holes.set(sequence, CLAIMED);
    if (sequence > this.#through) this.#through = sequence;
  }

  /** As `claim`, for what a member had before a restart: what lies before it may still be unread. */
  reclaim(sequence: number): void {
    this.#holes.set(sequence, CLAIMED);
  }

  /** The member that had it is done with it, or it is nobody's. */
  done(sequence: number): void {
    const wasClaimed = this.#holes.get(sequence) === CLAIMED;
    this.#holes.delete(sequence);
    // The cursor of before the restart may lie below what was reclaimed: without its hole the message
    // would be unread, and another member would be given what this one has had.
    if (wasClaimed && sequence > this.#through) this.#beyond.add(sequence);
  }

  /** The member's session is over: it is for another one. */
  free(sequence: number): void {
    this.#holes.set(sequence, this.#scan);
  }

  expect(sequence: number): void {
    this.#holes.set(sequence, EXPECTED);
  }

  /** It has come. Until a member has it, it is free. */
  arrived(sequence: number): void {
    if (this.#holes.get(sequence) === EXPECTED) this.#holes.set(sequence, this.#scan);
  }

  /** The lowest sequence that no member has been given. */
  get lowestUnread(): number {
    let from = this.#through + 1;
    for (const [sequence, hole] of this.#holes) {
      if (hole > CLAIMED && sequence < from) from = sequence;
    }
    return from;
  }

  /** A scan of the ring begins: returns the sequence from which it has to read. */
  beginScan(): number {
    this.#scan++;
    return this.lowestUnread;
  }

  /**
   * The scan has offered everything up to `sequence`. Returns how many free messages it did not meet,
   * because rotation had taken them: they are gone.
   */
  passed(sequence: number): number {
    let gone = 0;
    for (const [free, hole] of this.#holes) {
      if (hole <= CLAIMED || hole >= this.#scan || free > sequence) continue;
      this.#holes.delete(free);
      gone++;
    }
    if (sequence > this.#through) this.#through = sequence;
    return gone;
  }
}
