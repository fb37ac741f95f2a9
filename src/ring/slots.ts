/** Of all slots; where more cannot be used, it is the device that has failed. */
export const MAX_RETIRED_SHARE = 1 / 8;

/**
 * Which slots are free, which is named as the next one, and which are retired.
 *
 * Invariants: the named slot is free; no slot is free and live at once; at most an eighth of the
 * slots is retired; a condemned slot is retired as soon as it is not live, where that limit allows.
 */
export class Slots {
  readonly count: number;
  readonly #free: number[] = [];
  readonly #retired = new Set<number>();
  readonly #condemned = new Set<number>();
  #next: number | undefined;

  constructor(count: number, retired: readonly number[]) {
    this.count = count;
    for (const slot of retired) this.#retired.add(slot);
  }

  /** Free slots in hand, the named one included. */
  get inHand(): number {
    return this.#free.length + (this.#next === undefined ? 0 : 1);
  }

  get retired(): readonly number[] {
    return [...this.#retired];
  }

  get maxRetired(): number {
    return Math.floor(this.count * MAX_RETIRED_SHARE);
  }

  get next(): number | undefined {
    return this.#next;
  }

  isRetired(slot: number): boolean {
    return this.#retired.has(slot);
  }

  /**
   * A page of a live slot cannot be read: it is set aside once what can be read of it has been
   * carried on. Returns whether that is news.
   */
  condemn(slot: number): boolean {
    if (this.#condemned.has(slot) || this.#retired.has(slot)) return false;
    this.#condemned.add(slot);
    return true;
  }

  /** Gives a slot back. A retired one is never used again. */
  free(slot: number): void {
    if (this.#retired.has(slot)) return;
    if (this.#condemned.delete(slot) && this.retire(slot)) return;
    if (this.#next === undefined) this.#next = slot;
    else this.#free.push(slot);
  }

  /** Takes the named slot for a new segment and names the next one, in cyclic order from it. */
  take(): number | undefined {
    const slot = this.#next;
    if (slot === undefined) return undefined;
    this.#nameAfter(slot);
    return slot;
  }

  /** Names `slot` as the next one, where it is free; else the first free one after it. */
  prefer(slot: number): void {
    if (this.#next !== undefined) this.#free.push(this.#next);
    this.#nameAfter(slot - 1);
  }

  /** Sets a slot aside for good; false where the limit is reached. */
  retire(slot: number): boolean {
    if (this.#retired.has(slot)) return true;
    if (this.#retired.size >= this.maxRetired) return false;
    this.#retired.add(slot);
    const at = this.#free.indexOf(slot);
    if (at >= 0) this.#free.splice(at, 1);
    if (this.#next === slot) this.#nameAfter(slot);
    return true;
  }

  #nameAfter(slot: number): void {
    let best: number | undefined;
    let bestDistance = Infinity;
    for (const candidate of this.#free) {
      const distance = (candidate - slot - 1 + 2 * this.count) % this.count;
      if (distance < bestDistance) {
        best = candidate;
        bestDistance = distance;
      }
    }
    this.#next = best;
    if (best !== undefined) this.#free.splice(this.#free.indexOf(best), 1);
  }
}
