import { expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { stateKey } from '../../../src/metadata/state-codec.ts';
import { StateStore } from '../../../src/metadata/state-store.ts';
import { Timekeeper } from '../../../src/streams/timekeeper.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimClock } from '../../support/sim-clock.ts';

const HOUR = 3_600_000;

test('a machine that is switched on every day is not remembered day by day for ever', async () => {
  const clock = new SimClock();
  const logger = new MemoryLogger();
  let sequence = 0;
  const log = {
    append: () => ({ offset: sequence, sequence: ++sequence }),
    onRoom: () => undefined,
    isSuspended: false,
    checkpointSequence: 0,
    whenDurable: () => Promise.resolve(),
    get lastSequence() {
      return sequence;
    },
  };
  const checkpoints = new MemoryCheckpoint();
  const state = new StateStore({ log, checkpoints, clock, logger, ringId: 'r' });
  state.load();
  for (let boot = 1; boot <= 400; boot += 1) {
    const lastTime = { bootNumber: boot - 1, monotonicMs: HOUR, wallMs: HOUR, trusted: false };
    const keeper = new Timekeeper({
      clock,
      ring: {
        bootNumber: boot,
        lastTime: boot === 1 ? undefined : lastTime,
        setTrustedOffset: () => undefined,
        onCopy: () => undefined,
      },
      state,
      evidence: { earliestMs: 0, read: async () => 'none' },
      logger,
    });
    await keeper.prepare();
    keeper.start();
    keeper.stop();
    if (boot < 400) continue;
    const aged = (bootNumber: number) =>
      keeper.ageMs({ bootNumber, monotonicMs: 0, wallMs: 0, trusted: false });
    expect(aged(399)).toBe(HOUR + clock.monotonicMs());
    expect(aged(300)).toBe(100 * HOUR + clock.monotonicMs());
    expect(aged(10)).toBeUndefined();
  }
  expect([...state.entries(stateKey('clock', ''))]).toHaveLength(256);
});
