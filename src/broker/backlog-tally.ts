/** What a session or a group may have waiting for it in the ring. */
export interface BacklogLimits {
  readonly messages: number;
  readonly bytes: number;
}

/** The oldest messages go in steps of a limit divided by this; twice as many marks are kept. */
const MARKS = 1_024;

interface Mark {
  readonly sequence: number;
  /** Counted before it. */
  readonly messages: number;
  readonly bytes: number;
}

/**
 * Counts what waits in the ring, oldest first, and says where to begin so that no more than the
 * limits is left. Remembers a place every thousandth of a limit, so that a large limit costs little
 * memory: up to limits of 1,024 messages it is exact, beyond it lets up to a thousandth more go.
 */
export class BacklogTally {
  readonly #limits: BacklogLimits;
  #marks: Mark[] = [];
  #first = 0;
  #messages = 0;
  #bytes = 0;

  constructor(limits: BacklogLimits) {
    this.#limits = limits;
  }

  add(sequence: number, bytes: number): void {
    const last = this.#marks.at(-1);
    const isDue =
      last === undefined ||
      this.#messages - last.messages >= this.#limits.messages / MARKS ||
      this.#bytes - last.bytes >= this.#limits.bytes / MARKS;
    if (isDue) this.#marks.push({ sequence, messages: this.#messages, bytes: this.#bytes });
    this.#messages++;
    this.#bytes += bytes;
    // The mark after the first is not enough either: the first is of no use.
    while (this.#first + 1 < this.#marks.length && this.#isOver(this.#marks[this.#first] as Mark)) {
      this.#first++;
    }
    if (this.#first > MARKS) {
      this.#marks = this.#marks.slice(this.#first);
      this.#first = 0;
    }
  }

  /** The first sequence that may stay, and how many messages before it have to go. */
  cut(): { readonly from: number; readonly dropped: number } {
    const mark = this.#marks[this.#first];
    if (mark === undefined) return { from: 0, dropped: 0 };
    // Where one message alone is over the limit it stays: it is bounded by the packet size.
    return { from: mark.sequence, dropped: mark.messages };
  }

  #isOver(mark: Mark): boolean {
    return (
      this.#messages - mark.messages > this.#limits.messages ||
      this.#bytes - mark.bytes > this.#limits.bytes
    );
  }
}
