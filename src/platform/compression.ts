/** CRC-32 (IEEE 802.3), continuing from `seed`. Native in Node (`zlib.crc32`). */
export type Crc32 = (data: Uint8Array, seed: number) => number;

/** Thorough takes three to six times as long, and less room by a sixth at best (telemetry). */
export type CompressionEffort = 'quick' | 'thorough';

/** zstd, synchronous: batches are at most a few hundred KiB. */
export interface Compressor {
  /** The result is good until the next call, and is unpacked in the same way whatever the effort was. */
  compress(data: Uint8Array, effort: CompressionEffort): Uint8Array;
  /** Throws RING_DAMAGED when `data` is not a zstd frame or is longer than `maxBytes` unpacked. */
  decompress(data: Uint8Array, maxBytes: number): Uint8Array;
}
