import { describe, expect, it } from 'vitest';
import type { UplinkRecord } from '../../../src/uplink/sink.ts';
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
import type { ScriptedSink } from './scripted-sink.ts';

/** The peer ends the link, instead of an answer, at each record that `isBad`; it reads no further. */
function endAt(sink: ScriptedSink, isBad: (record: UplinkRecord) => boolean): void {
  let isEnding = false;
  sink.verdict = (record) => {
    if (isEnding) return undefined;
    if (!isBad(record)) return { kind: 'acknowledged' };
    isEnding = true;
    queueMicrotask(() => {
      isEnding = false;
      sink.cut(true);
    });
    return undefined;
  };
}

const timesSent = (sink: ScriptedSink, offset: number): number =>
  sink.arrived.filter((origin) => origin === originsOf(1, 0, offset)[0]).length;

describe('a peer that ends the link because of a record', () => {
  it('gets the others: the record is proved guilty, counted, logged and passed over', async () => {
    const { clock, reader, sink, logger, make } = bench();
    fill(reader, 60);
    const bad = new Set([12, 13, 40]);
    endAt(sink, ({ offset }) => bad.has(offset));
    const forwarder = make();
    forwarder.start();
    for (let step = 0; step < 400; step += 1) {
      await clock.advance(1000);
      expectBalanced(forwarder.status());
    }
    expect(forwarder.status()).toMatchObject({
      state: 'connected',
      deadLettered: 3,
      acknowledgedRecords: 57,
      backlogRecords: 0,
    });
    const lines = logger.entries.filter(({ event }) => event === 'uplink.dead_lettered');
    expect(lines.map(({ fields }) => fields['origin'])).toEqual(
      [...bad].map((offset) => `gw/cafe/telemetry/0/${offset}`),
    );
    // Three times among others, three times alone, and once more beside a witness.
    expect(timesSent(sink, 12)).toBe(7);
    // Its neighbour was a suspect with it from the start, and the first witness that was tried.
    expect(timesSent(sink, 13)).toBe(8);
    expect(new Set(sink.arrived)).toEqual(new Set(originsOf(60)));
    await forwarder.stop();
  });

  it('with its acknowledgements lost each time: the culprit is found behind the oldest', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 30);
    // The peer reads the whole window before it answers, and the answer does not come any more.
    sink.verdict = (record) => {
      queueMicrotask(() => {
        if (sink.waiting.some(({ offset }) => offset === 5)) sink.cut(true);
        else if (sink.waiting.includes(record)) sink.settle(record, { kind: 'acknowledged' });
      });
      return undefined;
    };
    const forwarder = make();
    forwarder.start();
    await clock.advance(400_000);
    expect(forwarder.status()).toMatchObject({ deadLettered: 1, acknowledgedRecords: 29 });
    await forwarder.stop();
  });

  it('at every record loses none of them: the uplink stalls, and goes on when it is mended', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 50);
    endAt(sink, () => true);
    const forwarder = make();
    forwarder.start();
    await clock.advance(3_600_000);
    const status = forwarder.status();
    expect(status).toMatchObject({ state: 'stalled', deadLettered: 0, backlogRecords: 50 });
    expect(status.lastError).toContain('ends the link at the record gw/cafe/telemetry/0/0');
    sink.verdict = () => ({ kind: 'acknowledged' });
    await clock.advance(60_000);
    expect(forwarder.status()).toMatchObject({
      state: 'connected',
      acknowledgedRecords: 50,
      lastError: null,
    });
    await forwarder.stop();
  });

  it('at the only record there is waits for another one before it is proved', async () => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 1);
    endAt(sink, ({ offset }) => offset === 0);
    const forwarder = make();
    forwarder.start();
    await clock.advance(600_000);
    expect(forwarder.status()).toMatchObject({ deadLettered: 0, backlogRecords: 1 });
    fill(reader, 1);
    await clock.advance(60_000);
    expect(forwarder.status()).toMatchObject({ deadLettered: 1, acknowledgedRecords: 1 });
    await forwarder.stop();
  });

  it('takes its witness from another partition, so that nothing is overtaken', async () => {
    const { clock, reader, sink, make } = bench({ partitions: 2 });
    fill(reader, 20, FIRST);
    fill(reader, 20, SECOND);
    let isMended = false;
    const taken: string[] = [];
    endAt(sink, ({ offset, partition, origin }) => {
      const isBad = !isMended && partition === 0 && offset === 3;
      if (!isBad) taken.push(origin);
      return isBad;
    });
    const forwarder = make();
    forwarder.start();
    for (let i = 0; i < 1000 && forwarder.status().state !== 'stalled'; i += 1) {
      await clock.advance(100);
    }
    fill(reader, 20, SECOND);
    isMended = true;
    await clock.advance(60_000);
    expect(forwarder.status()).toMatchObject({ deadLettered: 0, acknowledgedRecords: 60 });
    expectFirstArrivalsInOrder(taken, 'gw/cafe/telemetry/0/');
    expectFirstArrivalsInOrder(taken, 'gw/cafe/telemetry/1/');
    await forwarder.stop();
  });

  it.each([
    ['a broken network', (sink: ScriptedSink) => sink.cut(false)],
    [
      'a peer that goes while nothing is in flight',
      (sink: ScriptedSink) => {
        sink.window = 0;
        sink.cut(true);
      },
    ],
    [
      'a peer that cannot be reached',
      (sink: ScriptedSink) => {
        sink.reachable = false;
        sink.cut(false);
      },
    ],
  ])('is not suspected behind %s', async (_, breakLink) => {
    const { clock, reader, sink, make } = bench();
    fill(reader, 30);
    sink.verdict = () => undefined;
    const forwarder = make({ stallTimeoutMs: 20_000 });
    forwarder.start();
    await settle(clock);
    for (let i = 0; i < 50; i += 1) {
      breakLink(sink);
      await clock.advance(9000);
    }
    await clock.advance(100_000);
    expect(forwarder.status()).toMatchObject({ deadLettered: 0, backlogRecords: 30 });
    sink.window = 10;
    sink.reachable = true;
    sink.verdict = () => undefined;
    sink.cut();
    await clock.advance(9000);
    // A window as wide as ever: nothing is sent one by one.
    expect(sink.waiting).toHaveLength(10);
    await forwarder.stop();
  });
});
