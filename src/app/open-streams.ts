import type { Config } from '../config/types.ts';
import type { Logger } from '../platform/logger.ts';
import { FIRST_STREAM_PARTITION_ID, type Ring } from '../ring/types.ts';
import { StreamCursors } from '../streams/stream-cursors.ts';
import { StreamKeeper } from '../streams/stream-keeper.ts';
import { StreamTable } from '../streams/stream-table.ts';
import { Timekeeper } from '../streams/timekeeper.ts';
import type { Environment } from './environment.ts';
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
  warnOfForgottenStreams(config, ring, logger.child('stream'));
  return { times, streams, cursors, keeper };
}

/**
 * A stream that was taken out of the configuration, or has another name there now, still has its
 * records: nothing forwards them, no status names them, and rotation takes them with the others.
 */
function warnOfForgottenStreams(
  { streams }: Config,
  ring: Pick<Ring, 'partitions'>,
  logger: Logger,
): void {
  const configured = new Set(streams.map(({ name }) => name));
  const forgotten = new Map<string, number>();
  for (const { id, stream, headOffset, tailOffset } of ring.partitions()) {
    if (id < FIRST_STREAM_PARTITION_ID || configured.has(stream)) continue;
    forgotten.set(stream, (forgotten.get(stream) ?? 0) + tailOffset - headOffset);
  }
  for (const [stream, records] of forgotten) {
    if (records === 0) continue;
    const meaning = 'It is not configured any more: no uplink sends what the ring holds of it.';
    logger.warn('stream.not_configured', { stream, records, meaning });
  }
}
