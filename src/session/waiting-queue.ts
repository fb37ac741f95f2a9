/** Slots at the front that were taken before the array is made shorter. */
const COMPACT_AT = 1_024;

/** One budget for what waits in memory, shared by all queues, so that their sum is bounded too. */
export class WaitingMemory {
  usedBytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get isFull(): boolean {
    return this.usedBytes > this.#maxBytes;
  }
}

/** First in, first out, with the sum of what its items weigh. Whoever fills it bounds both. */
export class WaitingQueue<T> {
  readonly #bytesOf: (item: T) => number;
  readonly #memory: WaitingMemory;
  #items: T[] = [];
  #head = 0;
  #bytes = 0;

  constructor(memory: WaitingMemory, bytesOf: (item: T) => number) {
    this.#memory = memory;
    this.#bytesOf = bytesOf;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#weigh(this.#bytesOf(item));
  }

  /** Puts an item in front of all others: one that was taken and came back. */
  unshift(item: T): void {
    this.#weigh(this.#bytesOf(item));
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head] as T;
    this.#head++;
    this.#weigh(-this.#bytesOf(item));
    if (this.#head === this.#items.length) {
      this.clear();
    } else if (this.#head > COMPACT_AT) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    if (this.#items.length > 0) this.#items = [];
    this.#head = 0;
    this.#weigh(-this.#bytes);
  }

  /** Lets go of every item for which `keeps` is false. */
  retain(keeps: (item: T) => boolean): void {
    const kept = this.#items.slice(this.#head).filter(keeps);
    this.clear();
    for (const item of kept) this.push(item);
  }

  #weigh(bytes: number): void {
    this.#bytes += bytes;
    this.#memory.usedBytes += bytes;
  }
}
