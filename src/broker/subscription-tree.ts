/** A node of the tree: one level of a filter. `+` and `#` are ordinary children with those names. */
interface Level<T> {
  readonly children: Map<string, Level<T>>;
  readonly values: Set<T>;
}

/**
 * Topic filters by level, for finding every value whose filter matches a topic name
 * [MQTT-4.7.1-2, -3]. Depth is bounded by whoever validates filters (`topic_levels`).
 */
export class SubscriptionTree<T> {
  readonly #root: Level<T> = newLevel();

  add(filter: string, value: T): void {
    let level = this.#root;
    for (const name of filter.split('/')) {
      let child = level.children.get(name);
      if (child === undefined) {
        child = newLevel();
        level.children.set(name, child);
      }
      level = child;
    }
    level.values.add(value);
  }

  /** Removes a value and the levels that nobody needs any more. */
  remove(filter: string, value: T): void {
    const path: { parent: Level<T>; name: string }[] = [];
    let level = this.#root;
    for (const name of filter.split('/')) {
      const child = level.children.get(name);
      if (child === undefined) return;
      path.push({ parent: level, name });
      level = child;
    }
    level.values.delete(value);
    for (const { parent, name } of path.reverse()) {
      const child = parent.children.get(name);
      if (child === undefined || child.values.size > 0 || child.children.size > 0) return;
      parent.children.delete(name);
    }
  }

  /**
   * Adds to `found` every value whose filter matches `topic`. A leading wildcard does not match a
   * topic that begins with `$` [MQTT-4.7.2-1].
   */
  match(topic: string, found: T[]): void {
    const names = topic.split('/');
    walk(this.#root, names, 0, topic.startsWith('$'), found);
  }
}

function newLevel<T>(): Level<T> {
  return { children: new Map(), values: new Set() };
}

function walk<T>(
  level: Level<T>,
  names: readonly string[],
  depth: number,
  hidden: boolean,
  found: T[],
): void {
  const wildcards = depth > 0 || !hidden;
  if (wildcards) {
    const rest = level.children.get('#');
    if (rest !== undefined) found.push(...rest.values);
  }
  const name = names[depth];
  if (name === undefined) {
    found.push(...level.values);
    return;
  }
  const exact = level.children.get(name);
  if (exact !== undefined) walk(exact, names, depth + 1, hidden, found);
  if (wildcards) {
    const any = level.children.get('+');
    if (any !== undefined) walk(any, names, depth + 1, hidden, found);
  }
}
