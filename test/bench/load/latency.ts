import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './client.ts';
import { CountingSubscriber } from './counting-subscriber.ts';
import type { LatencyLoad } from './loads.ts';
import { MessageWheel } from './message-wheel.ts';
import { ProcessorMeter } from './processor-time.ts';
import type { LatencyResult } from './results.ts';
import type { RunOptions } from './run-options.ts';
import { ScheduledPublisher } from './scheduled-publisher.ts';

const DRAIN_MS = 5000;
const DRAIN_STEP_MS = 50;
const READ_BUFFER_BYTES = 64 * 1024;

/** Each publisher sends once a period, at a moment that is drawn once, from a fixed seed. */
class Schedule {
  /** Publishers in the order in which they send. */
  readonly order: Uint16Array;
  readonly #periodMs: number;
  /** By publisher. */
  readonly #phasesMs: Float64Array;

  constructor(publishers: number, periodMs: number) {
    let state = 1;
    this.#periodMs = periodMs;
    this.#phasesMs = Float64Array.from({ length: publishers }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state / 2 ** 32) * periodMs;
    });
    this.order = Uint16Array.from(this.#phasesMs.keys()).sort(
      (a, b) => (this.#phasesMs[a] as number) - (this.#phasesMs[b] as number),
    );
  }

  /** When a publisher's message, numbered from 0, is due; since the start. */
  dueMs(message: number, publisher: number): number {
    return message * this.#periodMs + (this.#phasesMs[publisher] as number);
  }
}

/** Latencies of the messages that were due in the measured time. */
class Recorder {
  #startMs = Number.NaN;
  #count = 0;
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #latenciesMs: Float64Array;

  constructor(fromMs: number, toMs: number, messagesPerSecond: number) {
    this.#fromMs = fromMs;
    this.#toMs = toMs;
    this.#latenciesMs = new Float64Array(
      Math.ceil((1.1 * messagesPerSecond * (toMs - fromMs)) / 1000),
    );
  }

  start(): void {
    this.#startMs = performance.now();
  }

  /** Since `start`. */
  elapsedMs(): number {
    return performance.now() - this.#startMs;
  }

  /** Now is the end of what was due at `dueMs`. */
  record(dueMs: number): void {
    if (dueMs < this.#fromMs || dueMs >= this.#toMs) return;
    this.#latenciesMs[this.#count] = this.elapsedMs() - dueMs;
    this.#count += 1;
  }

  percentiles(): Pick<LatencyResult, 'p50Ms' | 'p99Ms' | 'p999Ms' | 'maxMs'> {
    const sorted = this.#latenciesMs.subarray(0, this.#count).sort();
    const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
    return { p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999), maxMs: at(1) };
  }
}

interface Rig {
  readonly publishers: readonly ScheduledPublisher[];
  readonly subscriber: CountingSubscriber | undefined;
  readonly close: () => void;
}

async function openRig(
  load: LatencyLoad,
  schedule: Schedule,
  recorder: Recorder,
  { port, onFailure }: RunOptions,
): Promise<Rig> {
  const topicOf = (publisher: number) => `bench/from/${publisher}`;
  // An identifier must not come again while its message is unacknowledged.
  const count = 2 * load.window;
  const buffer = Buffer.alloc(READ_BUFFER_BYTES);
  const clients: Client[] = [];
  const open = async (name: string) => {
    const client = await Client.open(port, name, onFailure, buffer);
    clients.push(client);
    return client;
  };
  let subscriber: CountingSubscriber | undefined;
  if (load.subscribers === 1) {
    const client = await open('bench-sub');
    let known = 0;
    const taking = new CountingSubscriber(client, count, 1, () => {
      for (; known < taking.arrived; known += 1) recorder.record(schedule.dueMs(known, 0));
    });
    await client.subscribe(topicOf(0), 1);
    subscriber = taking;
  }
  const publishers: ScheduledPublisher[] = [];
  for (let i = 0; i < load.publishers; i += 1) {
    const wheel = new MessageWheel(topicOf(i), 1, load.payloadBytes, count, i);
    const onAck = (message: number) => {
      if (subscriber === undefined) recorder.record(schedule.dueMs(message, i));
    };
    publishers.push(
      new ScheduledPublisher(await open(`bench-pub-${i}`), wheel, load.window, onAck),
    );
  }
  return { publishers, subscriber, close: () => clients.forEach((client) => client.close()) };
}

/**
 * Hands out what falls due until `untilMs`. It spins, reading the sockets in between: timers come a
 * millisecond late, which is more than what is measured, and the load has a core of its own.
 */
function feed(rig: Rig, schedule: Schedule, recorder: Recorder, untilMs: number): Promise<void> {
  const { order } = schedule;
  let period = 0;
  let place = 0;
  return new Promise((resolve) => {
    const turn = () => {
      const nowMs = recorder.elapsedMs();
      let dueMs = schedule.dueMs(period, order[place] as number);
      while (dueMs <= nowMs && dueMs < untilMs) {
        rig.publishers[order[place] as number]?.due();
        place += 1;
        if (place === order.length) {
          place = 0;
          period += 1;
        }
        dueMs = schedule.dueMs(period, order[place] as number);
      }
      if (dueMs < untilMs) setImmediate(turn);
      else resolve();
    };
    turn();
  });
}

const total = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0);

export async function runLatency(load: LatencyLoad, options: RunOptions): Promise<LatencyResult> {
  const schedule = new Schedule(load.publishers, load.periodMs);
  const messagesPerSecond = (1000 * load.publishers) / load.periodMs;
  const measureMs = options.measureMs * load.measureFactor;
  const warmupMs = options.warmupMs * load.warmupFactor;
  const untilMs = warmupMs + measureMs;
  const recorder = new Recorder(warmupMs, untilMs, messagesPerSecond);
  const rig = await openRig(load, schedule, recorder, options);
  const expected = () => total(rig.publishers.map((one) => one.sent));
  const arrived = () =>
    rig.subscriber?.arrived ?? total(rig.publishers.map((one) => one.acknowledged));
  recorder.start();
  const fed = feed(rig, schedule, recorder, untilMs);
  await sleep(warmupMs);
  const meter = new ProcessorMeter(options.brokerPid);
  await sleep(measureMs);
  const { fromNs, toNs, use } = meter.stop();
  await fed;
  for (let waitedMs = 0; arrived() < expected() && waitedMs < DRAIN_MS; waitedMs += DRAIN_STEP_MS) {
    await sleep(DRAIN_STEP_MS);
  }
  const misordered = [...rig.publishers, ...(rig.subscriber === undefined ? [] : [rig.subscriber])];
  const result = {
    kind: 'latency' as const,
    load: load.name,
    fromNs,
    toNs,
    messagesPerSecond,
    ...recorder.percentiles(),
    expected: expected(),
    arrived: arrived(),
    misordered: total(misordered.map((one) => one.misordered)),
    ...use,
  };
  rig.close();
  return result;
}
