import type { Message } from './telemetry.ts';

/** Something that keeps messages on flash. */
export interface Store {
  /** All of `messages` are durable when it resolves. */
  commit(messages: readonly Message[]): Promise<void>;
  /** Commits so far, where the store decides how many a call takes. */
  commits?(): Promise<number>;
  /** Ends it as its users would; what it leaves for later is done, as far as it does that. */
  close(): Promise<void>;
}

export interface StoreKind {
  readonly name: string;
  /** Name, version and the settings that matter. */
  describe(): string;
  /** Makes an empty one in a folder that is there. */
  open(folder: string): Promise<Store>;
}
