import { filterCovers, filtersMeet } from '../topic-filter.ts';

/** Filters whose messages are wanted by the same readers. */
export interface Region {
  readonly filters: readonly string[];
  /** Indices of the readers, ascending. */
  readonly owners: readonly number[];
}

/** Beyond it the overlaps of the filters are more than anybody would want to read. */
const MAX_FILTERS = 512;

/**
 * Cuts the topics that `readers` want, one list of filters each, into regions in order of
 * precedence: the first region with a filter that matches a topic is owned by exactly those readers
 * of which some filter matches it. A message belongs to one stream only, so where readers overlap,
 * what they share needs a stream of its own. Undefined where the overlaps are too many to say.
 */
export function cutIntoRegions(readers: readonly (readonly string[])[]): Region[] | undefined {
  // With each two filters also what they share: for every topic there is then one filter that is
  // covered by all others that match it, and whoever owns one of those owns it too.
  const all = new Set(readers.flat());
  for (const filter of all) {
    for (const other of all) {
      if (filtersMeet(filter, other)) all.add(intersection(filter, other));
    }
    if (all.size > MAX_FILTERS) return undefined;
  }
  const byOwners = new Map<string, { filters: string[]; owners: number[] }>();
  for (const filter of all) {
    const owners = [...readers.keys()].filter((index) =>
      readers[index]?.some((wide) => filterCovers(wide, filter)),
    );
    const region = byOwners.get(owners.join()) ?? { filters: [], owners };
    region.filters.push(filter);
    byOwners.set(owners.join(), region);
  }
  return [...byOwners.values()]
    .map(({ filters, owners }) => ({ filters: withoutCovered(filters), owners }))
    .sort((a, b) => b.owners.length - a.owners.length);
}

function withoutCovered(filters: readonly string[]): string[] {
  return filters.filter(
    (filter) => !filters.some((wide) => wide !== filter && filterCovers(wide, filter)),
  );
}

/** The filter of the topics that match both. They must meet. */
function intersection(one: string, other: string): string {
  const a = one.split('/');
  const b = other.split('/');
  const shared: string[] = [];
  for (let index = 0; ; index++) {
    const left = a[index];
    const right = b[index];
    // "#" takes the level before it as well, so nothing is left where the other has ended.
    if (left === '#') return [...shared, ...b.slice(index)].join('/');
    if (right === '#') return [...shared, ...a.slice(index)].join('/');
    if (left === undefined || right === undefined) return shared.join('/');
    shared.push(left === '+' ? right : left);
  }
}
