/**
 * What a connection may say only after a commit: an ack (packet type << 16 | packet identifier, so
 * that the hot path makes no object), a whole packet, or something to do in that place of the order.
 */
export type GatedItem = number | Uint8Array | (() => void);

// Shared by all queues in which nothing ever waited, and never added to.
const NO_GATES: number[] = [];
const NO_ITEMS: GatedItem[] = [];

/**
 * Acks in the order of their packets [MQTT-4.6.0-2], each held back until the ring is durable up to
 * its gate. An item that needs no commit has gate 0 and only waits for those before it.
 */
export class GatedQueue {
  #gates = NO_GATES;
  #items = NO_ITEMS;
  #head = 0;

  get isEmpty(): boolean {
    return this.#head === this.#items.length;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** What the oldest one waits for; 0 where nothing does. */
  get firstGate(): number {
    return this.#gates[this.#head] ?? 0;
  }

  push(gate: number, item: GatedItem): void {
    if (this.#gates === NO_GATES) {
      this.#gates = [];
      this.#items = [];
    }
    this.#gates.push(gate);
    this.#items.push(item);
  }

  /** Hands out, in order, every item up to the first whose gate is beyond `durableSequence`. */
  release(durableSequence: number, emit: (item: GatedItem) => void): void {
    while (this.#head < this.#items.length) {
      if ((this.#gates[this.#head] as number) > durableSequence) break;
      const item = this.#items[this.#head] as GatedItem;
      this.#head++;
      emit(item);
    }
    if (this.#head === this.#items.length) {
      this.#gates.length = 0;
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > 4096) {
      this.#gates = this.#gates.slice(this.#head);
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#gates = NO_GATES;
    this.#items = NO_ITEMS;
    this.#head = 0;
  }
}
