import type { ProcessorUse } from './processor-time.ts';

interface Counted extends ProcessorUse {
  readonly load: string;
  /** The measured time, in ns of the monotonic clock, which all processes of the machine share. */
  readonly fromNs: number;
  readonly toNs: number;
  /** Messages that had to arrive, and those that did, over the whole run. */
  readonly expected: number;
  readonly arrived: number;
  /** Messages or acks that did not follow the one before. */
  readonly misordered: number;
}

export interface ThroughputResult extends Counted {
  readonly kind: 'throughput';
  /** Acknowledged, or with subscribers delivered, a second of the measured time. */
  readonly perSecond: number;
}

export interface LatencyResult extends Counted {
  readonly kind: 'latency';
  readonly messagesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

export interface IdleResult extends Counted {
  readonly kind: 'idle';
  readonly connectionsPerSecond: number;
  /** Anonymous memory of the broker's process; what the kernel holds for a socket is not in it. */
  readonly bytesEach: number;
}

/** What one run of a load found. */
export type LoadResult = ThroughputResult | LatencyResult | IdleResult;
