/** A defect put into the sources on purpose, which the power-loss suites must notice. */
export interface Mutant {
  readonly name: string;
  /** From the root of the repository. */
  readonly file: string;
  /** Exact text that occurs once in the file; a mutant that no longer fits is an error. */
  readonly find: string;
  readonly replace: string;
  /** Name filter of the test files that must fail. */
  readonly suite: string;
}

export const RING_SUITE = 'test/power-loss/ring.';

export const MUTANTS: readonly Mutant[] = [];
