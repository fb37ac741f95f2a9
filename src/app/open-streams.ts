import type { Config } from '../config/types.ts';
import { StreamCursors } from '../streams/stream-cursors.ts';
import { StreamKeeper } from '../streams/stream-keeper.ts';
import { StreamTable } from '../streams/stream-table.ts';
import { Timekeeper } from '../streams/timekeeper.ts';
import type { Environment } from './environment.ts';
import { forgottenStreams } from './next-start.ts';
import type { Storage } from './storage.ts';

/** What the broker, the uplinks and the status share of the streams. */
export interface OpenStreams {
  readonly times: Timekeeper;
  readonly streams: StreamTable;
  readonly cursors: StreamCursors;
  readonly keeper: StreamKeeper;
}

/** Finds or makes the partitions of every stream, and whoever looks after them. */
export function openStreams(
  config: Config,
  { clock, clockEvidence, logger }: Environment,
  { ring, state }: Storage,
): OpenStreams {
  const evidence = clockEvidence;
  const times = new Timekeeper({ clock, ring, state, evidence, logger: logger.child('clock') });
  const cursors = new StreamCursors();
  const streams = new StreamTable(config.streams, ring, cursors);
  const keeper = new StreamKeeper({
    ring,
    streams,
    cursors,
    clock,
    logger: logger.child('stream'),
    segmentSizeBytes: config.storage.segmentSizeBytes,
    ageMs: (time) => times.ageMs(time),
  });
  for (const { name, records } of forgottenStreams(config.streams, ring.partitions())) {
    const meaning = 'It is not configured any more: no uplink sends what the ring holds of it.';
    logger.child('stream').warn('stream.not_configured', { stream: name, records, meaning });
  }
  return { times, streams, cursors, keeper };
}
