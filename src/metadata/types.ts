/**
 * A checkpoint: the state of the broker as it was at one sequence of the ring, so that a start need
 * not read the whole ring. It never holds a place on flash. Losing it loses nothing but time.
 */
export interface Checkpoint {
  readonly ringId: string;
  /** Every control record with sequence <= this is in `entries`, and nothing later is. */
  readonly sequence: number;
  readonly entries: Iterable<readonly [key: string, value: Uint8Array]>;
}

export interface CheckpointChange {
  readonly ringId: string;
  readonly sequence: number;
  /** True: the store is emptied first, in the same transaction. */
  readonly replaceAll: boolean;
  readonly puts: Iterable<readonly [key: string, value: Uint8Array]>;
  readonly deletes: Iterable<string>;
}

/** LMDB in the product, a memory twin in simulations; one contract suite runs over both. */
export interface CheckpointStore {
  /** Undefined when there is none, or it was damaged and set aside (`setAside` then says so). */
  load(): Checkpoint | undefined;
  /** Why the stored checkpoint could not be used, in one sentence, where that happened at open. */
  readonly setAside: string | undefined;
  /** True where there is none, so that the next commit has to hold everything. */
  readonly isEmpty: boolean;
  /** One transaction; resolves when it is flushed to the medium. */
  commit(change: CheckpointChange): Promise<void>;
  /** Bytes this process has written to the medium, as far as it can tell. */
  readonly writtenBytes: number;
  close(): Promise<void>;
}

/** Where control records go: the `$state` partition of the ring. */
export interface ControlLog {
  /**
   * Appends a control record; an empty value deletes. Returns its offset and sequence, or undefined
   * where the log takes none now: `onRoom` tells when.
   */
  append(
    key: string,
    value: Uint8Array,
    rides: boolean,
  ): { offset: number; sequence: number } | undefined;
  /** Calls `fn` once when the log may take records again, before anybody else appends. */
  onRoom(fn: () => void): void;
  /** True while nothing can be written and the owner wants no answer to wait for it. */
  readonly isSuspended: boolean;
  /** Resolves when everything with sequence <= this is durable. */
  whenDurable(sequence: number): Promise<void>;
  readonly lastSequence: number;
  /** What the log has let go of relies on a checkpoint of at least this sequence. */
  readonly checkpointSequence: number;
}
