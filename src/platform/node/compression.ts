import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { CisternError } from '../../base/errors.ts';
import type { Compressor, Crc32 } from '../compression.ts';

/** The CRC-32 of zlib, which uses the processor's carry-less multiplication. */
export const nodeCrc32: Crc32 = (data, seed) => crc32(data, seed);

// Level 1: on a Raspberry Pi the higher levels cost more time than the saved page of flash.
const compressOptions = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

export const nodeCompressor: Compressor = {
  compress(data) {
    return zstdCompressSync(data, compressOptions);
  },

  decompress(data, maxBytes) {
    try {
      return zstdDecompressSync(data, { maxOutputLength: maxBytes });
    } catch (cause) {
      throw new CisternError('RING_DAMAGED', 'A compressed batch cannot be unpacked.', { cause });
    }
  },
};
