import { CUT_MODES, type CutMode } from '../support/sim-disk-image.ts';
import { SimRandom } from '../support/sim-random.ts';

/** Each mode in turn. */
export function oneMode(index: number): CutMode {
  return CUT_MODES[index % CUT_MODES.length] as CutMode;
}

/** Some of the items, in their order. */
export function sample<T>(items: readonly T[], count: number, seed: number): readonly T[] {
  const random = new SimRandom(seed);
  const left = items.slice();
  while (left.length > count) left.splice(random.below(left.length), 1);
  return left;
}
