import type { Config, StreamConfig } from '../config/types.ts';
import { describeSize, formatSize } from '../config/units.ts';
import type { RingContents } from '../ring/contents.ts';
import { FIRST_STREAM_PARTITION_ID, type PartitionInfo } from '../ring/types.ts';
import type { PlaceWarning } from './data-place.ts';
import type { RingPlan } from './ring-plan.ts';

export interface ForgottenStream {
  readonly name: string;
  /** At least one. */
  readonly records: number;
}

/**
 * A stream that was taken out of the configuration, or has another name there now, still has its
 * records: nothing forwards them, no status names them, and rotation takes them with the others.
 */
export function forgottenStreams(
  streams: readonly StreamConfig[],
  partitions: readonly PartitionInfo[],
): readonly ForgottenStream[] {
  const configured = new Set(streams.map(({ name }) => name));
  const forgotten = new Map<string, number>();
  for (const { id, stream, headOffset, tailOffset } of partitions) {
    if (id < FIRST_STREAM_PARTITION_ID || configured.has(stream)) continue;
    forgotten.set(stream, (forgotten.get(stream) ?? 0) + tailOffset - headOffset);
  }
  return [...forgotten]
    .map(([name, records]) => ({ name, records }))
    .filter(({ records }) => records > 0);
}

/** What of the ring's contents the next start with this configuration gives up, for `check` to say before. */
export function lossesOfNextStart(
  { storage, streams }: Pick<Config, 'storage' | 'streams'>,
  plan: RingPlan,
  contents: RingContents,
): readonly PlaceWarning[] {
  const losses = forgottenStreams(streams, contents.partitions).map(({ name, records }) => ({
    code: 'stream.not_configured',
    message:
      `The ring holds ${records === 1 ? 'one record' : `${records} records`} of the stream ` +
      `"${name}", which is not configured: no uplink sends that, and rotation takes it.`,
    remedy: `If it matters, keep a [[stream]] named "${name}" until it is sent.`,
  }));
  const beyondBytes = contents.bytesBeyond(storage.sizeBytes / storage.segmentSizeBytes);
  if (plan.kind !== 'shrinks' || beyondBytes === 0) return losses;
  const [used, beyond] = [describeSize(contents.usedBytes), describeSize(beyondBytes)];
  return [
    ...losses,
    {
      code: 'storage.shrinks',
      message:
        `Of ${used} in the ring, about ${beyond} do not fit ${describeSize(storage.sizeBytes)}: ` +
        'the oldest, but for what quotas keep.',
      remedy: `To keep all, leave storage.size at "${formatSize(plan.foundBytes)}" until it is sent.`,
    },
  ];
}
