interface NamedLoad {
  readonly name: string;
  readonly title: string;
}

/** As much as goes through. Rates are of messages acknowledged or, with subscribers, delivered. */
export interface ThroughputLoad extends NamedLoad {
  readonly kind: 'throughput';
  readonly publishers: number;
  readonly subscribers: number;
  /** Each subscriber takes one publisher's topic, of which there are as many. Otherwise all of them. */
  readonly pairs?: boolean;
  readonly qos: 0 | 1;
  readonly payloadBytes: number;
  /**
   * Messages a publisher may have out: unacknowledged at QoS 1, undelivered at QoS 0 with subscribers,
   * unfenced (see `FloodPublisher`) at QoS 0 without.
   */
  readonly window: number;
}

/**
 * QoS 1 by a schedule that does not wait for the broker (open loop). Latencies count from when a
 * message was due, so what waited behind a stall is not left out.
 */
export interface LatencyLoad extends NamedLoad {
  readonly kind: 'latency';
  readonly publishers: number;
  /** With one, the latency ends with the delivery; with none, with the PUBACK. */
  readonly subscribers: 0 | 1;
  /** Each publisher sends once in it, at a moment of its own that is the same in each period. */
  readonly periodMs: number;
  readonly payloadBytes: number;
  /** Messages a publisher may have unacknowledged; what is due beyond it waits, and its clock runs. */
  readonly window: number;
  /** Times as long as other loads: so few messages take that long until a broker is what it stays. */
  readonly warmupFactor: number;
  /** Times as long as other loads: its rate is low, so percentiles and small shares need patience. */
  readonly measureFactor: number;
}

/** Connections that are made and then do nothing. */
export interface IdleLoad extends NamedLoad {
  readonly kind: 'idle';
  readonly connections: number;
  /** Connections being made at a time. */
  readonly atOnce: number;
}

export type Load = ThroughputLoad | LatencyLoad | IdleLoad;

/** The loads of DESIGN section 11, with its windows. */
export const loads: readonly Load[] = [
  {
    kind: 'throughput',
    name: 'qos0-ingest',
    title: 'QoS 0 ingest, 10 publishers, 64 B',
    publishers: 10,
    subscribers: 0,
    qos: 0,
    payloadBytes: 64,
    window: 16_000,
  },
  {
    kind: 'throughput',
    name: 'qos1-ingest',
    title: 'QoS 1 ingest, 10 publishers, 200 B, window 100',
    publishers: 10,
    subscribers: 0,
    qos: 1,
    payloadBytes: 200,
    window: 100,
  },
  {
    kind: 'throughput',
    name: '1to1-qos0',
    title: '1 → 1 QoS 0, 64 B',
    publishers: 1,
    subscribers: 1,
    qos: 0,
    payloadBytes: 64,
    window: 20_000,
  },
  {
    kind: 'throughput',
    name: '1to1-qos1',
    title: '1 → 1 QoS 1, 64 B, window 100',
    publishers: 1,
    subscribers: 1,
    qos: 1,
    payloadBytes: 64,
    window: 100,
  },
  {
    kind: 'throughput',
    name: '50to1-qos1',
    title: '50 → 1 QoS 1, 64 B, window 100 each',
    publishers: 50,
    subscribers: 1,
    qos: 1,
    payloadBytes: 64,
    window: 100,
  },
  {
    kind: 'throughput',
    name: '10to10-qos1',
    title: '10 → 10 QoS 1 in pairs, 64 B, window 100 each',
    publishers: 10,
    subscribers: 10,
    pairs: true,
    qos: 1,
    payloadBytes: 64,
    window: 100,
  },
  {
    kind: 'throughput',
    name: '1to100-qos0',
    title: '1 → 100 QoS 0, 64 B (deliveries)',
    publishers: 1,
    subscribers: 100,
    qos: 0,
    payloadBytes: 64,
    window: 1000,
  },
  {
    kind: 'latency',
    name: 'latency',
    title: '1 → 1 QoS 1, 64 B, 2,000 messages/s, publisher to subscriber',
    publishers: 1,
    subscribers: 1,
    periodMs: 0.5,
    payloadBytes: 64,
    window: 1000,
    warmupFactor: 5,
    measureFactor: 2,
  },
  {
    kind: 'latency',
    name: 'gateway-day',
    title: "A gateway's day: 1,000 connections, 1 message/s each, QoS 1, 200 B, window 1, ack",
    publishers: 1000,
    subscribers: 0,
    periodMs: 1000,
    payloadBytes: 200,
    window: 1,
    warmupFactor: 15,
    measureFactor: 3,
  },
  {
    kind: 'idle',
    name: 'idle',
    title: '5,000 idle connections more',
    connections: 5000,
    atOnce: 100,
  },
];

export function loadNamed(name: string): Load {
  const load = loads.find((one) => one.name === name);
  if (load === undefined) {
    throw new Error(
      `There is no load ${name}; there are ${loads.map((one) => one.name).join(', ')}.`,
    );
  }
  return load;
}
