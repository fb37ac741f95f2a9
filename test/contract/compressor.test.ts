import { randomBytes } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { Compressor } from '../../src/platform/compression.ts';
import { createNodeCompressor, nodeCompressor } from '../../src/platform/node/compression.ts';
import { Telemetry } from '../bench/flash/telemetry.ts';

const implementations: readonly (readonly [string, () => Compressor])[] = [
  ['one context for each call', () => nodeCompressor],
  ['one context for all', createNodeCompressor],
];

describe.each(implementations)('compressor: %s', (name, create) => {
  test('unpacks to what was packed, whatever the size, one after another', () => {
    const compressor = create();
    for (const bytes of [1, 100, 4096, 70_000, 600_000, 3]) {
      for (const effort of ['quick', 'thorough'] as const) {
        for (const data of [Buffer.alloc(bytes, 'cistern'), randomBytes(bytes)]) {
          const packed = compressor.compress(data, effort);
          const unpacked = zstdDecompressSync(packed);
          expect(unpacked.equals(data), `${name}, ${bytes}, ${effort}`).toBe(true);
          expect(Buffer.from(compressor.decompress(packed, bytes)).equals(data)).toBe(true);
        }
      }
    }
  });

  test('what repeats becomes small, what does not grows by little', () => {
    const compressor = create();
    expect(compressor.compress(Buffer.alloc(100_000, 'abc'), 'quick').length).toBeLessThan(200);
    expect(compressor.compress(randomBytes(100_000), 'quick').length).toBeLessThan(100_100);
  });

  test('on telemetry a thorough try takes less room than a quick one', () => {
    const compressor = create();
    const telemetry = new Telemetry('json', 1);
    const data = Buffer.concat(Array.from({ length: 200 }, () => telemetry.next().payload));
    const quickBytes = compressor.compress(data, 'quick').length;
    expect(compressor.compress(data, 'thorough').length).toBeLessThan(0.95 * quickBytes);
  });

  test('refuses bytes that are no frame, and a frame that is longer than allowed', () => {
    const compressor = create();
    expect(() => compressor.decompress(randomBytes(100), 1000)).toThrow('cannot be unpacked');
    const packed = compressor.compress(Buffer.alloc(10_000), 'quick');
    expect(() => compressor.decompress(packed, 9_999)).toThrow('cannot be unpacked');
  });
});

test('the context is really used again: a Node without the handle would fall back unseen', () => {
  expect(createNodeCompressor()).not.toBe(nodeCompressor);
});
