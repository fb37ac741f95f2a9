import { expect, it } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { StateStore } from '../../../src/metadata/state-store.ts';
import { createCursorStore } from '../../../src/uplink/cursor-store.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimClock } from '../../support/sim-clock.ts';

it('keeps the position of each uplink in each partition, and opens no commit for it', () => {
  const rides: boolean[] = [];
  const log = {
    lastSequence: 0,
    append(_key: string, _value: Uint8Array, ridesAlong: boolean) {
      rides.push(ridesAlong);
      log.lastSequence += 1;
      return { offset: log.lastSequence - 1, sequence: log.lastSequence };
    },
    onRoom: () => undefined,
    isSuspended: false,
    checkpointSequence: 0,
    whenDurable: () => Promise.resolve(),
  };
  const state = new StateStore({
    log,
    checkpoints: new MemoryCheckpoint(),
    clock: new SimClock(),
    logger: new MemoryLogger(),
    ringId: 'r1',
  });
  state.load();
  const cursors = createCursorStore(state);
  expect(cursors.load('cloud', 16)).toBeUndefined();
  cursors.save('cloud', 16, 5);
  cursors.save('cloud', 17, 6);
  cursors.save('other', 16, 7);
  cursors.save('cloud', 16, 2 ** 40);
  expect(cursors.load('cloud', 16)).toBe(2 ** 40);
  expect(cursors.load('cloud', 17)).toBe(6);
  expect(cursors.load('other', 16)).toBe(7);
  expect(rides).toEqual([true, true, true, true]);
});
