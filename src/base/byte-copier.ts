import { copyBytes } from './copy-bytes.ts';

/** Longer copies are faster by the native call. */
const WORDS_BYTES = 192;

/**
 * Copies into one buffer, for where millions of small payloads a second go to the same place: eight
 * bytes at a time without leaving JavaScript (64 bytes in 15 ns; by the native call 33 ns).
 */
export class ByteCopier {
  readonly #target: Uint8Array;
  readonly #targetView: DataView;
  #source: Uint8Array;
  #sourceView: DataView;

  constructor(target: Uint8Array) {
    this.#target = target;
    this.#targetView = viewOf(target);
    this.#source = target;
    this.#sourceView = this.#targetView;
  }

  /** Copies `source[start..end)` to the target at `at`; returns the position behind the copy. */
  copy(at: number, source: Uint8Array, start: number, end: number): number {
    if (end - start > WORDS_BYTES) return copyBytes(this.#target, at, source, start, end);
    if (source !== this.#source) {
      this.#source = source;
      this.#sourceView = viewOf(source);
    }
    const from = this.#sourceView;
    const to = this.#targetView;
    let read = start;
    let write = at;
    for (; read + 8 <= end; read += 8, write += 8) {
      // Compiled code moves the eight bytes in a register; no BigInt is made.
      to.setBigInt64(write, from.getBigInt64(read, true), true);
    }
    for (; read < end; read += 1, write += 1) to.setUint8(write, from.getUint8(read));
    return write;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
