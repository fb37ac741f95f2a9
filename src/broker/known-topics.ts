import type { RecordSource } from '../ring/types.ts';
import type { Topic } from './topics.ts';

/** A client's PUBLISH topics are few: with its last ones at hand the router is not asked for each. */
export interface KnownTopic {
  readonly topic: Topic;
  readonly source: RecordSource;
  /** As the rights of this generation say. */
  mayPublish: boolean;
  rightsGeneration: number;
}

/** Shared by all connections that have published nothing, and never added to. */
export const NO_TOPICS = new Map<string, KnownTopic>();
