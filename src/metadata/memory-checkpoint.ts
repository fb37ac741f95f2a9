import { CisternError } from '../base/errors.ts';
import type { Checkpoint, CheckpointChange, CheckpointStore } from './types.ts';

interface State {
  readonly ringId: string;
  readonly sequence: number;
  readonly entries: ReadonlyMap<string, Uint8Array>;
}

/** How long a simulated flush takes, and whether it works. Absent: at once, always. */
export type FlushMedium = () => Promise<void>;

/**
 * The checkpoint's twin for simulations. A commit is durable only when the flush it was given has
 * resolved; a flush that fails leaves what was there before.
 */
export class MemoryCheckpoint implements CheckpointStore {
  readonly setAside: string | undefined = undefined;
  readonly #flush: FlushMedium;
  #durable: State | undefined;
  #writtenBytes = 0;
  #closed = false;
  #crashed = false;

  constructor(flush: FlushMedium = () => Promise.resolve()) {
    this.#flush = flush;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  get isEmpty(): boolean {
    return this.#durable === undefined;
  }

  load(): Checkpoint | undefined {
    return this.#durable;
  }

  async commit(change: CheckpointChange): Promise<void> {
    if (this.#closed) throw new CisternError('CLOSED', 'The checkpoint is closed.');
    const base = change.replaceAll ? [] : (this.#durable?.entries ?? []);
    const entries = new Map(base);
    let bytes = 4096;
    for (const key of change.deletes) entries.delete(key);
    for (const [key, value] of change.puts) {
      entries.set(key, value.slice());
      bytes += key.length + value.length;
    }
    const next = { ringId: change.ringId, sequence: change.sequence, entries };
    await this.#flush();
    if (this.#crashed) throw new CisternError('CLOSED', 'The power went before the flush.');
    this.#durable = next;
    this.#writtenBytes += bytes;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** What the next start finds: only what was flushed. This instance is of no use afterwards. */
  crash(): MemoryCheckpoint {
    this.#closed = true;
    this.#crashed = true;
    const next = new MemoryCheckpoint(this.#flush);
    next.#durable = this.#durable;
    return next;
  }
}
