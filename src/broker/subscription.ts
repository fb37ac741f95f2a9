import type { ClientSession } from './client-session.ts';
import type { SharedGroup } from './shared-group.ts';

/** SUBSCRIBE options [MQTT5 3.8.3.1]. 3.1.1 has only the QoS. */
export interface SubscriptionOptions {
  readonly qos: 0 | 1 | 2;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly retainHandling: 0 | 1 | 2;
  readonly subscriptionId: number | undefined;
}

export interface Subscription {
  readonly session: ClientSession;
  /** As the client wrote it, `$share` and name included. */
  readonly filter: string;
  readonly options: SubscriptionOptions;
  /** The first sequence it covers: messages routed before it was made are not for it. */
  readonly since: number;
  /** Whom it shares its messages with; undefined where it shares them with nobody. */
  readonly group: SharedGroup | undefined;
}

/** The identifiers that go out with a message of this subscription [MQTT-3.3.4-3]. */
export function subscriptionIdsOf({ subscriptionId }: SubscriptionOptions): readonly number[] {
  return subscriptionId === undefined ? NO_IDS : [subscriptionId];
}

const NO_IDS: readonly number[] = [];

/** A shared subscription's parts [MQTT5 4.8.2]. */
export interface SharedFilter {
  readonly name: string;
  /** What messages are matched with. */
  readonly filter: string;
}

/**
 * Takes `$share/<name>/<filter>` apart. Undefined for an ordinary filter; 'invalid' where it begins
 * as a shared one and is none [MQTT-4.8.2-1], [MQTT-4.8.2-2].
 */
export function parseSharedFilter(filter: string): SharedFilter | 'invalid' | undefined {
  if (!filter.startsWith('$share/')) return filter === '$share' ? 'invalid' : undefined;
  const nameEnd = filter.indexOf('/', '$share/'.length);
  const name = nameEnd === -1 ? '' : filter.slice('$share/'.length, nameEnd);
  const inner = filter.slice(nameEnd + 1);
  if (name === '' || /[+#]/.test(name) || inner === '') return 'invalid';
  return { name, filter: inner };
}
