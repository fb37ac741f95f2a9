/**
 * Partitions of a stream are numbered for good. Another count of partitions sends keys elsewhere, so
 * it begins a new generation, with numbers that were never used: one number is left out before them,
 * which is how generations are told apart in the ring.
 */
export function generationsOf(indices: readonly number[]): readonly (readonly number[])[] {
  const generations: number[][] = [];
  for (const index of indices.toSorted((a, b) => a - b)) {
    const newest = generations.at(-1);
    if (newest?.at(-1) === index - 1) newest.push(index);
    else generations.push([index]);
  }
  return generations;
}

/** The numbers to write to: the newest generation, or a new one where that has another count. */
export function currentGeneration(indices: readonly number[], count: number): readonly number[] {
  const newest = generationsOf(indices).at(-1);
  if (newest?.length === count) return newest;
  const first = newest === undefined ? 0 : (newest.at(-1) ?? 0) + 2;
  return Array.from({ length: count }, (_, n) => first + n);
}
