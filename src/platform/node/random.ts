import { randomBytes } from 'node:crypto';
import type { Random } from '../random.ts';

export function createNodeRandom(): Random {
  return {
    bytes: (length) => new Uint8Array(randomBytes(length)),
    fraction: () => Math.random(),
  };
}
