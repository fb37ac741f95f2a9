/**
 * What speaks for the wall clock at this moment.
 * - `synchronised`: a program that asks other machines for the time says that it has it.
 * - `chip`: the machine kept time while it was off, or something below it did.
 * - `none`: it may be in 1970, or at the time that was saved before the last stop.
 */
export type ClockWord = 'synchronised' | 'chip' | 'none';

/** What the machine can say about its wall clock, besides what the clock shows. */
export interface ClockEvidence {
  /** The present is later than this: the program was not there before. Milliseconds since 1970. */
  readonly earliestMs: number;
  /** Never fails: what cannot be read says nothing. */
  read(): Promise<ClockWord>;
}
