import { describe, expect, test } from 'vitest';
import { CUT_MODES, type CutMode } from '../support/sim-disk-image.ts';
import { oneMode, sample } from './sampling.ts';
import {
  checkCut,
  checkGoesOn,
  checkSecondCuts,
  freshLife,
  naming,
  nextLife,
  recover,
} from './scenario.ts';
import { recoverOwner } from './owner.ts';
import { verifyRecords, verifySame, verifyState } from './verify.ts';
import {
  type Moment,
  SEGMENT_BYTES,
  SLOTS,
  World,
  worldAfterCut,
  worldAfterKill,
} from './world.ts';

describe('a power cut', { timeout: 60_000 }, () => {
  test('at every operation of a first start and the first records, in every mode', async () => {
    const life = await freshLife({ seed: 11, groups: 14 });
    for (const [index, moment] of life.moments.entries()) {
      for (const mode of modesFor(moment)) await checkCut(moment, mode, 1000 + index);
    }
  });

  test('at every operation of a second start and what follows, in three modes', async () => {
    const first = await freshLife({ seed: 12, groups: 60 });
    const second = await nextLife(first, { seed: 13, groups: 25 });
    for (const [index, moment] of second.moments.entries()) {
      for (const mode of threeModes(index)) await checkCut(moment, mode, 2000 + index);
    }
  });

  test('during several laps of the ring, with recycling and carrying', async () => {
    const life = await severalLaps(21);
    for (const [index, moment] of sample(life.moments, 80, 22).entries()) {
      await checkCut(moment, oneMode(index), 3000 + index);
    }
  });

  test('while slots are being recycled, at every operation around a checkpoint', async () => {
    const life = await severalLaps(31);
    const around = life.moments.filter((_, index) =>
      life.moments
        .slice(Math.max(0, index - 3), index + 4)
        .some((one) => one.what === 'checkpoint'),
    );
    for (const [index, moment] of sample(around, 60, 32).entries()) {
      await checkCut(moment, index % 2 === 0 ? 'none' : oneMode(index), 4000 + index);
    }
  });

  test('a second time, at every operation of the recovery and of what follows it', async () => {
    const life = await severalLaps(41);
    for (const [index, moment] of sample(life.moments, 8, 42).entries()) {
      await checkSecondCuts(moment, index, 5000 + index);
    }
  });
});

describe('a row of power cuts', { timeout: 60_000 }, () => {
  test('one in each start, before the ring can recycle anything, takes nothing', async () => {
    const life = await severalLaps(91);
    for (const [index, moment] of sample(life.moments, 5, 92).entries()) {
      await naming(`first cut at ${moment.what}, index ${index}`, async () => {
        let world = worldAfterCut(moment, oneMode(index), 9000 + index);
        const found = await recover(world, moment);
        const state = recoverOwner(world.checkpoint.load(), found.scanned);
        for (let start = 1; start <= 12; start += 1) {
          world = worldAfterCut(world.moment(`start ${start}`), oneMode(index + start), start);
          const again = await recover(world, moment);
          verifySame(found, again);
          expect(recoverOwner(world.checkpoint.load(), again.scanned)).toEqual(state);
        }
      });
    }
  });
});

describe('a power cut that also takes the checkpoint', { timeout: 60_000 }, () => {
  test('leaves every value that the ring keeps by itself', async () => {
    const life = await severalLaps(51);
    for (const [index, moment] of sample(life.moments, 30, 52).entries()) {
      const mode = oneMode(index);
      await naming(`cut at ${moment.what}, mode ${mode}, index ${index}`, async () => {
        const world = worldAfterCut(withoutCheckpoint(moment), mode, 6000 + index);
        const found = await recover(world, moment);
        const state = world.start(found);
        verifyState(state, moment.ledger, { withCheckpoint: false });
        await checkGoesOn(world, moment, found);
      });
    }
  });
});

describe('kill -9', { timeout: 60_000 }, () => {
  test('keeps what is in the page cache, and a power cut after the next start takes nothing of it', async () => {
    const life = await severalLaps(61);
    for (const [index, moment] of sample(life.moments, 24, 62).entries()) {
      await naming(`killed at ${moment.what}, index ${index}`, async () => {
        const world = worldAfterKill(moment);
        const found = await recover(world, moment);
        for (const mode of ['none', 'subset', 'garbage'] as const) {
          const again = new World({ bootId: 'boot-2', disk: world.disk.image().cut(mode, index) });
          await again.open();
          verifySame(found, await again.observe());
        }
        world.start(found);
        await checkGoesOn(world, moment, found);
      });
    }
  });
});

describe('the ring without any cut', { timeout: 60_000 }, () => {
  test('keeps most of its size in records, and lets go only what it must', async () => {
    const life = await severalLaps(71);
    const last = life.moments.at(-1) as Moment;
    const world = worldAfterCut(last, 'none', 1);
    const found = await recover(world, last);
    verifyRecords(found, last.ledger, last.heads);
    const kept = [...found.read.values()]
      .flat()
      .reduce((sum, record) => sum + record.payload.length, 0);
    // Of sixteen segments some are free, being freed or being filled; headers and padding cost too.
    expect(kept).toBeGreaterThan(0.4 * SLOTS * SEGMENT_BYTES);
    expect(found.partitions.find((info) => info.stream === 'default')?.headOffset).toBeGreaterThan(
      0,
    );
    expect(life.logger.atLeast('warn')).toEqual([]);
  });
});

/** About three laps of the ring. */
function severalLaps(seed: number): Promise<World> {
  return freshLife({ seed, groups: 900 });
}

function modesFor(moment: Moment): readonly CutMode[] {
  // While the ring is being made nothing was promised yet, so one way of each kind is enough.
  return moment.ledger.tried === 0 ? ['all', 'none', 'garbage'] : CUT_MODES;
}

function threeModes(index: number): readonly CutMode[] {
  return [oneMode(index), oneMode(index + 3), oneMode(index + 6)];
}

function withoutCheckpoint(moment: Moment): Moment {
  return { ...moment, checkpoint: { durable: undefined, inFlight: undefined } };
}
