import { afterEach, describe, expect, test } from 'vitest';
import { toHex } from '../../../src/base/hex.ts';
import { SimBoard } from '../../support/sim-board.ts';
import type { SimClient } from '../../support/sim-client.ts';
import { SimRandom } from '../../support/sim-random.ts';
import { payloads, properties } from './sim-broker.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const now = Date.UTC(2026, 10, 20, 8);
const YEAR_2040 = Date.UTC(2040, 0, 1);

let boards: SimBoard[] = [];

afterEach(async () => {
  for (const board of boards) await board.stop();
  boards = [];
});

async function board(toml?: string): Promise<SimBoard> {
  const made = new SimBoard(toml);
  boards.push(made);
  await made.start();
  return made;
}

function connected(
  { cistern }: SimBoard,
  clientId: string,
  options: { expirySeconds?: number; cleanStart?: boolean; willDelaySeconds?: number } = {},
): Promise<SimClient> {
  const { expirySeconds = 0, cleanStart = false, willDelaySeconds } = options;
  const some = expirySeconds > 0 ? { sessionExpirySeconds: expirySeconds } : {};
  const will = willDelaySeconds !== undefined && {
    will: {
      topic: 'will',
      payload: Buffer.from(`${clientId} is gone`),
      qos: 1 as const,
      retain: false,
      properties: properties({ willDelaySeconds }),
    },
  };
  return cistern.connected({ clientId, cleanStart, properties: properties(some), ...will }, 5);
}

/** A session that is gone, for which messages wait. */
async function leaveSession(on: SimBoard, clientId: string, expirySeconds: number): Promise<void> {
  const client = await connected(on, clientId, { expirySeconds });
  client.subscribe(1, ['t/#', 1]);
  await on.cistern.settle();
  client.drop();
  await on.cistern.settle();
}

async function publish(on: SimBoard, payload: string, expirySeconds?: number): Promise<void> {
  const publisher = await connected(on, 'publisher', { cleanStart: true });
  const some = expirySeconds === undefined ? {} : { messageExpirySeconds: expirySeconds };
  publisher.publish(`t/${payload}`, payload, {
    qos: 1,
    packetId: 1,
    retain: true,
    properties: some,
  });
  await on.cistern.settle();
  publisher.disconnect();
  await on.cistern.settle();
}

/** What a new subscriber gets of the retained messages. */
async function retained(on: SimBoard): Promise<string[]> {
  const subscriber = await connected(on, 'reader', { cleanStart: true });
  subscriber.subscribe(1, ['t/#', 1]);
  await on.cistern.settle();
  subscriber.disconnect();
  return payloads(subscriber);
}

const sessions = ({ cistern }: SimBoard): number =>
  cistern.running?.status().clients.sessions ?? Number.NaN;

const events = ({ cistern }: SimBoard): string[] =>
  cistern.logger.entries.map(({ event }) => event).filter((event) => event.startsWith('clock.'));

describe('a clock that starts in 1970 and is told the time', () => {
  test('ends nothing that was begun in this boot, and keeps counting', async () => {
    const on = await board();
    await leaveSession(on, 'away', 3600);
    await publish(on, 'hour', 3600);
    await on.cistern.settle(30 * MINUTE);
    on.tellTime(now);
    await on.cistern.settle(5_000);
    expect(events(on)).toEqual(['clock.not_trusted', 'clock.trusted']);
    expect(sessions(on)).toBe(1);
    expect(await retained(on)).toEqual(['hour']);
    await on.cistern.settle(30 * MINUTE);
    expect(sessions(on)).toBe(0);
    expect(await retained(on)).toEqual([]);
  });

  test('ends after three days without power what had an hour, once it knows, and not before', async () => {
    const on = await board();
    on.tellTime(now);
    await on.cistern.settle(2_000);
    await leaveSession(on, 'hour', 3600);
    await leaveSession(on, 'week', 7 * 24 * 3600);
    await publish(on, 'hour', 3600);
    await publish(on, 'week', 7 * 24 * 3600);
    await on.powerCycle();
    await on.cistern.settle(5_000);
    expect(sessions(on)).toBe(2);
    expect(await retained(on)).toEqual(['hour', 'week']);
    on.tellTime(now + 3 * DAY);
    await on.cistern.settle(5_000);
    expect(sessions(on)).toBe(1);
    expect(await retained(on)).toEqual(['week']);
    await on.restart();
    await on.cistern.settle(5_000);
    expect(sessions(on)).toBe(1);
    expect(await retained(on)).toEqual(['week']);
  });

  test('counts powered time over restarts and boots that nobody could date', async () => {
    const on = await board();
    await leaveSession(on, 'hour', 3600);
    await publish(on, 'hour', 3600);
    await on.cistern.settle(25 * MINUTE);
    await on.restart();
    await on.cistern.settle(5 * MINUTE);
    await publish(on, 'other');
    await on.powerCycle();
    await on.cistern.settle(25 * MINUTE);
    expect(sessions(on)).toBe(1);
    expect(await retained(on)).toEqual(['hour', 'other']);
    await on.cistern.settle(10 * MINUTE);
    expect(sessions(on)).toBe(0);
    expect(await retained(on)).toEqual(['other']);
  });

  test('counts from the last time that a client was there', async () => {
    const on = await board();
    await leaveSession(on, 'back', 3600);
    await on.cistern.settle(50 * MINUTE);
    await connected(on, 'back', { expirySeconds: 3600 });
    await on.cistern.settle(2 * HOUR);
    await publish(on, 'alive');
    await on.powerCycle();
    await on.cistern.settle(30 * MINUTE);
    expect(sessions(on)).toBe(1);
    await on.cistern.settle(31 * MINUTE);
    expect(sessions(on)).toBe(0);
  });

  test('does not begin an hour anew at each of many short boots', async () => {
    const on = await board();
    const client = await connected(on, 'cut off', { expirySeconds: 3600 });
    client.subscribe(1, ['t/#', 1]);
    await on.cistern.settle();
    for (let boot = 0; boot < 5; boot += 1) {
      await on.powerCycle();
      await on.cistern.settle(10 * MINUTE);
      await publish(on, `boot ${boot}`);
      expect(sessions(on)).toBe(1);
    }
    await on.powerCycle();
    await on.cistern.settle(11 * MINUTE);
    expect(sessions(on)).toBe(0);
  });

  test('dates a boot that was never told by those around it', async () => {
    const on = await board();
    on.tellTime(now);
    await on.cistern.settle(2_000);
    await publish(on, 'first', 3600);
    await on.powerCycle();
    await publish(on, 'second', 3600);
    await on.powerCycle();
    await publish(on, 'third', 3600);
    on.tellTime(now + 3 * DAY);
    await on.cistern.settle(2_000);
    // Of the second it is not known whether it is minutes old or days, so it is taken to be young.
    expect(await retained(on)).toEqual(['second', 'third']);
    await on.cistern.settle(HOUR);
    expect(await retained(on)).toEqual([]);
  });

  test('holds a will back for its delay in powered time, or in all of it once that is known', async () => {
    const on = await board();
    await connected(on, 'a', { expirySeconds: 7200, willDelaySeconds: 3600 });
    const watcher = async () => {
      const client = await connected(on, 'watcher', { cleanStart: true });
      client.subscribe(1, ['will', 1]);
      await on.cistern.settle();
      return client;
    };
    await on.cistern.settle(MINUTE);
    await publish(on, 'alive');
    await on.powerCycle();
    await on.cistern.settle(40 * MINUTE);
    await publish(on, 'alive still');
    await on.powerCycle();
    const first = await watcher();
    await on.cistern.settle(19 * MINUTE);
    expect(payloads(first)).toEqual([]);
    await on.cistern.settle(3 * MINUTE);
    expect(payloads(first)).toEqual(['a is gone']);

    on.tellTime(now);
    await on.cistern.settle(2_000);
    await connected(on, 'b', { expirySeconds: 7200, willDelaySeconds: 3600 });
    await on.cistern.settle();
    await on.powerCycle();
    const second = await watcher();
    await on.cistern.settle(5 * MINUTE);
    expect(payloads(second)).toEqual([]);
    on.tellTime(now + 2 * HOUR);
    await on.cistern.settle(5_000);
    expect(payloads(second)).toEqual(['b is gone']);
  });
});

describe('a clock that is set again', () => {
  test('an hour back, keeps things no longer and ends nothing sooner', async () => {
    const on = await board();
    on.tellTime(now);
    await on.cistern.settle(2_000);
    await leaveSession(on, 'hour', 3600);
    await publish(on, 'hour', 3600);
    on.clock.stepWall(-HOUR);
    await on.cistern.settle(50 * MINUTE);
    expect(sessions(on)).toBe(1);
    expect(await retained(on)).toEqual(['hour']);
    await on.cistern.settle(15 * MINUTE);
    expect(sessions(on)).toBe(0);
    expect(await retained(on)).toEqual([]);
    expect(events(on)).toContain('clock.set');
  });

  test('from a wrong year, lets nothing live until then', async () => {
    const on = await board();
    on.tellTime(YEAR_2040);
    await on.cistern.settle(2_000);
    await leaveSession(on, 'hour', 3600);
    await publish(on, 'hour', 3600);
    on.tellTime(now);
    await on.cistern.settle(2_000);
    await on.powerCycle();
    on.cistern.clockWord = 'synchronised';
    on.tellTime(now + 30 * MINUTE);
    await on.cistern.settle(15_000);
    expect(sessions(on)).toBe(1);
    expect(await retained(on)).toEqual(['hour']);
    await on.cistern.settle(35 * MINUTE);
    expect(sessions(on)).toBe(0);
    expect(await retained(on)).toEqual([]);
  });
});

describe('a record', () => {
  const dateOf = async (on: SimBoard, topic: string) => {
    const { records, times } = await on.inspect();
    const found = records.findLast((record) => record.topic === topic);
    return { time: found?.time, wallMs: found && times.wallMs(found.time) };
  };

  test('from before the time was known is dated for good when rotation copies it', async () => {
    const on = await board();
    await publish(on, 'hour', 3600);
    await on.cistern.settle(10 * MINUTE);
    on.tellTime(now);
    await on.cistern.settle(2_000);
    const filler = await connected(on, 'filler', { cleanStart: true });
    const random = new SimRandom(1);
    for (let i = 0; i < 400; i += 1) {
      filler.publish('f', toHex(random.bytes(3_500)), { qos: 1, packetId: 1 });
      await on.cistern.settle(5);
    }
    const { time } = await dateOf(on, 't/hour');
    expect(time).toMatchObject({ bootNumber: 0, trusted: true });
    expect(time?.wallMs).toBeGreaterThan(now - 11 * MINUTE);
    expect(time?.wallMs).toBeLessThan(now - 9 * MINUTE);
    await on.powerCycle();
    on.tellTime(now + 40 * MINUTE);
    await on.cistern.settle(2_000);
    expect(await retained(on)).toEqual(['hour']);
    await on.cistern.settle(12 * MINUTE);
    expect(await retained(on)).toEqual([]);
  });

  test('from while a right clock was set to 1970 by mistake is dated as if it had not been', async () => {
    const on = await board();
    on.tellTime(now);
    await on.cistern.settle(2_000);
    on.tellTime(0);
    await publish(on, 'at once');
    await on.cistern.settle(MINUTE);
    await publish(on, 'later');
    const soon = await dateOf(on, 't/at once');
    const later = await dateOf(on, 't/later');
    expect(soon.wallMs).toBeGreaterThan(now);
    expect(soon.wallMs).toBeLessThan(now + 5_000);
    expect(later.wallMs).toBeGreaterThan(now + MINUTE);
    expect(later.wallMs).toBeLessThan(now + MINUTE + 5_000);
  });
});

describe('whether the clock is believed', () => {
  test('a time from before the program, or a day before what the ring has seen, is not', async () => {
    const on = await board();
    on.tellTime(Date.UTC(2020, 0, 1));
    await on.cistern.settle(20_000);
    expect(events(on)).toEqual(['clock.not_trusted']);
    on.tellTime(now);
    await on.cistern.settle(2_000);
    expect(events(on)).toContain('clock.trusted');
    await on.powerCycle();
    on.tellTime(now - 3 * DAY);
    await on.cistern.settle(20_000);
    expect(events(on)).toEqual(['clock.not_trusted', 'clock.behind_ring']);
    on.cistern.clockWord = 'synchronised';
    await on.cistern.settle(20_000);
    expect(events(on)).toContain('clock.trusted');
  });

  test('a saved time that nobody confirms is not', async () => {
    const on = await board();
    on.tellTime(now);
    await on.cistern.settle(2_000);
    await on.powerCycle({ wallMs: now + MINUTE });
    await on.cistern.settle(HOUR);
    expect(events(on)).toEqual(['clock.not_trusted']);
  });

  test('a right one is, from the start, and again after a restart of the broker alone', async () => {
    const on = new SimBoard('', now);
    boards.push(on);
    on.cistern.clockWord = 'chip';
    await on.start();
    expect(events(on)).toEqual(['clock.trusted']);
    // Where nothing speaks for it any more, it is the same clock still.
    await on.restart();
    expect(events(on)).toEqual([]);
    await leaveSession(on, 'hour', 3600);
    await on.powerCycle({ wallMs: now + 3 * DAY });
    await on.cistern.settle(5_000);
    expect(sessions(on)).toBe(1);
  });
});

describe('the age that a stream keeps to', () => {
  test('waits for the time to be known, and then applies to what came before', async () => {
    const on = await board('[[stream]]\nname = "telemetry"\ntopics = ["t/#"]\nmax_age = "1d"\n');
    const kept = () => {
      const [partition] = on.cistern.running?.status().streams[0]?.partitions ?? [];
      return partition && partition.tailOffset - partition.headOffset;
    };
    await publish(on, 'early');
    on.tellTime(now);
    await on.cistern.settle(2 * MINUTE);
    await on.powerCycle();
    await publish(on, 'late');
    await on.cistern.settle(3 * MINUTE);
    expect(kept()).toBe(2);
    on.tellTime(now + 3 * DAY);
    await on.cistern.settle(3 * MINUTE);
    expect(kept()).toBe(1);
  });
});

describe('the age of an uplink’s backlog', () => {
  test('goes on over restarts while nobody knows the time, and is right when somebody does', async () => {
    const on = await board(
      '[[stream]]\nname = "telemetry"\ntopics = ["t/#"]\n' +
        '[[uplink]]\nname = "cloud"\nmqtt = { url = "mqtt://127.0.0.1:1" }\n',
    );
    const oldest = () => on.cistern.running?.status().uplinks[0]?.oldestUnackedSeconds ?? -1;
    await publish(on, 'waits');
    await on.cistern.settle(10 * MINUTE);
    expect(oldest()).toBeCloseTo(600, -1);
    await on.restart();
    await on.cistern.settle(10 * MINUTE);
    expect(oldest()).toBeCloseTo(1200, -1);
    await publish(on, 'too');
    await on.powerCycle();
    await on.cistern.settle(10 * MINUTE);
    expect(oldest()).toBeCloseTo(1800, -1);
    on.tellTime(now);
    await on.cistern.settle(2_000);
    await on.powerCycle();
    on.tellTime(now + DAY);
    await on.cistern.settle(5_000);
    expect(oldest()).toBeCloseTo(1800 + 24 * 3600, -2);
  });
});
