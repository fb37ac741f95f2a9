import { CisternError } from '../base/errors.ts';
import type { Checkpoint, CheckpointChange, CheckpointStore } from './types.ts';

/**
 * A checkpoint that is opened again after a commit that failed: a device that comes back is used
 * again without a restart, whatever state the failure has left the store in (LMDB refuses every
 * commit after a write of it failed half-way).
 */
export class ReopeningCheckpoint implements CheckpointStore {
  readonly #open: () => Promise<CheckpointStore>;
  /** Undefined from a failed commit until it has been opened again. */
  #store: CheckpointStore | undefined;
  #setAside: string | undefined;
  #isEmpty: boolean;
  #closedBytes = 0;
  #isClosed = false;

  private constructor(store: CheckpointStore, open: () => Promise<CheckpointStore>) {
    this.#open = open;
    this.#store = store;
    this.#setAside = store.setAside;
    this.#isEmpty = store.isEmpty;
  }

  /** Rejects as `open` does, which is called again whenever a commit has failed. */
  static async open(open: () => Promise<CheckpointStore>): Promise<ReopeningCheckpoint> {
    return new ReopeningCheckpoint(await open(), open);
  }

  get setAside(): string | undefined {
    return this.#setAside;
  }

  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  get writtenBytes(): number {
    return this.#closedBytes + (this.#store?.writtenBytes ?? 0);
  }

  load(): Checkpoint | undefined {
    return this.#store?.load();
  }

  async commit(change: CheckpointChange): Promise<void> {
    if (this.#isClosed) throw new CisternError('CLOSED', 'The checkpoint is closed.');
    const store = this.#store ?? (await this.#openAgain());
    if (store.isEmpty && !this.#isEmpty) {
      this.#isEmpty = true;
      if (!change.replaceAll) throw begunAnew();
    }
    try {
      await store.commit(change);
      this.#isEmpty = false;
    } catch (error) {
      this.#store = undefined;
      this.#closedBytes += store.writtenBytes;
      await store.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#store?.close();
  }

  async #openAgain(): Promise<CheckpointStore> {
    this.#store = await this.#open();
    this.#setAside ??= this.#store.setAside;
    return this.#store;
  }
}

function begunAnew(): CisternError {
  return new CisternError('DEVICE_FAILED', 'The checkpoint was lost with a write that failed.', {
    remedy: 'Nothing need be done: it is written anew.',
  });
}
