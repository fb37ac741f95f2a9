/** One way to load a broker. Rates are of messages acknowledged or, with subscribers, delivered. */
export interface Load {
  readonly name: string;
  readonly title: string;
  readonly publishers: number;
  readonly subscribers: number;
  readonly qos: 0 | 1;
  readonly payloadBytes: number;
  /**
   * Messages a publisher may have out: unacknowledged at QoS 1, undelivered at QoS 0 with subscribers,
   * unfenced (see `FloodPublisher`) at QoS 0 without.
   */
  readonly window: number;
}

/** The loads of DESIGN section 11 that have a figure to meet. */
export const loads: readonly Load[] = [
  {
    name: 'qos1-ingest',
    title: 'QoS 1 ingest, 10 publishers, 200 B, window 100',
    publishers: 10,
    subscribers: 0,
    qos: 1,
    payloadBytes: 200,
    window: 100,
  },
  {
    name: 'qos0-ingest',
    title: 'QoS 0 ingest, 10 publishers, 64 B',
    publishers: 10,
    subscribers: 0,
    qos: 0,
    payloadBytes: 64,
    window: 16_000,
  },
  {
    name: '1to1-qos0',
    title: '1 → 1 QoS 0, 64 B',
    publishers: 1,
    subscribers: 1,
    qos: 0,
    payloadBytes: 64,
    window: 20_000,
  },
  {
    name: '1to1-qos1',
    title: '1 → 1 QoS 1, 64 B, window 100',
    publishers: 1,
    subscribers: 1,
    qos: 1,
    payloadBytes: 64,
    window: 100,
  },
  {
    name: '1to100-qos0',
    title: '1 → 100 QoS 0, 64 B (deliveries)',
    publishers: 1,
    subscribers: 100,
    qos: 0,
    payloadBytes: 64,
    window: 1000,
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
