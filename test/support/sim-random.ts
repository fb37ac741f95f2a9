import type { Random } from '../../src/platform/random.ts';

/**
 * Mulberry32: one 32-bit seed gives one endless sequence, the same on every machine. Not
 * cryptographic, which is the point: a failure is replayed from the seed it printed.
 */
export class SimRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 2^32). */
  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  fraction(): number {
    return this.uint32() / 2 ** 32;
  }

  /** Uniform whole number in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let index = 0; index < length; index += 4) {
      const word = this.uint32();
      for (let byte = index; byte < Math.min(index + 4, length); byte += 1) {
        bytes[byte] = word >>> (8 * (byte - index));
      }
    }
    return bytes;
  }

  /** A new sequence that depends on this one only through what it has given out so far. */
  fork(): SimRandom {
    return new SimRandom(this.uint32());
  }
}
