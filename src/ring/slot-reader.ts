import { CisternError } from '../base/errors.ts';
import { inParallel } from '../base/in-parallel.ts';
import type { Crc32 } from '../platform/compression.ts';
import type { Logger } from '../platform/logger.ts';
import { isZero, PAGE_BYTES } from './format.ts';
import { decodeSegmentHeader, type SegmentHeader } from './segment-header.ts';
import type { SlotFiles } from './slot-files.ts';

/** Small reads under way at once: with none in the page cache, flash answers several as soon as one. */
export const PARALLEL_READS = 8;

/** What the start of a slot says. */
export type FirstPage =
  | { readonly kind: 'header'; readonly header: SegmentHeader; readonly lengthBytes: number }
  | { readonly kind: 'zero' }
  | { readonly kind: 'damaged' };

export interface SlotReaderOptions {
  readonly files: SlotFiles;
  readonly slotCount: number;
  /** Slots that have a file; absent: all. One without is as good as damaged, but no device's fault. */
  readonly existing?: ReadonlySet<number>;
  readonly segmentSizeBytes: number;
  readonly crc32: Crc32;
  readonly logger: Logger;
}

/** Reads slots for a start, on a device that may refuse: that throws nothing, it is logged. */
export class SlotReader {
  readonly #options: SlotReaderOptions;
  readonly #failed = new Set<number>();

  constructor(options: SlotReaderOptions) {
    this.#options = options;
  }

  /** Slots of which something could not be read. */
  get failedSlots(): readonly number[] {
    return [...this.#failed];
  }

  /** By slot. Throws RING_FORMAT_UNKNOWN where a newer program has written one. */
  async firstPages(): Promise<FirstPage[]> {
    const slots = Array.from({ length: this.#options.slotCount }, (_, slot) => slot);
    return inParallel(slots, PARALLEL_READS, (slot) => this.#firstPage(slot));
  }

  async #firstPage(slot: number): Promise<FirstPage> {
    const { crc32, segmentSizeBytes } = this.#options;
    let bytes = await this.read(slot, 0, PAGE_BYTES);
    if (bytes === undefined) return { kind: 'damaged' };
    let read = decodeSegmentHeader(bytes, crc32);
    if (read.kind === 'longer' && read.lengthBytes <= segmentSizeBytes) {
      bytes = (await this.read(slot, 0, read.lengthBytes)) ?? bytes;
      read = decodeSegmentHeader(bytes, crc32);
    }
    if (read.kind === 'valid' && read.header.slot === slot) {
      return { kind: 'header', header: read.header, lengthBytes: read.lengthBytes };
    }
    return isZero(bytes) ? { kind: 'zero' } : { kind: 'damaged' };
  }

  /** Undefined where the device refuses to read there, which is one more kind of damage. */
  async read(slot: number, offset: number, length: number): Promise<Uint8Array | undefined> {
    if (this.#options.existing?.has(slot) === false) return undefined;
    const bytes = new Uint8Array(length);
    try {
      await this.#options.files.read(slot, offset, bytes);
      return bytes;
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
      this.#failed.add(slot);
      this.#options.logger.error('ring.read_failed', { slot, offset, error: error.message });
      return undefined;
    }
  }

  /** All of it, or its first `length` bytes, with zeros where the device refuses. */
  async readSlot(slot: number, length = this.#options.segmentSizeBytes): Promise<Uint8Array> {
    const whole = await this.read(slot, 0, length);
    if (whole !== undefined) return whole;
    const bytes = new Uint8Array(length);
    for (let offset = 0; offset < length; offset += PAGE_BYTES) {
      const page = await this.read(slot, offset, PAGE_BYTES);
      if (page !== undefined) bytes.set(page, offset);
    }
    return bytes;
  }

  /** Makes durable what is in the page cache alone; false where the device refuses. */
  async sync(slot: number): Promise<boolean> {
    try {
      await this.#options.files.sync(slot);
      return true;
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
      this.#options.logger.error('ring.sync_failed', { slot, error: error.message });
      return false;
    }
  }
}
