import { open, type RootDatabase } from 'lmdb';
import { CisternError, type ErrorCode } from '../base/errors.ts';
import { fnv1a } from '../base/fnv1a.ts';
import type { Logger } from '../platform/logger.ts';
import type { Volume } from '../platform/volume.ts';
import { structureFault } from './lmdb-structure.ts';
import type { Checkpoint, CheckpointChange, CheckpointStore } from './types.ts';

export interface LmdbCheckpointOptions {
  /** Directory that `volume` stands for; LMDB opens its file by path, not through the volume. */
  readonly path: string;
  /** The same directory, for the marker and for setting damaged files aside. */
  readonly volume: Volume;
  readonly logger: Logger;
}

const FILE_NAME = 'checkpoint.mdb';
const LOCK_NAME = `${FILE_NAME}-lock`;
/** Present while nobody has yet read the whole file since it was opened. */
const MARKER_NAME = `${FILE_NAME}-opening`;
const DAMAGED_PREFIX = `${FILE_NAME}.damaged-`;
/** Damaged files are kept for a look by a human, but not without limit. */
const DAMAGED_FILES_MAX = 2;

/** Made and removed at once, to learn whether the medium takes a new checkpoint. */
const PROBE_NAME = `${FILE_NAME}-probe`;
const PROBE_BYTES = 64 * 1024;

/**
 * A checkpoint of a few MiB is the largest to be expected; a start has all of it in memory anyway.
 * Beyond this one, looking at it first would cost too much of that, and the marker alone has to do.
 */
const CHECKED_BYTES_MAX = 256 * 1024 * 1024;

const FORMAT = 1;
/** LMDB grows the map by itself; a small start keeps the address space and the file small. */
const MAP_BYTES_AT_START = 1024 * 1024;
const PAGE_BYTES = 4096;
/** LMDB takes keys up to 1,978 bytes with 4 KiB pages; longer ones are stored by number. */
const PLAIN_KEY_BYTES_MAX = 1024;

const HASH_BYTES = 4;

/** First byte of a stored key: what the entry is. */
const EntryKind = { header: 0, plain: 1, numbered: 2 } as const;

const headerKey = Buffer.of(EntryKind.header);

type Environment = RootDatabase<Buffer, Buffer>;

/**
 * Opens the checkpoint in LMDB, making it where there is none. A damaged one is set aside and
 * replaced by an empty one, because a checkpoint costs only time to lose. Damage inside the map is a
 * signal that nothing in this process can catch, so the file's structure is checked before the
 * library maps it. For what that check does not know, a marker file stands while the file has not
 * been read once: finding it at the next open is the proof of a crash.
 *
 * Fails with DATA_UNWRITABLE, DEVICE_FULL or DEVICE_FAILED where no checkpoint can be kept at all.
 */
export async function openLmdbCheckpoint(options: LmdbCheckpointOptions): Promise<CheckpointStore> {
  const { volume, logger } = options;
  const log = logger.child('metadata');
  let store: LmdbCheckpoint;
  try {
    store = await openUnderMarker(options);
  } catch (error) {
    // This process has not crashed, and so the next open must not take the marker for a proof of it.
    await volume.remove(MARKER_NAME).catch((later: unknown) => {
      log.warn('checkpoint.marker_stays', { error: messageOf(later) });
    });
    throw error;
  }
  await volume.remove(MARKER_NAME);
  await volume.syncDirectory();
  if (store.setAside !== undefined) log.warn('checkpoint.set_aside', { reason: store.setAside });
  return store;
}

async function openUnderMarker({ path, volume }: LmdbCheckpointOptions): Promise<LmdbCheckpoint> {
  const setAside = await setAsideIfUnreadable(volume);
  await probeRoom(volume);
  try {
    return openAndRead(path, setAside);
  } catch (error) {
    if (isDeviceFault(error)) throw asCisternError('open', error);
    const reason = `the checkpoint could not be read: ${messageOf(error)}`;
    await moveAside(volume, await volume.list());
    return openFresh(path, reason);
  }
}

/** Leaves the marker in place in either case. Returns why the file was set aside, if it was. */
async function setAsideIfUnreadable(volume: Volume): Promise<string | undefined> {
  const names = await volume.list();
  const crashed = names.includes(MARKER_NAME);
  if (!crashed) await setMarker(volume);
  if (!names.includes(FILE_NAME)) return undefined;
  const reason = crashed
    ? 'the last start ended while it was reading the checkpoint'
    : await faultOf(volume);
  if (reason !== undefined) await moveAside(volume, names);
  return reason;
}

async function setMarker(volume: Volume): Promise<void> {
  const marker = await volume.create(MARKER_NAME);
  await marker.close();
  await volume.syncDirectory();
}

/**
 * Fails where the medium takes no more. The library (lmdb 3.5.6) crashes the process when it cannot
 * write the first pages of a new file, so room for them is tried by other means before.
 */
async function probeRoom(volume: Volume): Promise<void> {
  const names = await volume.list();
  if (names.includes(PROBE_NAME)) await volume.remove(PROBE_NAME);
  if (names.includes(FILE_NAME)) return;
  const probe = await volume.create(PROBE_NAME);
  try {
    await probe.writeDurable(0, new Uint8Array(PROBE_BYTES));
  } finally {
    await probe.close();
    await volume.remove(PROBE_NAME);
  }
}

/** Why the library would not be safe with the file, as far as it can be told. */
async function faultOf(volume: Volume): Promise<string | undefined> {
  const file = await volume.open(FILE_NAME, 'read');
  try {
    const size = await file.size();
    if (size > CHECKED_BYTES_MAX) return undefined;
    const content = Buffer.allocUnsafe(size);
    const bytes = await file.read(0, content);
    const fault = structureFault(content.subarray(0, bytes));
    return fault === undefined ? undefined : `the checkpoint could not be read: ${fault}`;
  } catch (error) {
    // A page that the device refuses would be a signal to whoever has it mapped.
    if (!(error instanceof CisternError) || error.code !== 'DEVICE_FAILED') throw error;
    return `the checkpoint could not be read: ${error.message}`;
  } finally {
    await file.close();
  }
}

function openAndRead(path: string, setAside: string | undefined): LmdbCheckpoint {
  const environment = openEnvironment(path);
  try {
    return new LmdbCheckpoint(environment, setAside);
  } catch (error) {
    // The failed read is what the caller needs to know; closing has nothing to flush.
    void environment.close();
    throw error;
  }
}

function openFresh(path: string, setAside: string): LmdbCheckpoint {
  try {
    return openAndRead(path, setAside);
  } catch (error) {
    throw asCisternError('make', error);
  }
}

function openEnvironment(path: string): Environment {
  // overlappingSync, the library's default, resolves a commit before its flush. Without it the
  // commit writes its pages, calls fdatasync, and writes the meta page through an O_DSYNC
  // descriptor before it returns (seen with strace on lmdb 3.5.6).
  return open<Buffer, Buffer>({
    path: `${path}/${FILE_NAME}`,
    noSubdir: true,
    overlappingSync: false,
    encoding: 'binary',
    keyEncoding: 'binary',
    mapSize: MAP_BYTES_AT_START,
    pageSize: PAGE_BYTES,
    maxDbs: 1,
    // For writtenBytes. Not in the library's type, but in its options.
    ...{ trackMetrics: true },
  });
}

async function moveAside(volume: Volume, names: readonly string[]): Promise<void> {
  const numbers = names
    .filter((name) => name.startsWith(DAMAGED_PREFIX))
    .map((name) => Number(name.slice(DAMAGED_PREFIX.length)))
    .filter((number) => Number.isSafeInteger(number))
    .toSorted((a, b) => a - b);
  const next = (numbers.at(-1) ?? 0) + 1;
  if (names.includes(FILE_NAME)) await volume.rename(FILE_NAME, `${DAMAGED_PREFIX}${next}`);
  if (names.includes(LOCK_NAME)) await volume.remove(LOCK_NAME);
  for (const old of numbers.slice(0, Math.max(0, numbers.length + 1 - DAMAGED_FILES_MAX))) {
    await volume.remove(`${DAMAGED_PREFIX}${old}`);
  }
  await volume.syncDirectory();
}

interface Header {
  readonly ringId: string;
  readonly sequence: number;
  /** How many entries there are besides. */
  readonly entries: number;
}

/**
 * Entries are `[plain, key bytes] -> hash, value`. A key too long for LMDB is kept as
 * `[numbered, number] -> hash, key length, key, value`; the numbers live in memory and in the file
 * only. LMDB has no checksums, so each entry has the FNV-1a hash (u32) of what follows it in the
 * value, continued over the stored key, and the header tells how many entries there are.
 */
class LmdbCheckpoint implements CheckpointStore {
  readonly setAside: string | undefined;
  readonly #environment: Environment;
  readonly #longKeys = new Map<string, number>();
  /** What opening has read, until it is asked for once. */
  #opened: readonly (readonly [string, Uint8Array])[] | undefined;
  #nextLongKey = 1;
  #commits = 0;
  #closed = false;

  /** Reads and checks every entry once, so that a damaged page is met now, under the marker. */
  constructor(environment: Environment, setAside: string | undefined) {
    this.#environment = environment;
    this.setAside = setAside;
    const header = readHeader(environment);
    this.#opened = this.#readAll();
    if (this.#opened.length !== (header?.entries ?? 0)) throw new Error('entries are missing');
  }

  get writtenBytes(): number {
    if (this.#closed) return 0;
    const statistics = this.#environment.getStats() as { readonly pagesWritten?: number };
    // A commit also rewrites the sector of one meta page, which the device sees as a page.
    return ((statistics.pagesWritten ?? 0) + this.#commits) * PAGE_BYTES;
  }

  get isEmpty(): boolean {
    return readHeader(this.#environment) === undefined;
  }

  load(): Checkpoint | undefined {
    const header = readHeader(this.#environment);
    if (header === undefined) return undefined;
    return { ringId: header.ringId, sequence: header.sequence, entries: this.#entries() };
  }

  /**
   * The event loop waits for the flush: a few milliseconds, at most every five seconds. The
   * library's asynchronous batches were tried first, and rejected promises that nobody can catch
   * once the device was full.
   */
  async commit(change: CheckpointChange): Promise<void> {
    if (this.#closed) throw new CisternError('CLOSED', 'The checkpoint is closed.');
    this.#opened = undefined;
    try {
      this.#environment.transactionSync(() => this.#write(change));
      this.#commits += 1;
    } catch (error) {
      this.#readAll();
      throw asCisternError('write', error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#environment.close();
  }

  /**
   * Takes the long keys from the file, which after a failed transaction is not what memory says.
   * Throws where an entry is damaged.
   */
  #readAll(): (readonly [string, Uint8Array])[] {
    this.#longKeys.clear();
    const entries: (readonly [string, Uint8Array])[] = [];
    for (const { key, value } of this.#environment.getRange()) {
      if (key[0] === EntryKind.header) continue;
      const content = unseal(key, value);
      if (key[0] === EntryKind.numbered) {
        const number = key.readUInt32BE(1);
        const entry = splitNumbered(content);
        entries.push([entry.key, new Uint8Array(entry.value)]);
        this.#longKeys.set(entry.key, number);
        this.#nextLongKey = Math.max(this.#nextLongKey, number + 1);
      } else {
        entries.push([key.toString('utf8', 1), new Uint8Array(content)]);
      }
    }
    return entries;
  }

  #write(change: CheckpointChange): void {
    if (change.replaceAll) {
      for (const key of [...this.#environment.getKeys()]) this.#environment.removeSync(key);
      this.#longKeys.clear();
    }
    for (const key of change.deletes) {
      this.#environment.removeSync(this.#storedKey(key).key);
      this.#longKeys.delete(key);
    }
    for (const [key, value] of change.puts) {
      const stored = this.#storedKey(key);
      const content = stored.numbered ? joinNumbered(key, value) : value;
      this.#environment.putSync(stored.key, seal(stored.key, content));
    }
    this.#environment.removeSync(headerKey);
    const { entryCount } = this.#environment.getStats() as { readonly entryCount: number };
    const { ringId, sequence } = change;
    const header: StoredHeader = { format: FORMAT, ringId, sequence, entries: entryCount };
    const text = Buffer.from(JSON.stringify(header));
    this.#environment.putSync(headerKey, seal(headerKey, text));
  }

  *#entries(): Generator<readonly [string, Uint8Array]> {
    const opened = this.#opened;
    this.#opened = undefined;
    yield* opened ?? this.#readAll();
  }

  #storedKey(key: string): { readonly key: Buffer; readonly numbered: boolean } {
    const bytes = Buffer.from(key, 'utf8');
    if (bytes.length <= PLAIN_KEY_BYTES_MAX) {
      return { key: Buffer.concat([Buffer.of(EntryKind.plain), bytes]), numbered: false };
    }
    let number = this.#longKeys.get(key);
    if (number === undefined) {
      number = this.#nextLongKey;
      this.#nextLongKey += 1;
      this.#longKeys.set(key, number);
    }
    const stored = Buffer.alloc(5);
    stored[0] = EntryKind.numbered;
    stored.writeUInt32BE(number, 1);
    return { key: stored, numbered: true };
  }
}

function readHeader(environment: Environment): Header | undefined {
  const bytes = environment.get(headerKey);
  if (bytes === undefined) return undefined;
  const header = JSON.parse(unseal(headerKey, bytes).toString('utf8')) as Partial<StoredHeader>;
  if (header.format !== FORMAT) throw new Error(`its format is ${String(header.format)}`);
  const { ringId, sequence, entries } = header;
  if (ringId === undefined || sequence === undefined || entries === undefined) {
    throw new Error('its header is not complete');
  }
  return { ringId, sequence, entries };
}

interface StoredHeader extends Header {
  readonly format: number;
}

function seal(storedKey: Buffer, content: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(HASH_BYTES + content.length);
  sealed.writeUInt32LE(fnv1a(storedKey, fnv1a(content)), 0);
  sealed.set(content, HASH_BYTES);
  return sealed;
}

function unseal(storedKey: Buffer, sealed: Buffer): Buffer {
  const content = sealed.subarray(HASH_BYTES);
  const isWhole = sealed.length >= HASH_BYTES;
  if (!isWhole || sealed.readUInt32LE(0) !== fnv1a(storedKey, fnv1a(content))) {
    throw new Error('an entry is not what was written');
  }
  return content;
}

function joinNumbered(key: string, value: Uint8Array): Buffer {
  const bytes = Buffer.from(key, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes, value]);
}

function splitNumbered(stored: Buffer): { readonly key: string; readonly value: Buffer } {
  const end = 4 + stored.readUInt32BE(0);
  if (end > stored.length) throw new Error('an entry is shorter than its key');
  return { key: stored.toString('utf8', 4, end), value: stored.subarray(end) };
}

/** The library gives the system's errno as `code`; its own faults (a damaged page) are negative. */
const DEVICE_FAULTS: ReadonlyMap<unknown, ErrorCode> = new Map<unknown, ErrorCode>([
  [1, 'DATA_UNWRITABLE'],
  [13, 'DATA_UNWRITABLE'],
  [30, 'DATA_UNWRITABLE'],
  [28, 'DEVICE_FULL'],
  [122, 'DEVICE_FULL'],
]);

function isDeviceFault(error: unknown): boolean {
  return error instanceof Error && DEVICE_FAULTS.has((error as { code?: unknown }).code);
}

function asCisternError(task: 'open' | 'make' | 'write', cause: unknown): CisternError {
  const number = cause instanceof Error ? (cause as { code?: unknown }).code : undefined;
  // A write cut short by a full device reaches us as EIO, so the message names both.
  const code = DEVICE_FAULTS.get(number) ?? 'DEVICE_FAILED';
  const message = `Could not ${task} the checkpoint: ${messageOf(cause)}.`;
  const remedy = 'Check that the data directory is writable and that the device is not full.';
  return new CisternError(code, message, { cause, remedy });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
