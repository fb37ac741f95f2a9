import { describe, expect, it } from 'vitest';
import { encodePublishProperties } from '../../../src/codec/publish-properties.ts';
import { encodeMessageAttributes } from '../../../src/codec/stored-message.ts';
import type { UplinkRecord } from '../../../src/uplink/sink.ts';
import { plainTimes } from '../../support/plain-times.ts';
import { SimRandom } from '../../support/sim-random.ts';
import {
  bench,
  expectBalanced,
  expectFirstArrivalsInOrder,
  fill,
  FIRST,
  originsOf,
  SECOND,
  settle,
} from './forwarder-bench.ts';

describe('an uplink that works', () => {
  it('sends the whole backlog in order, then what comes, and counts it', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 100);
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(100));
    reader.append(FIRST, 't', 'live');
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(101));
    expect(forwarder.status()).toMatchObject({
      name: 'cloud',
      type: 'scripted',
      state: 'connected',
      backlogRecords: 0,
      backlogBytes: 0,
      oldestUnackedSeconds: 0,
      appendedRecords: 101,
      acknowledgedRecords: 101,
      sentRecords: 101,
      retriedRecords: 0,
      lastError: null,
    });
    await forwarder.stop();
    expect(forwarder.status().state).toBe('disabled');
  });

  it('keeps the order of each of several partitions, and starves none', async () => {
    const { clock, reader, sink, make } = bench({ partitions: 2 });
    fill(reader, 200, FIRST);
    fill(reader, 50, SECOND);
    sink.window = 5;
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    for (let i = 0; i < 200 && forwarder.status().backlogRecords > 0; i += 1) await settle(clock);
    const of = (partition: number) =>
      sink.arrived.filter((origin) => origin.startsWith(`gw/cafe/telemetry/${partition}/`));
    expect(of(0)).toEqual(originsOf(200, 0));
    expect(of(1)).toEqual(originsOf(50, 1));
    const lastOfSecond = sink.arrived.lastIndexOf('gw/cafe/telemetry/1/49');
    const lastOfFirst = sink.arrived.lastIndexOf('gw/cafe/telemetry/0/199');
    expect(lastOfSecond).toBeLessThan(lastOfFirst);
    await forwarder.stop();
  });

  it('sends all of an earlier generation of partitions before any of the next', async () => {
    const { clock, reader, sink, make } = bench({ partitions: 2, inGenerations: true });
    fill(reader, 60, SECOND);
    fill(reader, 200, FIRST);
    sink.window = 5;
    const forwarder = make();
    forwarder.start();
    for (let i = 0; i < 200 && forwarder.status().backlogRecords > 0; i += 1) await settle(clock);
    expect(sink.arrived).toEqual([...originsOf(200, 0), ...originsOf(60, 1)]);
    reader.append(SECOND, 't', 'live');
    await settle(clock);
    expect(sink.arrived.at(-1)).toBe('gw/cafe/telemetry/1/60');
    expectBalanced(forwarder.status());
  });

  it('hands over topic, QoS, retain, properties, event time and origin', async () => {
    const { clock, reader, sink, make } = bench();
    const properties = encodePublishProperties({
      contentType: 'application/json',
      userProperties: [
        ['unit', 'C'],
        ['unit', 'F'],
      ],
      subscriptionIds: [],
    });
    const attributes = encodeMessageAttributes(1, true, properties);
    reader.append(FIRST, 'a/b', '21.5', attributes);
    const seen: UplinkRecord[] = [];
    sink.verdict = (record) => {
      seen.push(record);
      return { kind: 'acknowledged' };
    };
    const eventTimeMs = clock.wallMs();
    await clock.advance(5000);
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(seen[0]).toMatchObject({
      topic: 'a/b',
      qos: 1,
      retain: true,
      contentType: 'application/json',
      userProperties: [
        ['unit', 'C'],
        ['unit', 'F'],
      ],
      eventTimeMs,
      origin: 'gw/cafe/telemetry/0/0',
      clientId: 'device-1',
      stream: 'telemetry',
      partition: 0,
      offset: 0,
    });
    await forwarder.stop();
  });

  it('dates a record when it is sent, not when it was read', async () => {
    const { clock, reader, sink, make } = bench();
    let told = false;
    const times = {
      ...plainTimes(clock),
      wallMs: () => (told ? 1_800_000_000_000 : undefined),
      estimateMs: () => (told ? 1_800_000_000_000 : 5),
    };
    const seen: UplinkRecord[] = [];
    sink.verdict = (record) => {
      seen.push(record);
      return { kind: 'acknowledged' };
    };
    sink.reachable = false;
    reader.append(FIRST, 't', 'waits');
    const forwarder = make({ times });
    forwarder.start();
    await clock.advance(5000);
    told = true;
    sink.reachable = true;
    await clock.advance(9000);
    expect(seen[0]).toMatchObject({ eventTimeMs: 1_800_000_000_000, isTimeKnown: true });
    await forwarder.stop();
  });

  it('begins at the end where it is told to, also after a restart before any ack', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 30);
    sink.reachable = false;
    const first = make({ start: 'latest' });
    first.start();
    await settle(clock);
    await first.stop();
    fill(reader, 5);
    sink.reachable = true;
    const second = make({ start: 'latest' });
    second.start();
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(5, 0, 30));
    await second.stop();
  });

  it('waits for a fuller batch where the destination likes batches, but no longer than told', async () => {
    const { clock, reader, sink, make } = bench({ prefersBatches: true });
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    fill(reader, 3);
    await clock.advance(40);
    expect(sink.arrived).toEqual([]);
    await clock.advance(20);
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(3));
    await forwarder.stop();
  });
});

describe('the cursor', () => {
  it('does not pass a record that is not acknowledged, whatever comes after it', async () => {
    const { clock, reader, sink, cursors, make } = bench();
    fill(reader, 5);
    sink.verdict = () => undefined;
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    for (const record of sink.waiting.slice(1)) sink.settle(record, { kind: 'acknowledged' });
    expect(forwarder.status()).toMatchObject({ acknowledgedRecords: 4, backlogRecords: 1 });
    await forwarder.stop();
    expect(cursors.load('cloud', FIRST)).toBe(0);
  });

  it('is taken up by the next start, which sends what was not acknowledged and no more', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 10);
    sink.verdict = (record) => (record.offset < 7 ? { kind: 'acknowledged' } : undefined);
    const first = make();
    first.start();
    await settle(clock);
    await first.stop();
    sink.arrived.length = 0;
    sink.verdict = () => ({ kind: 'acknowledged' });
    const second = make();
    second.start();
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(3, 0, 7));
    expectBalanced(second.status());
    await second.stop();
  });

  it('is saved after five seconds, or after 10,000 records', async () => {
    const { clock, reader, cursors, sink, make } = bench();
    fill(reader, 10);
    const forwarder = make({ batch: { records: 5000, bytes: 1_000_000, lingerMs: 0 } });
    forwarder.start();
    await settle(clock);
    expect(cursors.load('cloud', FIRST)).toBe(0);
    await clock.advance(5001);
    expect(cursors.load('cloud', FIRST)).toBe(10);
    sink.window = 5000;
    fill(reader, 12_000);
    await settle(clock);
    expect(cursors.load('cloud', FIRST)).toBeGreaterThanOrEqual(10_000);
    await forwarder.stop();
    expect(cursors.load('cloud', FIRST)).toBe(12_010);
    expect(cursors.saves).toBeLessThan(6);
  });

  it('is saved much sooner where it can ride in a commit that is due anyway', async () => {
    const { clock, reader, cursors, make } = bench();
    const forwarder = make();
    forwarder.start();
    reader.pending = 1;
    for (let i = 0; i < 10; i += 1) {
      fill(reader, 10);
      await settle(clock);
      await clock.advance(100);
    }
    expect(cursors.load('cloud', FIRST)).toBeGreaterThanOrEqual(70);
    expect(cursors.saves).toBeLessThan(8);
    await forwarder.stop();
  });

  it('passes over what rotation and damage took, and counts what rotation took', async () => {
    const { clock, reader, sink, cursors, make } = bench();
    fill(reader, 100);
    reader.trim(FIRST, 40);
    reader.damage(FIRST, 60);
    cursors.save('cloud', FIRST, 10);
    const forwarder = make();
    expectBalanced(forwarder.status());
    forwarder.start();
    expectBalanced(forwarder.status());
    expect(forwarder.status()).toMatchObject({ lappedRecords: 30, backlogRecords: 60 });
    await settle(clock);
    expect(sink.arrived).toEqual([...originsOf(20, 0, 40), ...originsOf(39, 0, 61)]);
    expect(forwarder.status()).toMatchObject({ lappedRecords: 30, acknowledgedRecords: 59 });
    expectBalanced(forwarder.status());
    await forwarder.stop();
    expect(cursors.load('cloud', FIRST)).toBe(100);
  });

  it('beyond the end of another ring counts for nothing', async () => {
    const { clock, reader, sink, cursors, logger, make } = bench();
    fill(reader, 3);
    cursors.save('cloud', FIRST, 5000);
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(3));
    expect(logger.entries.map(({ event }) => event)).toContain('uplink.cursor_beyond_tail');
    await forwarder.stop();
  });

  it('moves up to the position that the destination itself remembers', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 50);
    sink.positions.set('telemetry/0', 45);
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(5, 0, 45));
    expect(forwarder.status()).toMatchObject({ duplicatesAvoided: 45, acknowledgedRecords: 50 });
    expectBalanced(forwarder.status());
    await forwarder.stop();
  });
});

describe('an outage', () => {
  it('is invisible but for the backlog, which drains without a new publish', async () => {
    const { clock, reader, sink, make } = bench();
    sink.reachable = false;
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    fill(reader, 300);
    await clock.advance(60_000);
    const status = forwarder.status();
    expect(status).toMatchObject({ state: 'backoff', backlogRecords: 300 });
    expect(status.oldestUnackedSeconds).toBeGreaterThanOrEqual(59);
    expect(status.backlogBytes).toBeGreaterThan(0);
    expect(status.lastError).toContain('nobody');
    sink.reachable = true;
    await clock.advance(8001);
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(300));
    expect(forwarder.status()).toMatchObject({ state: 'connected', lastError: null });
    await forwarder.stop();
  });

  it('backs off up to the cap with jitter, and starts anew once something was acknowledged', async () => {
    const { clock, sink, make } = bench();
    sink.reachable = false;
    const forwarder = make();
    forwarder.start();
    await clock.advance(600_000);
    // Uniform in 0..8 s is 4 s on average: 150 attempts in ten minutes, give or take.
    expect(sink.attempts).toBeGreaterThan(100);
    expect(sink.attempts).toBeLessThan(220);
    await forwarder.stop();
    const attempts = sink.attempts;
    await clock.advance(60_000);
    expect(sink.attempts).toBe(attempts);
  });

  it('repeats only what was in flight, in order', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 40);
    sink.verdict = (record) => (record.offset < 15 ? { kind: 'acknowledged' } : undefined);
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(25));
    sink.verdict = () => ({ kind: 'acknowledged' });
    sink.cut();
    expect(forwarder.status().state).toBe('backoff');
    await clock.advance(1001);
    await settle(clock);
    expect(sink.arrived.slice(25)).toEqual(originsOf(25, 0, 15));
    expect(forwarder.status()).toMatchObject({ retriedRecords: 10, acknowledgedRecords: 40 });
    await forwarder.stop();
  });

  it('holds no more than a few batches in memory', async () => {
    const { clock, reader, sink, make } = bench();
    sink.reachable = false;
    const forwarder = make();
    forwarder.start();
    let reads = 0;
    const read = reader.read.bind(reader);
    reader.read = (partitionId, from, limits) => {
      reads += 1;
      return read(partitionId, from, limits);
    };
    fill(reader, 5000);
    await clock.advance(120_000);
    expect(reads * reader.largestRead).toBeLessThanOrEqual(80);
    await forwarder.stop();
  });

  it('is found by silence: a link that acknowledges nothing is dropped and made anew', async () => {
    const { clock, reader, sink, make } = bench();
    sink.verdict = () => undefined;
    const forwarder = make();
    forwarder.start();
    await clock.advance(100_000);
    expect(forwarder.status().state).toBe('connected');
    fill(reader, 3);
    await clock.advance(29_900);
    expect(forwarder.status().state).toBe('connected');
    await clock.advance(200);
    expect(forwarder.status().state).toBe('stalled');
    expect(forwarder.status().lastError).toContain('acknowledged nothing');
    sink.verdict = () => ({ kind: 'acknowledged' });
    await clock.advance(1001);
    await settle(clock);
    expect(sink.links).toBe(2);
    expect(sink.openLinks).toBe(1);
    expect(forwarder.status()).toMatchObject({ state: 'connected', acknowledgedRecords: 3 });
    await forwarder.stop();
  });
});

describe('whose fault it is', () => {
  it('a refused connection stalls the uplink, says why, and keeps the backlog', async () => {
    const { clock, reader, sink, make } = bench();
    sink.refusal = 'bad user name or password';
    fill(reader, 5);
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(forwarder.status()).toMatchObject({ state: 'stalled', backlogRecords: 5 });
    expect(forwarder.status().lastError).toContain('password');
    sink.refusal = undefined;
    await clock.advance(8000);
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(5));
    expect(forwarder.status()).toMatchObject({ state: 'connected', lastError: null });
    await forwarder.stop();
  });

  it('a refused connection is over with once there is one, also where there is nothing to send', async () => {
    const { clock, sink, make } = bench();
    sink.refusal = 'bad user name or password';
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(forwarder.status().state).toBe('stalled');
    sink.refusal = undefined;
    await clock.advance(8000);
    await settle(clock);
    expect(forwarder.status()).toMatchObject({ state: 'connected', lastError: null });
    await forwarder.stop();
  });

  it('a refused record stalls the uplink and is never skipped', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 5);
    sink.verdict = (record) =>
      record.offset === 2
        ? { kind: 'refused', message: 'not authorised' }
        : { kind: 'acknowledged' };
    const forwarder = make();
    forwarder.start();
    await clock.advance(60_000);
    expect(forwarder.status()).toMatchObject({ state: 'stalled', deadLettered: 0 });
    expect(forwarder.status().backlogRecords).toBeGreaterThanOrEqual(1);
    sink.verdict = () => ({ kind: 'acknowledged' });
    await clock.advance(9000);
    await settle(clock);
    expect(forwarder.status()).toMatchObject({ state: 'connected', acknowledgedRecords: 5 });
    await forwarder.stop();
  });

  it('a refused record is named, and holds back what was taken already until it is taken too', async () => {
    const { clock, reader, sink, make } = bench({ partitions: 2 });
    fill(reader, 30, FIRST);
    fill(reader, 30, SECOND);
    const refused = originsOf(1, 0, 4)[0];
    sink.verdict = ({ origin }) =>
      origin === refused ? { kind: 'refused', message: 'No.' } : { kind: 'acknowledged' };
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    const before = sink.arrived.length;
    await clock.advance(120_000);
    expect(sink.links).toBeGreaterThan(10);
    expect(new Set(sink.arrived.slice(before))).toEqual(new Set([refused]));
    expect(forwarder.status()).toMatchObject({
      state: 'stalled',
      lastError: `No. (record ${refused}, topic t/4)`,
    });
    sink.verdict = () => ({ kind: 'acknowledged' });
    await clock.advance(9000);
    await settle(clock);
    expect(forwarder.status()).toMatchObject({ state: 'connected', acknowledgedRecords: 60 });
    for (const partition of [0, 1]) {
      expectFirstArrivalsInOrder(sink.arrived, `gw/cafe/telemetry/${partition}/`);
    }
    // Twice at most: what was in flight when the first refusal came.
    const others = sink.arrived.filter((origin) => origin !== refused);
    expect(others.length - new Set(others).size).toBeLessThanOrEqual(sink.window);
    await forwarder.stop();
  });

  it('what is in doubt before a refused record is sent again before it', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 8);
    sink.verdict = ({ offset }) => {
      if (offset === 4) return { kind: 'refused', message: 'No.' };
      return offset < 2 || sink.links > 1 ? { kind: 'acknowledged' } : undefined;
    };
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    const before = sink.arrived.length;
    await clock.advance(60_000);
    expect([...new Set(sink.arrived.slice(before))]).toEqual(originsOf(3, 0, 2));
    expect(forwarder.status()).toMatchObject({ state: 'stalled', acknowledgedRecords: 4 });
    await forwarder.stop();
  });

  it('a throttling destination gets a pause, not more of the same', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 1);
    sink.verdict = () => ({ kind: 'throttled', message: 'quota exceeded' });
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(forwarder.status().state).toBe('backoff');
    expect(sink.arrived).toHaveLength(1);
    await forwarder.stop();
  });

  it('a poisonous record is tried as often as configured, then counted, logged and passed over', async () => {
    const { clock, reader, sink, logger, cursors, make } = bench();
    fill(reader, 5);
    sink.verdict = (record) =>
      record.offset === 2 ? { kind: 'poison', message: 'too large' } : { kind: 'acknowledged' };
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(sink.arrived.filter((origin) => origin.endsWith('/2'))).toHaveLength(3);
    expect(forwarder.status()).toMatchObject({
      state: 'connected',
      deadLettered: 1,
      acknowledgedRecords: 4,
      backlogRecords: 0,
      retriedRecords: 2,
    });
    expect(forwarder.status().lastError).toContain('gw/cafe/telemetry/0/2');
    const line = logger.entries.find(({ event }) => event === 'uplink.dead_lettered');
    expect(line?.fields).toMatchObject({ origin: 'gw/cafe/telemetry/0/2', error: 'too large' });
    expectBalanced(forwarder.status());
    await forwarder.stop();
    expect(cursors.load('cloud', FIRST)).toBe(5);
  });

  it('an expired message is not sent, and counted', async () => {
    const { clock, reader, sink, make } = bench();
    const properties = encodePublishProperties({ messageExpirySeconds: 10, userProperties: [] });
    const attributes = encodeMessageAttributes(1, false, properties);
    reader.append(FIRST, 't', 'old', attributes);
    reader.append(FIRST, 't', 'lasting');
    await clock.advance(11_000);
    const forwarder = make();
    forwarder.start();
    await settle(clock);
    expect(sink.arrived).toEqual(originsOf(1, 0, 1));
    expect(forwarder.status()).toMatchObject({ expiredRecords: 1, acknowledgedRecords: 1 });
    expectBalanced(forwarder.status());
    await forwarder.stop();
  });
});

describe('random outages', () => {
  it.each([1, 2, 3, 4, 5, 6])(
    'balance in every snapshot and lose nothing (seed %i)',
    async (seed) => {
      const { clock, reader, sink, cursors, logger, make } = bench({ partitions: 2, seed });
      const random = new SimRandom(seed);
      let forwarder = make();
      forwarder.start();
      sink.verdict = (record) => {
        const fate = random.fraction();
        if (fate < 0.02) return undefined;
        if (record.offset % 97 === 13) return { kind: 'poison', message: 'bad' };
        return { kind: 'acknowledged' };
      };
      const appended = [0, 0];
      let lapped = false;
      for (let step = 0; step < 400; step += 1) {
        const fate = random.fraction();
        if (fate < 0.6) {
          const index = random.fraction() < 0.7 ? 0 : 1;
          const count = Math.floor(random.fraction() * 30);
          fill(reader, count, FIRST + index);
          appended[index] = (appended[index] ?? 0) + count;
        } else if (fate < 0.66) sink.cut(random.fraction() < 0.5);
        else if (fate < 0.7) sink.reachable = !sink.reachable;
        else if (fate < 0.71 && seed > 4) {
          reader.trim(FIRST, Math.max(0, (appended[0] ?? 0) - 50));
          lapped = true;
        } else if (fate < 0.73) {
          await forwarder.stop();
          forwarder = make();
          forwarder.start();
        }
        await clock.advance(random.fraction() * 3000);
        expectBalanced(forwarder.status());
      }
      sink.reachable = true;
      sink.verdict = () => ({ kind: 'acknowledged' });
      await clock.advance(120_000);
      await settle(clock);
      expect(forwarder.status()).toMatchObject({ state: 'connected', backlogRecords: 0 });
      expectBalanced(forwarder.status());
      await forwarder.stop();
      for (const { fields } of logger.entries.filter(
        ({ event }) => event === 'uplink.dead_lettered',
      )) {
        expect(Number(String(fields['origin']).split('/')[4]) % 97).toBe(13);
      }
      for (const index of [0, 1]) {
        const count = appended[index] ?? 0;
        expect(cursors.load('cloud', FIRST + index)).toBe(count);
        if (!lapped)
          expect(new Set(sink.arrived)).toEqual(union(sink.arrived, originsOf(count, index)));
        expectFirstArrivalsInOrder(sink.arrived, `gw/cafe/telemetry/${index}/`);
      }
    },
  );
});

function union(some: readonly string[], more: readonly string[]): Set<string> {
  return new Set([...some, ...more]);
}
