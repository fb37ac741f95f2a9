import { assert } from '../base/assert.ts';
import type { Volume, VolumeFile } from '../platform/volume.ts';

/** Descriptors kept open besides the writer's; reading moves slowly from slot to slot. */
const MAX_OPEN_READERS = 8;
const ZERO_FILL_BYTES = 1 << 20;

export function slotName(slot: number): string {
  return `slot-${String(slot).padStart(4, '0')}`;
}

/** The number of a slot's file; undefined for names that are not ours. */
export function slotOfName(name: string): number | undefined {
  const digits = /^slot-(\d{4,})$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

interface OpenReader {
  readonly file: Promise<VolumeFile>;
  users: number;
}

/** The ring's files: one a slot, never created, renamed, truncated or extended once made. */
export class SlotFiles {
  readonly #volume: Volume;
  readonly #maxOpenReaders: number;
  readonly #readers = new Map<number, OpenReader>();
  #writer: { readonly slot: number; readonly file: VolumeFile } | undefined;

  constructor(volume: Volume, maxOpenReaders = MAX_OPEN_READERS) {
    this.#volume = volume;
    this.#maxOpenReaders = maxOpenReaders;
  }

  /** Of a slot that is there. */
  sizeOf(slot: number): Promise<number> {
    return this.#use(slot, (file) => file.size());
  }

  /** Reads from a slot; a slot that ends early is taken as zeros behind its end. */
  async read(slot: number, offset: number, target: Uint8Array): Promise<void> {
    const count = await this.#use(slot, (file) => file.read(offset, target));
    target.fill(0, count);
  }

  /** Durable when it returns. One at a time. */
  async writeDurable(slot: number, offset: number, data: Uint8Array): Promise<void> {
    const writer = await this.#writerOf(slot);
    await writer.writeDurable(offset, data);
  }

  /** Makes durable whatever is in the page cache alone. */
  async sync(slot: number): Promise<void> {
    const writer = await this.#writerOf(slot);
    await writer.sync();
  }

  /** Lets go of a slot whose file is to be removed; nobody may be reading it. */
  async forget(slot: number): Promise<void> {
    const reader = this.#readers.get(slot);
    this.#readers.delete(slot);
    await (await reader?.file)?.close();
  }

  /** To be called when no read and no write is under way. */
  async close(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    const readers = [...this.#readers.values()];
    this.#readers.clear();
    await writer?.file.close();
    await Promise.all(readers.map(async ({ file }) => (await file).close()));
  }

  async #use<T>(slot: number, fn: (file: VolumeFile) => Promise<T>): Promise<T> {
    const reader = this.#readerOf(slot);
    reader.users++;
    try {
      return await fn(await reader.file);
    } finally {
      reader.users--;
      await this.#trim();
    }
  }

  async #writerOf(slot: number): Promise<VolumeFile> {
    if (this.#writer?.slot === slot) return this.#writer.file;
    const old = this.#writer;
    this.#writer = undefined;
    await old?.file.close();
    const file = await this.#volume.open(slotName(slot), 'write');
    assert(this.#writer === undefined, 'two writers at once');
    this.#writer = { slot, file };
    return file;
  }

  #readerOf(slot: number): OpenReader {
    const known = this.#readers.get(slot);
    if (known !== undefined) {
      // The map keeps the order of use; the first one is the one used longest ago.
      this.#readers.delete(slot);
      this.#readers.set(slot, known);
      return known;
    }
    const reader = { file: this.#volume.open(slotName(slot), 'read'), users: 0 };
    this.#readers.set(slot, reader);
    reader.file.catch(() => this.#readers.delete(slot));
    return reader;
  }

  async #trim(): Promise<void> {
    for (const [slot, reader] of this.#readers) {
      if (this.#readers.size <= this.#maxOpenReaders) return;
      if (reader.users > 0) continue;
      this.#readers.delete(slot);
      await (await reader.file).close();
    }
  }
}

/** Makes or completes a slot's file: filled with zeros in the range, and synced. */
export async function makeSlot(
  volume: Volume,
  slot: number,
  { fromBytes, toBytes }: { readonly fromBytes: number; readonly toBytes: number },
  exists: boolean,
  onBytes: (byteCount: number) => void,
): Promise<void> {
  const name = slotName(slot);
  const file = exists ? await volume.open(name, 'write') : await volume.create(name);
  try {
    const zeros = new Uint8Array(Math.min(ZERO_FILL_BYTES, toBytes - fromBytes));
    for (let offset = fromBytes; offset < toBytes; offset += zeros.length) {
      const length = Math.min(zeros.length, toBytes - offset);
      await file.write(offset, zeros.subarray(0, length));
      onBytes(length);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
