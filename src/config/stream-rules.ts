import {
  QUOTA_SHARE,
  RESERVED_SEGMENTS,
  RETAINED_SHARE,
  SESSION_SHARE,
  SHARES_OF_REST,
  STATE_SHARE,
} from './defaults.ts';
import type { IssueLog } from './table-reader.ts';
import { filterCovers, filtersMeet } from './topic-filter.ts';
import type { Config, StorageConfig, StreamConfig } from './types.ts';
import { describeSize } from './units.ts';

/** Topics that begin so are the broker's own: a client cannot publish to them. */
const RESERVED = ['$share/', '$stream/', '$queue/', '$s/', '$q/'];

/** Warns about filters that no message can reach, since an earlier stream or an exclusion takes all. */
export function reportUnreachableFilters(streams: readonly StreamConfig[], issues: IssueLog): void {
  streams.forEach((stream, position) => {
    const earlier = streams.slice(0, position);
    stream.topics.forEach((filter, index) => {
      const reason = unreachableReason(filter, stream, earlier);
      if (!reason) return;
      issues.warning(
        `stream[${position}].topics[${index}]`,
        `"${filter}" can never match: ${reason.why}`,
        reason.remedy,
      );
    });
  });
}

function unreachableReason(
  filter: string,
  stream: StreamConfig,
  earlier: readonly StreamConfig[],
): { why: string; remedy: string } | undefined {
  if (RESERVED.some((prefix) => filter.startsWith(prefix))) {
    return { why: 'no client can publish there', remedy: 'Take it out.' };
  }
  const excluded = stream.exclude.find((each) => filterCovers(each, filter));
  if (excluded !== undefined) {
    return { why: `exclude has "${excluded}"`, remedy: 'Take one of the two out.' };
  }
  for (const before of earlier) {
    const taker = before.topics.find((each) => filterCovers(each, filter));
    const letsThrough =
      before.minQos > stream.minQos || before.exclude.some((each) => filtersMeet(each, filter));
    if (taker === undefined || letsThrough) continue;
    return {
      why: `"${taker}" of stream "${before.name}" takes all of it before`,
      remedy: `The first match wins: put stream "${stream.name}" before "${before.name}".`,
    };
  }
  return undefined;
}

/**
 * Whether every message has a stream. Where it looks unlikely but cannot be excluded by the filters
 * one by one, the answer is no.
 */
export function takeEverything(streams: readonly StreamConfig[]): boolean {
  const covers = (filter: string, others: readonly StreamConfig[]): boolean =>
    others.some(({ topics, exclude, minQos }, index) => {
      const takes = topics.some((each) => each === '+/#' || filterCovers(each, filter));
      if (minQos > 0 || !takes) return false;
      const rest = others.toSpliced(index, 1);
      return exclude.every((each) => !filtersMeet(each, filter) || covers(each, rest));
    });
  return covers('#', streams);
}

/** Bytes that all quotas together may use: 80 % of what is left beside the slots always in hand. */
export function quotaCapacity(storage: StorageConfig): number {
  const segments = storage.sizeBytes / storage.segmentSizeBytes;
  return Math.floor(
    Math.max(0, segments - RESERVED_SEGMENTS) * storage.segmentSizeBytes * QUOTA_SHARE,
  );
}

/** Bytes that the ring may carry on for others than streams, whose quotas come first. */
export function carriedLimits({ storage, streams, limits }: Config): {
  readonly retainedBytes: number;
  readonly stateBytes: number;
  readonly sessionBytes: number;
} {
  const { sizeBytes, segmentSizeBytes } = storage;
  const rest = sizeBytes - RESERVED_SEGMENTS * segmentSizeBytes - quotaSum(streams);
  const atMost = (share: number, shareOfRest: number): number =>
    Math.floor(Math.min(sizeBytes * share, rest * shareOfRest));
  return {
    retainedBytes: Math.min(limits.retainedBytes, atMost(RETAINED_SHARE, SHARES_OF_REST.retained)),
    stateBytes: atMost(STATE_SHARE, SHARES_OF_REST.state),
    sessionBytes: atMost(SESSION_SHARE, SHARES_OF_REST.session),
  };
}

export function quotaSum(streams: readonly StreamConfig[]): number {
  return streams.reduce((sum, stream) => sum + (stream.quotaBytes ?? 0), 0);
}

/** Refuses a policy that could not do what it is for. */
export function reportPolicies({ streams, uplinks }: Config, issues: IssueLog): void {
  streams.forEach(({ name, whenFull, quotaBytes }, position) => {
    if (whenFull === 'drop_oldest') return;
    const key = `stream[${position}].when_full`;
    if (quotaBytes === undefined) {
      issues.error(
        key,
        `"${whenFull}" needs a quota: without one nothing says when stream "${name}" is full`,
        'Add quota, or write "drop_oldest".',
      );
    }
    if (uplinks.some((uplink) => uplink.streams.includes(name))) return;
    issues.error(
      key,
      `nothing reads stream "${name}", so "${whenFull}" would never let anything in again`,
      'Add the stream to an uplink, or write "drop_oldest".',
    );
  });
}

function describeSum(streams: readonly StreamConfig[]): string {
  const sizes = streams.flatMap(({ quotaBytes }) => quotaBytes ?? []).map(describeSize);
  const sum = describeSize(quotaSum(streams));
  return sizes.length === 1
    ? `the quota is ${sum}`
    : `all quotas together are ${sizes.join(' + ')} = ${sum}`;
}

function describeCapacity({ sizeBytes, segmentSizeBytes }: StorageConfig): string {
  const segments = sizeBytes / segmentSizeBytes;
  const usable = `(${segments} - ${RESERVED_SEGMENTS}) segments of ${describeSize(segmentSizeBytes)}`;
  return `${100 * QUOTA_SHARE} % of ${usable}`;
}

/** Refuses quotas that the ring could not keep. */
export function reportQuotas(config: Config, issues: IssueLog): void {
  const sum = quotaSum(config.streams);
  const capacity = quotaCapacity(config.storage);
  if (sum <= capacity) return;
  const last = config.streams.findLastIndex((stream) => stream.quotaBytes !== undefined);
  issues.error(
    `stream[${last}].quota`,
    `${describeSum(config.streams)}, and the ring has ${describeSize(capacity)} for quotas: ` +
      describeCapacity(config.storage),
    'Lower the quotas, or let storage.size be larger.',
  );
}
