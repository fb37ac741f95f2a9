import type { StateStore } from '../metadata/state-store.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { EventTimes } from '../ring/event-time.ts';
import type { Ring } from '../ring/types.ts';
import { WaitingMemory } from '../session/waiting-queue.ts';
import type { StreamTable } from '../streams/stream-table.ts';
import { CatchUp, type RingReader } from './catch-up.ts';
import type { BrokerCounters } from './counters.ts';
import type { Durability } from './durability.ts';
import type { BrokerLimits } from './limits.ts';
import { LappedMessages } from './lapped-messages.ts';
import type { MessageExpiry } from './message-expiry.ts';
import { OutgoingPool } from './outgoing-queue.ts';
import { SessionRegistry } from './session-registry.ts';
import type { SharedGroup } from './shared-group.ts';
import { SharedSubscriptions } from './shared-subscriptions.ts';
import type { Subscription } from './subscription.ts';
import { SubscriptionTree } from './subscription-tree.ts';
import { TopicTable } from './topics.ts';

/** Messages that wait in memory for sessions and groups, all together. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

export interface SessionParts {
  readonly topics: TopicTable;
  readonly registry: SessionRegistry;
  readonly lapped: LappedMessages;
}

/** Makes what keeps sessions, their subscriptions and what they are to be told, and joins it up. */
export function createSessionParts(options: {
  readonly ring: Ring;
  readonly state: StateStore;
  readonly durability: Durability;
  readonly streams: StreamTable;
  readonly clock: Clock;
  readonly times: EventTimes;
  readonly expiry: MessageExpiry;
  readonly counters: BrokerCounters;
  readonly logger: Logger;
  readonly limits: BrokerLimits;
  /** The ring could not be read for these. */
  readonly onReadFailure: (readers: readonly RingReader[], error: unknown) => void;
}): SessionParts {
  const { ring, state, durability, streams, clock, times, expiry, counters, logger, limits } =
    options;
  const tree = new SubscriptionTree<Subscription>();
  const sharedTree = new SubscriptionTree<SharedGroup>();
  const topics = new TopicTable(streams, tree, sharedTree);
  const memory = new WaitingMemory(MAX_WAITING_BYTES);
  const queue = { messages: limits.sessionQueueMessages, bytes: limits.sessionQueueBytes };
  const catchUp = new CatchUp({ ring, topics, clock, onFailure: options.onReadFailure });
  const lapped = new LappedMessages({
    topics,
    counters,
    clock,
    expiry,
    logger,
    lowestOwed: () => Math.min(registry.lowestOwed(), ring.lastSequence + 1),
  });
  const shared = new SharedSubscriptions({
    state,
    tree: sharedTree,
    host: {
      ring,
      catchUp,
      memory,
      limits: queue,
      dropped: (reason, count) => counters.drop(reason, count),
      lost: (group, count, isAnybodyThere) => lapped.lost(group, count, isAnybodyThere),
      tellLapped: (group) => void lapped.tell(group),
      isExpired: (publication) => expiry.isExpired(publication),
    },
  });
  const registry = new SessionRegistry({
    ring,
    state,
    times,
    expiry,
    durability,
    counters,
    tree,
    topics,
    window: limits.inflight,
    queue,
    outgoing: new OutgoingPool(memory),
    shared,
    catchUp,
    lapped,
    sessionExpiryMaxMs: limits.sessionExpiryMaxMs,
    maxStateBytes: limits.stateBytes,
  });
  return { topics, registry, lapped };
}
