import { describe, test } from 'vitest';
import { liveAgainAndAgain } from './lives.ts';
import { naming } from './scenario.ts';

/**
 * Seeds that once failed are kept here, so that what they found stays mended: some in a life, and
 * some where a start was cut short, of which every operation is tried.
 */
const SEEDS = {
  cuts: { sampled: [1, 3, 5, 27], whole: [218, 227] },
  faults: { sampled: [2, 9, 13, 39], whole: [220, 278] },
};
/** Of the operations of a start, the part that is tried where they are sampled. */
const SAMPLED = 0.05;
const FAULT_CHANCE = 0.4;

/** `CISTERN_SEEDS=100-200` tries these seeds instead, with a cut at every operation of every start. */
const others = /^(\d+)-(\d+)$/.exec(process.env['CISTERN_SEEDS'] ?? '');
const timeout = others === null ? 120_000 : 3_600_000;

describe('one life after another, each ended at a random operation', { timeout }, () => {
  test('by a power cut or kill -9: everything acknowledged in any of them is still there', () =>
    liveAll(SEEDS.cuts, 0));

  test('and with writes that fail once in a while', () => liveAll(SEEDS.faults, FAULT_CHANCE));
});

async function liveAll(kept: (typeof SEEDS)['cuts'], faultChance: number): Promise<void> {
  if (others === null) {
    for (const seed of kept.whole) await live(seed, faultChance, 1);
    for (const seed of kept.sampled) await live(seed, faultChance, SAMPLED);
    return;
  }
  for (let seed = Number(others[1]); seed <= Number(others[2]); seed += 1) {
    await live(seed, faultChance, 1);
  }
}

function live(seed: number, faultChance: number, startsCutShort: number): Promise<void> {
  return naming(`seed ${seed}`, () => liveAgainAndAgain({ seed, faultChance, startsCutShort }));
}
