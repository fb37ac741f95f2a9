/** One level of the topics below it. */
class Node<T> {
  children: Map<string, Node<T>> | undefined;
  value: T | undefined;
}

/**
 * Values by topic name, found by topic filter [MQTT5 4.7]: the other way round than a
 * `SubscriptionTree`. A search visits only what the filter can match, so that a device that subscribes
 * to its own topic does not pay for all others.
 */
export class RetainedTree<T> {
  readonly #root = new Node<T>();

  set(topic: string, value: T): void {
    let node = this.#root;
    for (const level of topic.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = new Node();
        node.children.set(level, child);
      }
      node = child;
    }
    node.value = value;
  }

  delete(topic: string): void {
    const levels = topic.split('/');
    const path = [this.#root];
    for (const level of levels) {
      const child = path.at(-1)?.children?.get(level);
      if (child === undefined) return;
      path.push(child);
    }
    const last = path.at(-1);
    if (last !== undefined) last.value = undefined;
    for (let depth = levels.length; depth > 0; depth--) {
      const node = path[depth];
      const parent = path[depth - 1];
      if (node?.value !== undefined || node?.children !== undefined) return;
      parent?.children?.delete(levels[depth - 1] as string);
      if (parent?.children?.size === 0) parent.children = undefined;
    }
  }

  /** In no order. */
  matching(filter: string): T[] {
    const found: T[] = [];
    search(this.#root, filter.split('/'), 0, found);
    return found;
  }
}

function search<T>(node: Node<T>, levels: readonly string[], depth: number, found: T[]): void {
  const level = levels[depth];
  if (level === undefined) {
    if (node.value !== undefined) found.push(node.value);
    return;
  }
  if (level !== '+' && level !== '#') {
    const child = node.children?.get(level);
    if (child !== undefined) search(child, levels, depth + 1, found);
    return;
  }
  // [MQTT-4.7.1-2]: `sport/#` matches `sport` too.
  if (level === '#' && depth > 0 && node.value !== undefined) found.push(node.value);
  for (const [name, child] of node.children ?? []) {
    // [MQTT-4.7.2-1]
    if (depth === 0 && name.startsWith('$')) continue;
    if (level === '#') collect(child, found);
    else search(child, levels, depth + 1, found);
  }
}

function collect<T>({ value, children }: Node<T>, found: T[]): void {
  if (value !== undefined) found.push(value);
  for (const child of children?.values() ?? []) collect(child, found);
}
