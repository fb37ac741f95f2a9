import { assert } from '../base/assert.ts';

/** Of all slots; where more cannot be used, it is the device that has failed. */
export const MAX_RETIRED_SHARE = 1 / 8;

/**
 * Which slots are free, which is named as the next one, and which are retired.
 *
 * Invariants: the named slot is free; no slot is free and live at once; at most an eighth of the
 * slots is retired; a condemned slot is retired as soon as it is not live, where that limit allows.
 *
 * Where the ring is to shrink, the slots from `leavingFrom` on are leaving: they are taken where no
 * other is free, since a start must never be without, and `dropLeaving` forgets them in the end.
 */
export class Slots {
  #count: number;
  #leavingFrom: number;
  #free: number[] = [];
  readonly #retired = new Set<number>();
  readonly #condemned = new Set<number>();
  #next: number | undefined;

  constructor(count: number, retired: readonly number[], leavingFrom = count) {
    this.#count = count;
    this.#leavingFrom = leavingFrom;
    for (const slot of retired) this.#retired.add(slot);
  }

  get count(): number {
    return this.#count;
  }

  get leavingFrom(): number {
    return this.#leavingFrom;
  }

  isLeaving(slot: number): boolean {
    return slot >= this.#leavingFrom;
  }

  /** Free slots that stay, but for the named one. */
  get stayingFree(): readonly number[] {
    return this.#free.filter((slot) => !this.isLeaving(slot));
  }

  /** Takes a free slot out of turn, for what is moved; not the named one. */
  takeFree(slot: number): void {
    const at = this.#free.indexOf(slot);
    assert(at >= 0, 'a slot that is not free was taken');
    this.#free.splice(at, 1);
  }

  /** Forgets the slots that are leaving. None of them is live, and none is named. */
  dropLeaving(): void {
    assert(this.#next === undefined || !this.isLeaving(this.#next), 'a leaving slot is named');
    this.#free = this.#free.filter((slot) => !this.isLeaving(slot));
    for (const each of [this.#retired, this.#condemned]) {
      for (const slot of each) if (this.isLeaving(slot)) each.delete(slot);
    }
    this.#count = this.#leavingFrom;
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
    this.#next = undefined;
    const at = this.#free.indexOf(slot);
    if (at < 0) this.#nameAfter(slot - 1);
    else [this.#next] = this.#free.splice(at, 1);
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
      const around = (candidate - slot - 1 + 2 * this.#count) % this.#count;
      const distance = this.isLeaving(candidate) ? this.#count + around : around;
      if (distance < bestDistance) {
        best = candidate;
        bestDistance = distance;
      }
    }
    this.#next = best;
    if (best !== undefined) this.#free.splice(this.#free.indexOf(best), 1);
  }
}
