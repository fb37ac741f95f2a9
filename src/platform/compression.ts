/** CRC-32 (IEEE 802.3), continuing from `seed`. Native in Node (`zlib.crc32`). */
export type Crc32 = (data: Uint8Array, seed: number) => number;

/** zstd, synchronous: batches are at most a few hundred KiB. */
export interface Compressor {
  /** The result is good until the next call. */
  compress(data: Uint8Array): Uint8Array;
  /** Throws RING_DAMAGED when `data` is not a zstd frame or is longer than `maxBytes` unpacked. */
  decompress(data: Uint8Array, maxBytes: number): Uint8Array;
}
