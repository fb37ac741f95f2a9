import {
  constants,
  crc32,
  createZstdCompress,
  type ZstdOptions,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib';
import { assert } from '../../base/assert.ts';
import { CisternError } from '../../base/errors.ts';
import type { CompressionEffort, Compressor, Crc32 } from '../compression.ts';

/** The CRC-32 of zlib, which uses the processor's carry-less multiplication. */
export const nodeCrc32: Crc32 = (data, seed) => crc32(data, seed);

// Levels 3 to 5 take no fewer pages than level 1 on telemetry, 8 and 9 hardly fewer than 7
// (src/ring/DESIGN.md has the measurement).
const levels: Record<CompressionEffort, number> = { quick: 1, thorough: 7 };

function optionsFor(effort: CompressionEffort): ZstdOptions {
  return { params: { [constants.ZSTD_c_compressionLevel]: levels[effort] } };
}

/** Holds nothing: for tools and for where compression is rare. */
export const nodeCompressor: Compressor = {
  compress: (data, effort) => zstdCompressSync(data, optionsFor(effort)),
  decompress,
};

/**
 * Compresses in contexts that are made once, one for each effort: of the 35 µs that
 * `zstdCompressSync` takes for a batch of 7 KB, 25 to 29 go into making and freeing its own, and the
 * peer's ack waits for them. Node has no public way to do this synchronously, so this uses the handle
 * behind its stream; where a Node version has it no more, the public function does the work.
 */
export function createNodeCompressor(): Compressor {
  const quick = createContext('quick');
  const thorough = createContext('thorough');
  if (quick === undefined || thorough === undefined) return nodeCompressor;
  return {
    compress: (data, effort) => (effort === 'quick' ? quick(data) : thorough(data)),
    decompress,
  };
}

type Compress = (data: Uint8Array) => Uint8Array;

function createContext(effort: CompressionEffort): Compress | undefined {
  const stream: unknown = createZstdCompress(optionsFor(effort));
  if (!isSyncStream(stream)) return undefined;
  const { _handle: handle, _writeState: left } = stream;
  let target = Buffer.allocUnsafeSlow(64 * 1024);
  return (data) => {
    const bound = compressBound(data.length);
    if (target.length < bound) target = Buffer.allocUnsafeSlow(bound);
    const { ZSTD_e_end } = constants;
    handle.writeSync(ZSTD_e_end, data, 0, data.length, target, 0, target.length);
    // With room for the worst case a frame is always ended by one call.
    assert(left[INPUT_LEFT] === 0, 'zstd left input behind');
    return target.subarray(0, target.length - (left[OUTPUT_LEFT] ?? 0));
  };
}

function decompress(data: Uint8Array, maxBytes: number): Uint8Array {
  try {
    return zstdDecompressSync(data, { maxOutputLength: maxBytes });
  } catch (cause) {
    throw new CisternError('RING_DAMAGED', 'A compressed batch cannot be unpacked.', { cause });
  }
}

/** `ZSTD_COMPRESSBOUND` of zstd.h, with room to spare. */
function compressBound(bytes: number): number {
  return bytes + (bytes >> 7) + 1024;
}

/** Places in `_writeState`. */
const OUTPUT_LEFT = 0;
const INPUT_LEFT = 1;

/** What lib/zlib.js of Node 22 to 24 keeps behind a stream. */
interface SyncStream {
  readonly _handle: {
    writeSync(
      flush: number,
      input: Uint8Array,
      inputOffset: number,
      inputLength: number,
      output: Uint8Array,
      outputOffset: number,
      outputLength: number,
    ): void;
  };
  readonly _writeState: Uint32Array;
}

function isSyncStream(stream: unknown): stream is SyncStream {
  if (typeof stream !== 'object' || stream === null) return false;
  if (!('_handle' in stream && '_writeState' in stream)) return false;
  const { _handle: handle, _writeState: state } = stream;
  const canWrite = typeof handle === 'object' && handle !== null && 'writeSync' in handle;
  return canWrite && typeof handle.writeSync === 'function' && state instanceof Uint32Array;
}
