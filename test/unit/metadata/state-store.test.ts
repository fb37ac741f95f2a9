import { describe, expect, it } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { stateKey } from '../../../src/metadata/state-codec.ts';
import { StateStore } from '../../../src/metadata/state-store.ts';
import type { CheckpointStore, ControlLog } from '../../../src/metadata/types.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimClock } from '../../support/sim-clock.ts';

interface LogRecord {
  readonly key: string;
  readonly value: Uint8Array;
  readonly offset: number;
  readonly sequence: number;
  readonly rides: boolean;
}

/** A control log in memory whose durability the test decides. */
class MemoryLog implements ControlLog {
  readonly records: LogRecord[] = [];
  lastSequence: number;
  /** Everything is durable at once unless this holds it back. */
  durable: Promise<void> = Promise.resolve();
  asked: number[] = [];

  constructor(lastSequence = 0) {
    this.lastSequence = lastSequence;
  }

  /** Records that it still takes. */
  room = Infinity;
  isSuspended = false;
  readonly checkpointSequence = 0;
  #onRoom: (() => void)[] = [];

  append(key: string, value: Uint8Array, rides: boolean): LogRecord | undefined {
    if (this.room === 0) return undefined;
    this.room -= 1;
    this.lastSequence += 1;
    const record = {
      key,
      value: value.slice(),
      offset: this.records.length,
      sequence: this.lastSequence,
      rides,
    };
    this.records.push(record);
    return record;
  }

  onRoom(fn: () => void): void {
    this.#onRoom.push(fn);
  }

  makeRoom(records: number): void {
    this.room = records;
    for (const fn of this.#onRoom.splice(0)) fn();
  }

  async whenDurable(sequence: number): Promise<void> {
    this.asked.push(sequence);
    await this.durable;
  }
}

interface Bench {
  readonly clock: SimClock;
  readonly log: MemoryLog;
  readonly logger: MemoryLogger;
  readonly state: StateStore;
}

function open(checkpoints: CheckpointStore, log = new MemoryLog(), ringId = 'r1'): Bench {
  const clock = new SimClock();
  const logger = new MemoryLogger();
  return { clock, log, logger, state: new StateStore({ log, checkpoints, clock, logger, ringId }) };
}

/** A start after a crash: the checkpoint, then every record of the log, in the order given. */
function restart(checkpoints: CheckpointStore, log: MemoryLog, records = log.records): Bench {
  const bench = open(checkpoints, log);
  bench.state.load();
  for (const { key, value, offset, sequence } of records) {
    bench.state.replay(key, value, offset, sequence);
  }
  return bench;
}

function contentOf(state: StateStore): Record<string, unknown> {
  return Object.fromEntries(state.entries(''));
}

class CountingCheckpoint extends MemoryCheckpoint {
  commits = 0;

  override async commit(change: Parameters<MemoryCheckpoint['commit']>[0]): Promise<void> {
    this.commits += 1;
    await super.commit(change);
  }
}

describe('keys and values', () => {
  it('gives back what was put, and what the log can replay', () => {
    const { state, log } = open(new MemoryCheckpoint());
    state.load();
    state.put(stateKey('session', 'a'), { expirySeconds: 60, names: ['x'] });
    const sequence = state.put('b', 1, { rides: true });
    expect(sequence).toBe(log.lastSequence);
    expect(state.get(stateKey('session', 'a'))).toEqual({ expirySeconds: 60, names: ['x'] });
    expect(log.records.map(({ rides }) => rides)).toEqual([false, true]);
    state.delete('b');
    expect(state.get('b')).toBeUndefined();
    expect(contentOf(restart(new MemoryCheckpoint(), log).state)).toEqual(contentOf(state));
  });

  it('lists by prefix, without what was removed', () => {
    const { state } = open(new MemoryCheckpoint());
    state.load();
    state.put(stateKey('sub', 'c1', 'a/#'), { qos: 1 });
    state.put(stateKey('sub', 'c1', 'b'), { qos: 0 });
    state.put(stateKey('sub', 'c2', 'b'), { qos: 2 });
    state.delete(stateKey('sub', 'c1', 'b'));
    const found = [...state.entries(stateKey('sub', 'c1', ''))];
    expect(found).toEqual([[stateKey('sub', 'c1', 'a/#'), { qos: 1 }]]);
  });

  it('writes no record for the removal of what is not there', () => {
    const { state, log } = open(new MemoryCheckpoint());
    state.load();
    state.delete('nothing');
    expect(log.records).toEqual([]);
  });
});

describe('recovery', () => {
  function history(): MemoryLog {
    const { state, log } = open(new MemoryCheckpoint());
    state.load();
    state.put('a', 1);
    state.put('b', 1);
    state.put('a', 2);
    state.delete('b');
    state.put('c', 3);
    return log;
  }

  it('finds the same state whatever the order of the records, and when some come twice', () => {
    const log = history();
    const orders = [
      log.records,
      log.records.toReversed(),
      [...log.records.slice(3), ...log.records.slice(0, 3), ...log.records],
    ];
    for (const records of orders) {
      const { state } = restart(new MemoryCheckpoint(), log, records);
      expect(contentOf(state)).toEqual({ a: 2, c: 3 });
    }
  });

  it('needs from the log only what is later than the checkpoint', async () => {
    const checkpoints = new MemoryCheckpoint();
    const { state, log } = open(checkpoints);
    state.load();
    state.put('a', 1);
    state.put('b', 1);
    await state.checkpoint();
    state.put('a', 2);
    const found = open(checkpoints.crash(), log);
    const { sequence } = found.state.load();
    expect(sequence).toBe(2);
    const later = log.records.filter((record) => record.sequence > sequence);
    for (const record of later) {
      found.state.replay(record.key, record.value, record.offset, record.sequence);
    }
    expect(contentOf(found.state)).toEqual({ a: 2, b: 1 });
  });

  it('does not let an old copy rise again that the checkpoint knows to be gone', async () => {
    const checkpoints = new MemoryCheckpoint();
    const { state, log } = open(checkpoints);
    state.load();
    state.put('a', 1);
    state.delete('a');
    // The deletion was carried once and let go: the checkpoint holds nothing of the key.
    expect(state.isLive('a', 1, true)).toBe(false);
    await state.checkpoint();
    const { state: found } = restart(checkpoints.crash(), log, log.records.slice(0, 1));
    expect(contentOf(found)).toEqual({});
  });

  it('takes nothing from the checkpoint of another ring, and replaces it', async () => {
    const checkpoints = new MemoryCheckpoint();
    const other = open(checkpoints, new MemoryLog(), 'other');
    other.state.load();
    other.state.put('foreign', 1);
    await other.state.checkpoint();
    const { state } = open(checkpoints);
    expect(state.load()).toEqual({ sequence: 0 });
    expect(contentOf(state)).toEqual({});
    state.put('own', 1);
    await state.checkpoint();
    expect(checkpoints.load()?.ringId).toBe('r1');
    expect([...(checkpoints.load()?.entries ?? [])].map(([key]) => key)).toEqual(['own']);
  });

  it('replaces a checkpoint that is ahead of a ring which lost its tail', async () => {
    const checkpoints = new MemoryCheckpoint();
    const before = open(checkpoints, new MemoryLog(100));
    before.state.load();
    before.state.put('a', 1);
    await before.state.checkpoint();
    const log = new MemoryLog(50);
    const kept = checkpoints.crash();
    const { state, clock, logger } = open(kept, log);
    expect(state.load()).toEqual({ sequence: 50 });
    state.put('b', 2);
    await clock.advance(10);
    expect(logger.entries.map(({ event }) => event)).toContain('checkpoint.ahead');
    state.put('c', 3);
    expect(kept.load()?.sequence).toBe(51);
    expect(contentOf(restart(kept.crash(), log).state)).toEqual({ a: 1, b: 2, c: 3 });
  });

  it('keeps derived values in the checkpoint alone', async () => {
    const checkpoints = new MemoryCheckpoint();
    const { state, log } = open(checkpoints);
    state.load();
    state.note('retained', { offset: 7 });
    state.note('gone', 1);
    state.note('gone', undefined);
    expect(log.records).toEqual([]);
    await state.checkpoint();
    expect(contentOf(restart(checkpoints.crash(), log).state)).toEqual({ retained: { offset: 7 } });
    expect(contentOf(restart(new MemoryCheckpoint(), log).state)).toEqual({});
  });

  it('orders derived values among records by the sequence they come from', () => {
    const { state } = open(new MemoryCheckpoint(), new MemoryLog(100));
    state.load();
    state.replay('receipt', new Uint8Array(0), 3, 20);
    state.note('receipt', { sequence: 10 }, 10);
    expect(state.get('receipt')).toBeUndefined();
    state.note('receipt', { sequence: 30 }, 30);
    expect(state.get('receipt')).toEqual({ sequence: 30 });
    state.note('receipt', undefined, 40);
    state.note('receipt', { sequence: 35 }, 35);
    expect(state.get('receipt')).toBeUndefined();
  });
});

describe('what the ring must carry', () => {
  it('is the newest record of each key, also after a restart from the checkpoint', async () => {
    const checkpoints = new MemoryCheckpoint();
    const { state, log } = open(checkpoints);
    state.load();
    state.put('a', 1);
    state.put('a', 2);
    expect([state.isLive('a', 0), state.isLive('a', 1), state.isLive('x', 0)]).toEqual([
      false,
      true,
      false,
    ]);
    await state.checkpoint();
    const { state: found } = restart(checkpoints.crash(), log, []);
    expect([found.isLive('a', 0), found.isLive('a', 1)]).toEqual([false, true]);
  });

  it('is a deletion too, but once only', () => {
    const { state } = open(new MemoryCheckpoint());
    state.load();
    state.put('a', 1);
    state.delete('a');
    expect(state.isLive('a', 1)).toBe(true);
    expect(state.isLive('a', 1, true)).toBe(false);
  });
});

describe('a checkpoint', () => {
  it('is committed only when the ring is durable up to its sequence', async () => {
    const checkpoints = new CountingCheckpoint();
    const { state, log, clock } = open(checkpoints);
    state.load();
    const { promise, resolve } = Promise.withResolvers<void>();
    log.durable = promise;
    state.put('a', 1);
    const done = state.checkpoint();
    await clock.settle();
    expect(log.asked).toEqual([1]);
    expect(checkpoints.commits).toBe(0);
    resolve();
    await done;
    expect(checkpoints.load()?.sequence).toBe(1);
  });

  it('holds the state of the moment it was asked for, and nothing later', async () => {
    const checkpoints = new CountingCheckpoint();
    const { state, log } = open(checkpoints);
    state.load();
    const { promise, resolve } = Promise.withResolvers<void>();
    log.durable = promise;
    state.put('a', 1);
    const done = state.checkpoint();
    state.put('a', 2);
    state.put('b', 2);
    resolve();
    await done;
    expect(state.coveredSequence).toBe(1);
    const { state: found } = restart(checkpoints.crash(), log, []);
    expect(contentOf(found)).toEqual({ a: 1 });
    expect(contentOf(restart(checkpoints.crash(), log).state)).toEqual({ a: 2, b: 2 });
  });

  it('joins calls at one time, and makes one more for what came after it began', async () => {
    const checkpoints = new CountingCheckpoint();
    const { state, log } = open(checkpoints);
    state.load();
    state.put('a', 1);
    const first = [state.checkpoint(), state.checkpoint(), state.checkpointCovering(1)];
    state.put('b', 2);
    const second = [state.checkpoint(), state.checkpointCovering(2)];
    await Promise.all([...first, ...second]);
    expect(checkpoints.commits).toBe(2);
    expect(state.coveredSequence).toBe(log.lastSequence);
    await state.checkpointCovering(2);
    expect(checkpoints.commits).toBe(2);
  });

  it('comes by itself a minute after the first change, and not without one', async () => {
    const checkpoints = new CountingCheckpoint();
    const { state, clock } = open(checkpoints);
    state.load();
    await clock.advance(300_000);
    expect(checkpoints.commits).toBe(0);
    state.put('a', 1);
    await clock.advance(59_000);
    state.put('a', 2);
    expect(checkpoints.commits).toBe(0);
    await clock.advance(1_001);
    expect(checkpoints.commits).toBe(1);
    await clock.advance(300_000);
    expect(checkpoints.commits).toBe(1);
  });

  it('that fails loses nothing, tells who asked, and is tried again five seconds later', async () => {
    let isBroken = false;
    const checkpoints = new CountingCheckpoint(async () => {
      if (isBroken) throw new Error('no space');
    });
    const { state, log, clock, logger } = open(checkpoints);
    state.load();
    state.put('first', 0);
    await state.checkpoint();
    isBroken = true;
    state.put('a', 1);
    await expect(state.checkpoint()).rejects.toThrow('no space');
    await clock.advance(5_001);
    expect(checkpoints.commits).toBe(3);
    expect(logger.entries.map(({ event }) => event)).toContain('checkpoint.failed');
    isBroken = false;
    await clock.advance(5_001);
    expect(checkpoints.commits).toBe(4);
    const { state: found } = restart(checkpoints.crash(), log, []);
    expect(contentOf(found)).toEqual({ first: 0, a: 1 });
  });

  it('is written at the end', async () => {
    const checkpoints = new CountingCheckpoint();
    const { state, log, clock } = open(checkpoints);
    state.load();
    state.put('a', 1);
    await state.close();
    expect(contentOf(restart(checkpoints.crash(), log, []).state)).toEqual({ a: 1 });
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a log that takes nothing', () => {
  it('is owed the changes, in order and under the sequences that were promised', () => {
    const { state, log } = open(new MemoryCheckpoint());
    state.load();
    state.put('a', 1);
    log.room = 0;
    const promised = [state.put('b', 1), state.put('a', 2), state.put('b', 2), state.delete('a')];
    expect(promised).toEqual([2, 3, 4, 5]);
    expect(state.lastSequence).toBe(5);
    expect(contentOf(state)).toEqual({ b: 2 });
    // Were it let go, a crash and the loss of the checkpoint would leave nothing of the key.
    expect(state.isLive('a', 0)).toBe(true);
    const paid: number[] = [];
    state.whenPaid(() => paid.push(log.lastSequence));
    log.makeRoom(2);
    expect(paid).toEqual([]);
    log.makeRoom(10);
    expect(paid).toEqual([5]);
    expect(state.isOwing).toBe(false);
    expect(log.records.map(({ key, sequence }) => `${key} ${sequence}`)).toEqual([
      'a 1',
      'b 2',
      'a 3',
      'b 4',
      'a 5',
    ]);
    expect(contentOf(restart(new MemoryCheckpoint(), log).state)).toEqual({ b: 2 });
    expect(state.isLive('b', 3)).toBe(true);
  });

  it('is owed a cursor that moves on and on only once', () => {
    const { state, log } = open(new MemoryCheckpoint());
    state.load();
    log.room = 0;
    for (let n = 0; n < 1_000; n++) state.put('cursor', n, { rides: true });
    expect(state.lastSequence).toBe(1);
    log.makeRoom(10);
    expect(contentOf(restart(new MemoryCheckpoint(), log).state)).toEqual({ cursor: 999 });
  });

  it('holds up no checkpoint, which has the changes; the start after it makes records of them', async () => {
    const checkpoints = new MemoryCheckpoint();
    const { state, log } = open(checkpoints);
    state.load();
    state.put('a', 1);
    state.put('b', 1);
    log.room = 0;
    state.put('a', 2);
    state.delete('b');
    await state.checkpoint();
    log.makeRoom(0);
    const { state: after } = restart(checkpoints.crash(), log);
    expect(contentOf(after)).toEqual({ a: 2 });
    log.room = Infinity;
    after.pay();
    expect(contentOf(restart(new MemoryCheckpoint(), log).state)).toEqual({ a: 2 });
  });

  it('suspended, is owed the last value of each key, and nobody waits for it', () => {
    const { state, log } = open(new MemoryCheckpoint());
    state.load();
    state.put('a', 1);
    log.isSuspended = true;
    for (let n = 2; n < 100; n++) expect(state.put('a', n)).toBe(0);
    state.put('b', 1);
    state.delete('b');
    expect(contentOf(state)).toEqual({ a: 99 });
    log.isSuspended = false;
    log.makeRoom(10);
    expect(log.records.map(({ key }) => key)).toEqual(['a', 'a', 'b']);
    expect(contentOf(restart(new MemoryCheckpoint(), log).state)).toEqual({ a: 99 });
  });
});
