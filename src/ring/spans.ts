/** Numbers from `first` to `last`, both included. */
export interface Bounds {
  readonly first: number;
  readonly last: number;
}

/** The same numbers in rising order, without overlap. */
export function apart(bounds: readonly Bounds[]): Bounds[] {
  const joined: Bounds[] = [];
  for (const { first, last } of bounds.toSorted((a, b) => a.first - b.first)) {
    const before = joined.at(-1);
    if (before === undefined || before.last < first) joined.push({ first, last });
    else joined.splice(-1, 1, { first: before.first, last: Math.max(before.last, last) });
  }
  return joined;
}
