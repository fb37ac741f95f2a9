import { assert } from '../base/assert.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import { decodeState, encodeState } from './state-codec.ts';
import type { Checkpoint, CheckpointChange, CheckpointStore, ControlLog } from './types.ts';

export interface StateStoreOptions {
  readonly log: ControlLog;
  readonly checkpoints: CheckpointStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the ring the log writes to; a checkpoint of another ring is not used. */
  readonly ringId: string;
}

/** A checkpoint is written when something has been dirty for so long. */
const CHECKPOINT_DELAY_MS = 60_000;
/** And, unless it is asked for, never sooner after the last one (or the last failure). */
const CHECKPOINT_GAP_MS = 5_000;
/**
 * Deletions remembered. One is needed only while an older record of its key may still lie in the
 * ring, and the checkpoint is lost; the oldest go first.
 */
const TOMBSTONES_MAX = 65_536;
/** The offset of a derived value: it is in no record. */
const DERIVED = -1;
/** The offset of a change that waits for room in the log; in a checkpoint it is one that still does. */
const OWED = -2;
/** Before another try, where the log has room and did not take the change all the same. */
const ROOM_RETRY_MS = 1_000;

const NOTHING = new Uint8Array(0);

interface Entry {
  /** Empty: a tombstone. Never changed in place. */
  readonly value: Uint8Array;
  /** Of the newest control record of the key in `$state`, or {@link DERIVED} or {@link OWED}. */
  readonly offset: number;
  /** Of the record that said so. Decides which of two is the newer. */
  readonly sequence: number;
}

/** A change that the log had no room for. */
interface Owed {
  readonly key: string;
  entry: Entry;
  readonly rides: boolean;
}

/**
 * The broker's durable state as compacted keys: every change is a control record in the ring, and a
 * checkpoint now and then spares the next start from reading them all.
 *
 * Life: `load`, then `replay` for what the ring holds beyond the checkpoint, then the rest. All
 * but the checkpoint is synchronous.
 *
 * Invariants:
 * - Of one key the change with the highest sequence counts, in whatever order records are replayed.
 * - A checkpoint holds no record that is later than the sequence it names, and is committed only when
 *   everything up to that sequence is durable in the ring.
 * - A change that the log has no room for is not lost: it is in memory and in the next checkpoint at
 *   once, and becomes a record before anything else is appended. The sequence it is told to get is
 *   the one it gets.
 */
export class StateStore {
  readonly #log: ControlLog;
  readonly #checkpoints: CheckpointStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #ringId: string;
  readonly #entries = new Map<string, Entry>();
  /** In the order of deletion, so that the oldest can be forgotten. */
  readonly #tombstones = new Set<string>();
  #dirty = new Set<string>();
  #replaceAll = false;
  #liveBytes = 0;
  /** What the checkpoint found at start covered: records up to there are in it, or gone. */
  #loaded = 0;
  /** Covered by the last durable checkpoint. */
  #covered = 0;
  /** Counts changes, and how many of them the last durable checkpoint holds. */
  #changes = 0;
  #coveredChanges = 0;
  #running: Promise<void> | undefined;
  #timer: Timer | undefined;
  #closed = false;
  /** In the order of the changes; the first one gets the next sequence of the log. */
  #owed: Owed[] = [];
  /** Keys changed while the log was suspended. Nobody waits for them, so the last value will do. */
  readonly #unlogged = new Set<string>();
  #awaitsRoom = false;
  #whenPaid: (() => void)[] = [];

  constructor(options: StateStoreOptions) {
    this.#log = options.log;
    this.#checkpoints = options.checkpoints;
    this.#clock = options.clock;
    this.#logger = options.logger.child('state');
    this.#ringId = options.ringId;
  }

  /**
   * Takes the checkpoint, if there is one of this ring. Control records with a higher sequence than
   * the one returned are to be replayed; 0 means all of them.
   */
  load(): { readonly sequence: number } {
    assert(this.#entries.size === 0 && this.#covered === 0, 'load comes first, and once');
    const checkpoint = this.#checkpoints.load();
    if (checkpoint === undefined || !this.#isUsable(checkpoint)) {
      this.#replaceAll = true;
      return { sequence: 0 };
    }
    for (const [key, bytes] of checkpoint.entries) {
      const entry = readEntry(bytes);
      this.#set(key, entry);
      if (entry.offset === OWED) this.#unlogged.add(key);
    }
    this.#loaded = checkpoint.sequence;
    this.#covered = Math.min(checkpoint.sequence, this.#log.lastSequence);
    if (this.#covered < checkpoint.sequence) {
      // The ring lost its tail to damage, and will give those sequences out again. The stored
      // checkpoint would hide the new records from the next start, so it is replaced soon.
      const lastSequence = this.#log.lastSequence;
      this.#logger.warn('checkpoint.ahead', { sequence: checkpoint.sequence, lastSequence });
      this.#loaded = this.#covered;
      this.#replaceAll = true;
      this.#schedule(0);
    }
    return { sequence: this.#covered };
  }

  /**
   * One of another ring says nothing of this one. An old copy is of no use either: what has ended
   * since then may be in no record any more, while all that is live is.
   */
  #isUsable({ ringId, sequence }: Checkpoint): boolean {
    if (ringId !== this.#ringId) {
      this.#logger.warn('checkpoint.of_another_ring', { ringId });
      return false;
    }
    const { checkpointSequence } = this.#log;
    if (sequence >= checkpointSequence) return true;
    this.#logger.warn('checkpoint.is_old', { sequence, checkpointSequence });
    return false;
  }

  /**
   * One control record found in the ring; an empty value deletes. Records may come in any order and
   * more than once (carried copies do).
   */
  replay(key: string, value: Uint8Array, offset: number, sequence: number): void {
    if (!this.#isNews(key, sequence)) return;
    this.#change(key, { value: value.slice(), offset, sequence });
  }

  /** The value of the key, or undefined. What its shape is, whoever wrote it knows. */
  get(key: string): unknown {
    const entry = this.#entries.get(key);
    return entry === undefined || entry.value.length === 0 ? undefined : decodeState(entry.value);
  }

  /**
   * Changes the key, by a control record. Durable when the ring is durable up to the sequence
   * returned. `rides`: the record opens no commit of its own.
   */
  put(key: string, value: unknown, options: { readonly rides?: boolean } = {}): number {
    const bytes = encodeState(value);
    assert(bytes.length > 0, 'an empty value deletes');
    return this.#append(key, bytes, options.rides ?? false);
  }

  /** Removes the key, by a control record; as `put`. Removing what is not there writes nothing. */
  delete(key: string, options: { readonly rides?: boolean } = {}): number {
    const known = this.#entries.get(key);
    if (known === undefined || known.value.length === 0) return this.lastSequence;
    return this.#append(key, NOTHING, options.rides ?? false);
  }

  /**
   * Derived state, which the ring's records can give again: in the next checkpoint, in no record.
   * Undefined removes it. With the sequence of the record it comes from, whatever is older than
   * what the store knows is ignored, so that records may be replayed in any order.
   */
  note(key: string, value: unknown, sequence?: number): void {
    if (sequence !== undefined && !this.#isNews(key, sequence)) return;
    if (value === undefined && sequence === undefined) {
      if (this.#entries.has(key)) this.#forget(key);
      return;
    }
    const bytes = value === undefined ? NOTHING : encodeState(value);
    const from = sequence ?? this.#log.lastSequence;
    this.#change(key, { value: bytes, offset: DERIVED, sequence: from });
  }

  /** Every live key that starts with `prefix`. Walks all keys: for starts, not for each message. */
  *entries(prefix: string): Generator<readonly [key: string, value: unknown]> {
    for (const [key, entry] of this.#entries) {
      if (entry.value.length > 0 && key.startsWith(prefix)) yield [key, decodeState(entry.value)];
    }
  }

  /**
   * Whether the control record at `offset` must be carried when its segment is recycled. A deletion
   * is carried once (`carried` says that it was), so that it outlives every older record of its key.
   */
  isLive(key: string, offset: number, carried = false): boolean {
    const entry = this.#entries.get(key);
    // Until the change is a record, the one before it is all that the ring has of the key.
    if (entry?.offset === OWED) return true;
    if (entry === undefined || entry.offset !== offset) return false;
    if (entry.value.length > 0 || !carried) return true;
    this.#forget(key);
    return false;
  }

  /** True while changes wait for room in the log. */
  get isOwing(): boolean {
    return this.#owed.length > 0;
  }

  /** The last sequence given out or promised: of the log, and of what waits for room in it. */
  get lastSequence(): number {
    return this.#log.lastSequence + this.#owed.length;
  }

  /** Calls `fn` once when every change so far is a record of the log; at once where it is already. */
  whenPaid(fn: () => void): void {
    if (this.#owed.length === 0) fn();
    else this.#whenPaid.push(fn);
  }

  /** Makes records of the changes that wait, as far as the log takes them. */
  pay(): void {
    if (this.#closed || this.#log.isSuspended) return;
    while (this.#owed.length > 0) {
      const [first] = this.#owed as [Owed];
      const place = this.#log.append(first.key, first.entry.value, first.rides);
      if (place === undefined) return this.#awaitRoom();
      this.#owed.shift();
      // A later change of the same key may be owed too, and says what holds.
      if (this.#entries.get(first.key) === first.entry) {
        this.#change(first.key, { value: first.entry.value, ...place });
      }
    }
    for (const fn of this.#whenPaid.splice(0)) fn();
    for (const key of this.#unlogged) {
      const entry = this.#entries.get(key);
      // A checkpoint from before the change became a record may say that it is owed still.
      if (entry?.offset === OWED) {
        const place = this.#log.append(key, entry.value, true);
        if (place === undefined) return this.#awaitRoom();
        this.#change(key, { value: entry.value, ...place });
      }
      this.#unlogged.delete(key);
    }
  }

  /** About what the live control records take in the ring, which carries them on for ever. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** The sequence up to which the last durable checkpoint holds every control record. */
  get coveredSequence(): number {
    return this.#covered;
  }

  /** Resolves when the state of this moment is in a durable checkpoint. Calls at one time join. */
  async checkpoint(): Promise<void> {
    const changes = this.#changes;
    const sequence = this.#log.lastSequence;
    while (this.#coveredChanges < changes || this.#covered < sequence) await this.#write();
  }

  /** Resolves when a durable checkpoint covers every control record up to `sequence`. */
  async checkpointCovering(sequence: number): Promise<void> {
    assert(sequence <= this.#log.lastSequence, 'nothing was appended with that sequence');
    while (this.#covered < sequence) await this.#write();
  }

  /** Writes the last checkpoint. The log must still take it; the checkpoint store is not closed. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.checkpoint();
  }

  #append(key: string, value: Uint8Array, rides: boolean): number {
    assert(!this.#closed, 'the state store is closed');
    this.pay();
    if (this.#log.isSuspended) return this.#suspend(key, value);
    const place = this.#owed.length > 0 ? undefined : this.#log.append(key, value, rides);
    if (place === undefined) return this.#owe(key, value, rides);
    this.#unlogged.delete(key);
    this.#change(key, { value, ...place });
    return place.sequence;
  }

  #owe(key: string, value: Uint8Array, rides: boolean): number {
    const { lastSequence } = this.#log;
    const entry: Entry = { value, offset: OWED, sequence: lastSequence };
    this.#unlogged.delete(key);
    this.#change(key, entry);
    this.#awaitRoom();
    // What rides nobody waits for: a cursor that moves on while the log is full takes one place.
    const at = rides ? this.#owed.findIndex((owed) => owed.rides && owed.key === key) : -1;
    const known = this.#owed[at];
    if (known === undefined) this.#owed.push({ key, entry, rides });
    else known.entry = entry;
    return lastSequence + (known === undefined ? this.#owed.length : at + 1);
  }

  /** Nothing is promised that would have to wait: the answer may be given at once. */
  #suspend(key: string, value: Uint8Array): number {
    this.#change(key, { value, offset: OWED, sequence: this.#log.lastSequence });
    this.#unlogged.delete(key);
    this.#unlogged.add(key);
    this.#awaitRoom();
    return 0;
  }

  #awaitRoom(): void {
    if (this.#awaitsRoom) return;
    this.#awaitsRoom = true;
    let isAtOnce = true;
    this.#log.onRoom(() => {
      this.#awaitsRoom = false;
      if (isAtOnce) this.#clock.after(ROOM_RETRY_MS, () => this.pay());
      else this.pay();
    });
    isAtOnce = false;
  }

  /** What the checkpoint covers is in it, also by its absence: an old copy must not rise again. */
  #isNews(key: string, sequence: number): boolean {
    if (sequence <= this.#loaded) return false;
    const known = this.#entries.get(key);
    return known === undefined || known.sequence < sequence;
  }

  #change(key: string, entry: Entry): void {
    this.#set(key, entry);
    this.#markDirty(key);
  }

  #set(key: string, entry: Entry): void {
    this.#liveBytes += bytesOf(key, entry) - bytesOf(key, this.#entries.get(key));
    this.#entries.set(key, entry);
    this.#tombstones.delete(key);
    if (entry.value.length > 0) return;
    this.#tombstones.add(key);
    if (this.#tombstones.size <= TOMBSTONES_MAX) return;
    const [oldest] = this.#tombstones;
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(key: string): void {
    this.#liveBytes -= bytesOf(key, this.#entries.get(key));
    this.#entries.delete(key);
    this.#tombstones.delete(key);
    this.#markDirty(key);
  }

  #markDirty(key: string): void {
    this.#changes += 1;
    this.#dirty.add(key);
    this.#schedule(CHECKPOINT_DELAY_MS);
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      if (this.#dirty.size === 0 && !this.#replaceAll) return;
      this.#write().catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        this.#logger.warn('checkpoint.failed', { error: message });
      });
    });
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Joins the checkpoint that is being written, or begins one. */
  #write(): Promise<void> {
    this.#running ??= this.#writeOne().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** The capture happens before the first `await`: later changes belong to the next checkpoint. */
  async #writeOne(): Promise<void> {
    this.#cancelTimer();
    const sequence = this.#log.lastSequence;
    const changes = this.#changes;
    const captured = this.#dirty;
    this.#dirty = new Set();
    const change = this.#capture(captured, sequence);
    try {
      await this.#log.whenDurable(sequence);
      await this.#checkpoints.commit(change);
    } catch (error) {
      for (const key of captured) this.#dirty.add(key);
      this.#cancelTimer();
      this.#schedule(CHECKPOINT_GAP_MS);
      throw error;
    }
    this.#covered = sequence;
    this.#coveredChanges = changes;
    this.#replaceAll = false;
  }

  #capture(dirty: ReadonlySet<string>, sequence: number): CheckpointChange {
    const puts: [string, Uint8Array][] = [];
    const deletes: string[] = [];
    if (this.#checkpoints.isEmpty) this.#replaceAll = true;
    const keys = this.#replaceAll ? this.#entries.keys() : dirty;
    for (const key of keys) {
      const entry = this.#entries.get(key);
      if (entry !== undefined && isKept(entry)) puts.push([key, writeEntry(entry)]);
      else deletes.push(key);
    }
    return { ringId: this.#ringId, sequence, replaceAll: this.#replaceAll, puts, deletes };
  }
}

/** The removal of a derived value matters to the replay alone: once covered, its absence says it. */
function isKept(entry: Entry): boolean {
  return entry.value.length > 0 || entry.offset !== DERIVED;
}

/** What a carried record costs beside key and value: its own offset, sequence and time. */
const RECORD_OVERHEAD_BYTES = 32;

/** Derived values are in no record of their own. */
function bytesOf(key: string, entry: Entry | undefined): number {
  if (entry === undefined || entry.offset === DERIVED) return 0;
  // A deletion is remembered for a while and then forgotten: it must not keep anybody out.
  if (entry.value.length === 0) return 0;
  return key.length + entry.value.length + RECORD_OVERHEAD_BYTES;
}

/** In the checkpoint: offset (f64), sequence (f64), value. */
function writeEntry(entry: Entry): Uint8Array {
  const bytes = Buffer.alloc(16 + entry.value.length);
  bytes.writeDoubleLE(entry.offset, 0);
  bytes.writeDoubleLE(entry.sequence, 8);
  bytes.set(entry.value, 16);
  return bytes;
}

function readEntry(bytes: Uint8Array): Entry {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offset = view.getFloat64(0, true);
  return { offset, sequence: view.getFloat64(8, true), value: bytes.slice(16) };
}
