import { describe, expect, test } from 'vitest';
import { CisternError } from '../../src/base/errors.ts';
import type { Fault } from '../support/sim-disk.ts';
import { checkCut, freshLife, naming, recover } from './scenario.ts';
import { verifySame } from './verify.ts';
import { appendWorkload } from './workload.ts';
import { World, worldAfterCut, worldAfterKill } from './world.ts';
import { collectUnhandled } from '../support/unhandled.ts';

const FAULTS: readonly Fault[] = ['EIO', 'ENOSPC', 'EROFS', 'SHORT'];
const GROUPS = 12;

/** Virtual; a ring that can go on has done so long before. */
const PATIENCE_MS = 120_000;

const unhandled = collectUnhandled();

describe('a fault at the N-th call', { timeout: 60_000 }, () => {
  for (const fault of FAULTS) {
    test(`${fault}, once: nothing is acknowledged falsely, all of it in the end`, async () => {
      const calls = await countCalls();
      for (let at = 1; at <= calls; at += fault === 'EIO' ? 1 : 2) {
        await naming(`${fault} once at operation ${at}`, () => checkFault(fault, at, false));
      }
      expect(unhandled).toEqual([]);
    });

    test(`${fault}, for ever: nothing more is acknowledged, and the next start is clean`, async () => {
      const calls = await countCalls();
      for (let at = 1; at <= calls; at += 3) {
        await naming(`${fault} for ever at operation ${at}`, () => checkFault(fault, at, true));
      }
      expect(unhandled).toEqual([]);
    });
  }

  test('a device that comes back: everything that waited is written and acknowledged', async () => {
    const world = await startedWorld();
    world.disk.failAt(world.disk.operations + 4, 'EIO', true);
    const load = watch(appendWorkload(world, { seed: 3, groups: GROUPS }));
    await world.clock.advance(PATIENCE_MS);
    expect(load.state).toBe('pending');
    expect(world.ring.statistics().failure).toBeInstanceOf(CisternError);
    expect(world.ring.accepting).toBe(false);
    expect(world.logger.atLeast('error').length).toBeGreaterThan(0);
    world.disk.heal();
    await world.clock.advance(PATIENCE_MS);
    expect(load.state).toBe('resolved');
    expect(world.ring.statistics().failure).toBeUndefined();
    expect(world.ring.accepting).toBe(true);
    expect(world.ledger.acked).toBe(world.ledger.entries.length);
    await checkCut(world.moment('healed'), 'none', 1);
  });
});

describe('a worn slot', { timeout: 60_000 }, () => {
  test('that takes no writes is set aside; all else goes on, and the next start knows', async () => {
    const world = await startedWorld();
    world.disk.failFile('slot-0005', 'EIO');
    await world.run(appendWorkload(world, { seed: 5, groups: 350 }));
    expect(world.ledger.acked).toBe(world.ledger.entries.length);
    expect(world.ring.statistics()).toMatchObject({ retiredSlots: [5], failure: undefined });
    expect(world.logger.atLeast('warn').map((entry) => entry.event)).toContain('ring.slot_retired');
    const moment = world.moment('over a lap later');
    await checkCut(moment, 'none', 1);
    const next = worldAfterCut(moment, 'none', 1);
    await next.open();
    expect(next.ring.statistics().retiredSlots).toEqual([5]);
  });

  test('in which a segment lives is never written again, also when that has been let go', async () => {
    const world = await startedWorld();
    let isWorn = false;
    let writes = 0;
    world.disk.onOperation = ({ kind, name, offset }) => {
      if (kind !== 'writeDurable' || name !== 'slot-0004') return;
      if (isWorn) writes += 1;
      if (isWorn || offset === 0) return;
      isWorn = true;
      world.disk.failFile(name, 'EIO');
    };
    await world.run(appendWorkload(world, { seed: 5, groups: 700 }));
    expect(world.ledger.acked).toBe(world.ledger.entries.length);
    expect(isWorn).toBe(true);
    expect(world.ring.statistics()).toMatchObject({
      retiredSlots: [expect.any(Number)],
      failure: undefined,
    });
    expect(writes).toBe(0);
  });

  test('or more of them than may be set aside do not stop the ring either', async () => {
    const world = await startedWorld();
    for (const slot of ['slot-0003', 'slot-0008', 'slot-0012']) world.disk.failFile(slot, 'EIO');
    await world.run(appendWorkload(world, { seed: 5, groups: 350 }));
    expect(world.ledger.acked).toBe(world.ledger.entries.length);
    expect(world.ring.statistics().retiredSlots).toHaveLength(2);
    await checkCut(world.moment('over a lap later'), 'none', 1);
  });
});

describe('a sync that fails', { timeout: 60_000 }, () => {
  test('in a start after kill -9 takes nothing that this start has shown', async () => {
    const life = await freshLife({ seed: 6, groups: 120 });
    // Only while a commit is under way is anything in the page cache alone.
    const writing = life.moments.filter(({ what }) => what.startsWith('writeDurable'));
    const sampled = writing.filter((_, index) => index % 4 === 3);
    expect(sampled.length).toBeGreaterThan(15);
    for (const moment of sampled) {
      await naming(`killed at ${moment.what}`, async () => {
        const world = worldAfterKill(moment);
        world.disk.failAt(1, 'EIO');
        const found = await recover(world, moment);
        expect(world.logger.atLeast('error').map(({ event }) => event)).toEqual([
          'ring.sync_failed',
        ]);
        const again = worldAfterCut(world.moment('after the start'), 'none', 1);
        await again.open();
        verifySame(found, await again.observe());
      });
    }
  });
});

/** Mutating calls of the whole scenario without any fault. */
async function countCalls(): Promise<number> {
  return (await freshLife({ seed: 3, groups: GROUPS })).disk.operations;
}

async function checkFault(fault: Fault, at: number, forever: boolean): Promise<void> {
  const world = new World({ seed: 3 });
  world.disk.failAt(at, fault, forever);
  const opened = await world.open().then(
    () => true,
    (error: unknown) => {
      expect(error).toBeInstanceOf(CisternError);
      return false;
    },
  );
  if (opened) {
    world.start(await world.observe());
    const load = watch(appendWorkload(world, { seed: 3, groups: GROUPS }));
    await world.clock.advance(PATIENCE_MS);
    expect(load.error).toBeUndefined();
    if (!forever) expect(load.state).toBe('resolved');
    if (forever && load.state === 'pending') {
      expect(world.ring.statistics().failure).toBeInstanceOf(CisternError);
    }
  }
  expect(world.disk.violations).toEqual([]);
  for (const mode of ['none', 'garbage'] as const) {
    await checkCut(world.moment('the end'), mode, at);
  }
}

async function startedWorld(): Promise<World> {
  const world = new World({ seed: 3 });
  await world.open();
  world.start(await world.observe());
  return world;
}

interface Watched {
  state: 'pending' | 'resolved' | 'rejected';
  error: unknown;
}

function watch(promise: Promise<unknown>): Watched {
  const watched: Watched = { state: 'pending', error: undefined };
  promise.then(
    () => {
      watched.state = 'resolved';
    },
    (error: unknown) => {
      watched.state = 'rejected';
      watched.error = error;
    },
  );
  return watched;
}
