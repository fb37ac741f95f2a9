import { stateKey, stateKeyParts } from '../metadata/state-codec.ts';
import type { StateStore } from '../metadata/state-store.ts';
import type { Claim } from '../session/delivery.ts';
import type { SharedPosition } from '../session/shared-cursor.ts';
import { SharedGroup, type SharedGroupHost } from './shared-group.ts';
import { parseSharedFilter, type Subscription } from './subscription.ts';
import type { SubscriptionTree } from './subscription-tree.ts';

interface StoredGroup extends SharedPosition {
  /** Messages lost to rotation that the log has not told of. */
  readonly lapped?: number;
}

/**
 * Every group of sessions that share a subscription, and the lasting part of the durable ones in the
 * state store: one key with the group's cursor. Who the members are, the sessions' subscriptions say.
 */
export class SharedSubscriptions {
  readonly #state: StateStore;
  readonly #tree: SubscriptionTree<SharedGroup>;
  readonly #host: SharedGroupHost;
  readonly #groups = new Map<string, SharedGroup>();
  readonly #moved = new Set<SharedGroup>();

  constructor(options: {
    readonly state: StateStore;
    /** By the filter within. */
    readonly tree: SubscriptionTree<SharedGroup>;
    readonly host: Omit<SharedGroupHost, 'moved'>;
  }) {
    this.#state = options.state;
    this.#tree = options.tree;
    this.#host = { ...options.host, moved: (group) => void this.#moved.add(group) };
  }

  /** The group that a filter names, made if need be; undefined for one that shares with nobody. */
  groupOf(filter: string): SharedGroup | undefined {
    const known = this.#groups.get(filter);
    if (known !== undefined) return known;
    const shared = parseSharedFilter(filter);
    if (shared === undefined || shared === 'invalid') return undefined;
    const group = new SharedGroup(filter, shared.filter, this.#host);
    this.#groups.set(filter, group);
    this.#tree.add(shared.filter, group);
    return group;
  }

  /** A member joins, or comes with other options. With a durable session the group becomes durable. */
  join(group: SharedGroup, subscription: Subscription): void {
    if (subscription.session.durable) this.makeDurable(group);
    group.join(subscription);
  }

  makeDurable(group: SharedGroup): void {
    if (group.isDurable) return;
    group.makeDurable({ through: this.#host.ring.lastSequence, open: [] });
    this.#save(group, false);
  }

  leave(group: SharedGroup, subscription: Subscription): void {
    group.leave(subscription);
    if (!group.isEmpty) return;
    this.#groups.delete(group.key);
    this.#moved.delete(group);
    this.#tree.remove(group.filter, group);
    if (group.isDurable) this.#state.delete(stateKey('share', group.key));
  }

  // At start, when the sessions have been taken up.

  /** A member that was there before the restart. */
  rejoin(group: SharedGroup, subscription: Subscription): void {
    if (!group.isDurable) {
      const stored = this.#state.get(stateKey('share', group.key)) as StoredGroup | undefined;
      group.makeDurable(stored ?? { through: subscription.since - 1, open: [] });
      group.lapped = stored?.lapped ?? 0;
    }
    group.join(subscription);
  }

  /** Cursors of groups whose members are all gone. */
  forgetLeftovers(): void {
    for (const [key] of [...this.#state.entries(stateKey('share', ''))]) {
      if (!this.#groups.has(stateKeyParts(key)[1] as string)) this.#state.delete(key);
    }
  }

  /** A QoS 2 message that a session had begun with. Its group may be gone: then it is the session's alone. */
  reclaim(filter: string, sequence: number): Claim {
    const group = this.#groups.get(filter);
    if (group !== undefined) return group.reclaim(sequence);
    return { filter, sequence, settle: () => undefined, giveBack: () => undefined };
  }

  // While it runs.

  /** Saves cursors that moved. Called with those of sessions. */
  saveCursors(): void {
    for (const group of [...this.#moved]) this.#save(group, false);
  }

  /** Saves what the log has not told of yet. Called at stop, and now and then. */
  saveLapped(): void {
    for (const group of this.#groups.values()) if (group.lapped > 0) this.#save(group, true);
  }

  /** The lowest sequence that a group has not given out; Infinity if none. */
  lowestOwed(): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const group of this.#groups.values()) lowest = Math.min(lowest, group.lowestOwed);
    return lowest;
  }

  /** The cursor says that the message is done before its hand-shake is forgotten. */
  saveCursorOf(filter: string): void {
    const group = this.#groups.get(filter);
    if (group !== undefined) this.#save(group, true);
  }

  #save(group: SharedGroup, rides: boolean): void {
    this.#moved.delete(group);
    const { position } = group;
    if (position === undefined || this.#groups.get(group.key) !== group) return;
    const { lapped } = group;
    const stored: StoredGroup = lapped > 0 ? { ...position, lapped } : position;
    this.#state.put(stateKey('share', group.key), stored, { rides });
  }
}
