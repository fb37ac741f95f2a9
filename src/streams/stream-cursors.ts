import type { Offset } from '../ring/types.ts';

/**
 * Who has read how far: every uplink's position in each partition that it follows. A stream that
 * refuses or blocks when it is full is full of what one of them has not passed.
 */
export class StreamCursors {
  readonly #positions = new Map<number, (() => Offset)[]>();
  readonly #watchers = new Map<number, (() => void)[]>();
  #isComplete = false;

  /** A reader of the partition: `position` is the first offset that it has not passed. */
  attach(partitionId: number, position: () => Offset): void {
    const known = this.#positions.get(partitionId);
    if (known === undefined) this.#positions.set(partitionId, [position]);
    else known.push(position);
  }

  /** All readers are attached: from now on the lowest position can be told. */
  complete(): void {
    this.#isComplete = true;
    for (const watchers of this.#watchers.values()) for (const fn of watchers) fn();
  }

  /** To be called when a position of the partition has moved. */
  moved(partitionId: number): void {
    for (const fn of this.#watchers.get(partitionId) ?? []) fn();
  }

  watch(partitionId: number, fn: () => void): void {
    const known = this.#watchers.get(partitionId);
    if (known === undefined) this.#watchers.set(partitionId, [fn]);
    else known.push(fn);
  }

  /** What no reader may lose starts here; undefined while that is not known, Infinity without readers. */
  lowest(partitionId: number): Offset | undefined {
    if (!this.#isComplete) return undefined;
    let lowest = Infinity;
    for (const position of this.#positions.get(partitionId) ?? []) {
      lowest = Math.min(lowest, position());
    }
    return lowest;
  }
}
