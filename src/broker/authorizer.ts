import type { Rights } from '../auth/types.ts';
import { isSysTopic } from './sys-topics.ts';

/** What a client is known by once its CONNECT was accepted. */
export interface ClientIdentity {
  readonly clientId: string;
  /** As proven; undefined for an anonymous client, whatever it calls itself. */
  readonly username: string | undefined;
  readonly remoteAddress: string;
}

/** Nobody publishes in the broker's own name, whatever the rules say. */
export function mayPublish(rights: Rights, topic: string): boolean {
  return !isSysTopic(topic) && rights.mayPublish(topic);
}

/** Rules are about topics: of a shared subscription they are asked for the filter within it. */
export function maySubscribe(rights: Rights, filter: string): boolean {
  const inner = /^\$share\/[^/]*\/(.*)$/s.exec(filter)?.[1];
  return rights.maySubscribe(inner ?? filter);
}
