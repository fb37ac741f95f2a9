import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../src/platform/clock.ts';
import type { CompressionEffort, Compressor } from '../../../src/platform/compression.ts';
import { CompressionPolicy } from '../../../src/ring/compression-policy.ts';

const PAGE = 4096;
const HEADER = 100;

/** Says how small a body becomes and how long that takes, and notes which efforts were made. */
class ScriptedCompressor implements Compressor {
  readonly efforts: CompressionEffort[] = [];
  readonly #lengths: Record<CompressionEffort, number>;
  readonly #took: (effort: CompressionEffort) => void;

  constructor(quick: number, thorough: number, took: (effort: CompressionEffort) => void) {
    this.#lengths = { quick, thorough };
    this.#took = took;
  }

  compress(_data: Uint8Array, effort: CompressionEffort): Uint8Array {
    this.efforts.push(effort);
    this.#took(effort);
    return new Uint8Array(this.#lengths[effort]);
  }

  decompress(): Uint8Array {
    throw new Error('nothing is unpacked here');
  }
}

function policyWith(quick: number, thorough: number, clock: Pick<Clock, 'monotonicMs'> = still) {
  const took = (effort: CompressionEffort): void => {
    if (clock instanceof BusyClock) clock.nowMs += effort === 'quick' ? 0.09 : 1;
  };
  const compressor = new ScriptedCompressor(quick, thorough, took);
  return { compressor, policy: new CompressionPolicy(compressor, clock) };
}

const still = { monotonicMs: () => 0 };

/** A clock that runs on while something is compressed. */
class BusyClock {
  nowMs = 0;

  monotonicMs(): number {
    return this.nowMs;
  }
}

describe('a batch is compressed where that saves a page, its header counted', () => {
  test.each([
    { what: 'body and header fit one page', body: PAGE - HEADER, packed: 10, kept: false },
    { what: 'the header makes it two pages', body: PAGE - HEADER + 1, packed: 10, kept: true },
    { what: 'the last byte that saves one', body: 2 * PAGE, packed: PAGE - HEADER, kept: true },
    { what: 'a byte too many', body: 2 * PAGE - HEADER, packed: PAGE - HEADER + 1, kept: false },
  ])('$what', ({ body, packed, kept }) => {
    const { policy } = policyWith(packed, packed);
    expect(policy.compress(new Uint8Array(body), HEADER)?.length).toBe(kept ? packed : undefined);
  });
});

describe('a thorough try is made only where it may save a page', () => {
  test('the quick result reaches a little into its last page: the thorough one is kept', () => {
    const { policy, compressor } = policyWith(PAGE + 200, PAGE - HEADER);
    expect(policy.compress(new Uint8Array(20_000), HEADER)?.length).toBe(PAGE - HEADER);
    expect(compressor.efforts).toEqual(['quick', 'thorough']);
  });

  test.each([
    { what: 'the last page is well filled', body: 20_000, quick: PAGE + 1500 },
    { what: 'it fits one page', body: 20_000, quick: PAGE - HEADER },
    { what: 'nothing was gained', body: PAGE + 10, quick: PAGE + 30 },
    { what: 'the batch is large', body: 100_000, quick: 5 * PAGE },
  ])('not where $what', ({ body, quick }) => {
    const { policy, compressor } = policyWith(quick, 1);
    policy.compress(new Uint8Array(body), HEADER);
    expect(compressor.efforts).toEqual(['quick']);
  });

  test('fruitless ones become rare, quick ones go on', () => {
    const { policy, compressor } = policyWith(PAGE + 200, PAGE + 100);
    for (let batch = 0; batch < 200; batch++) policy.compress(new Uint8Array(20_000), HEADER);
    expect(compressor.efforts.filter((effort) => effort === 'quick')).toHaveLength(200);
    expect(compressor.efforts.filter((effort) => effort === 'thorough').length).toBeLessThan(10);
  });

  test('under load they leave quick ones their time: every batch is compressed', () => {
    const clock = new BusyClock();
    const { policy, compressor } = policyWith(PAGE + 200, PAGE - HEADER, clock);
    for (let batch = 0; batch < 10_000; batch++) {
      clock.nowMs += 2;
      expect(policy.compress(new Uint8Array(20_000), HEADER)).toBeDefined();
    }
    const thorough = compressor.efforts.filter((effort) => effort === 'thorough').length;
    expect(thorough).toBeGreaterThan(10);
    expect(thorough).toBeLessThan(1000);
  });
});

describe('copies', () => {
  test('are compressed whatever it costs: they must not need more room than before', () => {
    const clock = new BusyClock();
    const { policy } = policyWith(PAGE - HEADER, PAGE - HEADER, clock);
    const body = new Uint8Array(20_000);
    while (policy.compress(body, HEADER) !== undefined) clock.nowMs += 0.01;
    for (let batch = 0; batch < 100; batch++) {
      expect(policy.compressCopies(body, HEADER)).toBeDefined();
    }
    expect(policy.compressCopies(new Uint8Array(PAGE - HEADER), HEADER)).toBeUndefined();
  });
});
