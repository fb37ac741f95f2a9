import { expect, it } from 'vitest';
import { bench, fill, FIRST, settle } from './forwarder-bench.ts';

it('an uplink that is down says what rotation takes while it happens, and for an hour', async () => {
  const { clock, reader, sink, logger, make } = bench();
  const told = () =>
    logger
      .atLeast('warn')
      .filter(({ event }) => event === 'uplink.lapped')
      .map(({ fields }) => fields);
  sink.reachable = false;
  const forwarder = make();
  forwarder.start();
  fill(reader, 200);
  await settle(clock);
  await clock.advance(20_000);
  expect(told()).toEqual([]);
  expect(forwarder.lapse()).toBeUndefined();

  // What it had read by then is in memory and will be sent.
  const lost = () => forwarder.status().lappedRecords;
  reader.trim(FIRST, 120);
  await clock.advance(11_000);
  const first = lost();
  expect(first).toBeGreaterThan(0);
  expect(told()).toEqual([
    { stream: 'telemetry', partition: 0, lapped: first, lappedInAll: first },
  ]);
  await clock.advance(60_000);
  expect(told()).toHaveLength(1);
  reader.trim(FIRST, 150);
  await clock.advance(11_000);
  expect(told()[1]).toMatchObject({ lapped: 30, lappedInAll: first + 30 });
  const lapse = forwarder.lapse();
  expect(lapse).toMatchObject({ name: 'cloud', records: first + 30 });
  expect(clock.monotonicMs() - (lapse?.sinceMs ?? 0)).toBeGreaterThanOrEqual(70_000);

  // Reading on finds them gone, which is nothing new.
  sink.reachable = true;
  await clock.advance(60_000);
  expect(forwarder.status()).toMatchObject({ backlogRecords: 0, lappedRecords: first + 30 });
  expect(told()).toHaveLength(2);
  await clock.advance(3_600_000);
  expect(forwarder.lapse()).toBeUndefined();
  await forwarder.stop();
});

it('what was lost while nothing ran is told of at the start', async () => {
  const { reader, cursors, logger, make } = bench();
  fill(reader, 100);
  reader.trim(FIRST, 40);
  cursors.save('cloud', FIRST, 10);
  const forwarder = make();
  forwarder.start();
  expect(forwarder.lapse()).toMatchObject({ records: 30 });
  expect(logger.atLeast('warn')).toMatchObject([
    { event: 'uplink.lapped', fields: { lapped: 30 } },
  ]);
  await forwarder.stop();
});
