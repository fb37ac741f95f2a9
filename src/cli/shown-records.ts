import type { RecordView } from '../ring/types.ts';

/**
 * Which records a walk over the ring, oldest segment first, has come by. A record that was written
 * again, at the start after a crash or to keep it from rotation, has its old sequence and the mark
 * `carried`, and may stand in the ring twice for a while.
 *
 * Fresh records have rising sequences, so they are kept as a few runs without gaps.
 */
export class ShownRecords {
  readonly #runs: { first: number; last: number }[] = [];
  readonly #carried = new Set<number>();

  /** Notes the record; false where it was there before. */
  add({ sequence, carried }: Pick<RecordView, 'sequence' | 'carried'>): boolean {
    if (carried) {
      if (this.#carried.has(sequence) || this.#isInRun(sequence)) return false;
      this.#carried.add(sequence);
      return true;
    }
    const run = this.#runs.at(-1);
    if (run !== undefined && run.last + 1 === sequence) run.last = sequence;
    else this.#runs.push({ first: sequence, last: sequence });
    return !this.#carried.has(sequence);
  }

  #isInRun(sequence: number): boolean {
    return this.#runs.some(({ first, last }) => first <= sequence && sequence <= last);
  }
}
