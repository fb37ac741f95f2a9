import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './client.ts';
import { CountingSubscriber } from './counting-subscriber.ts';
import type { ThroughputLoad } from './loads.ts';
import { MessageWheel } from './message-wheel.ts';
import { ProcessorMeter } from './processor-time.ts';
import { FloodPublisher, PacedPublisher, type Publisher, WindowPublisher } from './publishers.ts';
import type { ThroughputResult } from './results.ts';
import type { RunOptions } from './run-options.ts';

const GIVE_UP_MS = 250;
/** Messages of a load that are sent and not delivered: below what any of the brokers drops at. */
const MAX_BACKLOG = 5000;
const DRAIN_STEP_MS = 100;
const DRAIN_STEPS_WITHOUT_PROGRESS = 20;

interface Rig {
  readonly publishers: readonly Publisher[];
  /** What counts for the rate. */
  readonly counted: () => number;
  /** What `counted` must reach when all that was sent has arrived. */
  readonly expected: () => number;
  readonly misordered: () => number;
  readonly close: () => void;
}

const total = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0);
const topicOf = (publisher: number) => `bench/from/${publisher}`;

async function openAll(
  count: number,
  role: string,
  { port, onFailure }: RunOptions,
): Promise<Client[]> {
  const clients: Client[] = [];
  for (let i = 0; i < count; i += 1) {
    clients.push(await Client.open(port, `bench-${role}-${i}`, onFailure));
  }
  return clients;
}

/** An identifier must not come again while its message is unacknowledged. */
function wheelCount(load: ThroughputLoad): number {
  if (load.qos === 1) return Math.max(2000, 2 * load.window);
  return load.subscribers === 0 ? 5000 : 20_000;
}

function wheelOf(load: ThroughputLoad, publisher: number): MessageWheel {
  const { qos, payloadBytes } = load;
  return new MessageWheel(topicOf(publisher), qos, payloadBytes, wheelCount(load), publisher);
}

async function ingestRig(load: ThroughputLoad, options: RunOptions): Promise<Rig> {
  const clients = await openAll(load.publishers, 'pub', options);
  const kind = load.qos === 0 ? FloodPublisher : WindowPublisher;
  const publishers = clients.map((client, i) => new kind(client, wheelOf(load, i), load.window));
  const misordered = () =>
    total(publishers.map((one) => (one instanceof WindowPublisher ? one.misordered : 0)));
  return {
    publishers,
    counted: () => total(publishers.map((one) => one.finished)),
    expected: () => total(publishers.map((one) => one.sent)),
    misordered,
    close: () => clients.forEach((client) => client.close()),
  };
}

function filterOf(load: ThroughputLoad, subscriber: number): string {
  if (load.pairs === true) return topicOf(subscriber);
  return load.publishers === 1 ? topicOf(0) : topicOf(0).replace('0', '+');
}

/** What has arrived of what was sent, over all connections of a load. */
class Deliveries {
  arrived = 0;
  /** Each message goes to so many subscribers. */
  readonly copies: number;
  #publishers: readonly (PacedPublisher | WindowPublisher)[] = [];

  constructor(copies: number) {
    this.copies = copies;
  }

  set publishers(publishers: readonly (PacedPublisher | WindowPublisher)[]) {
    this.#publishers = publishers;
  }

  expected(): number {
    return total(this.#publishers.map((one) => one.sent)) * this.copies;
  }

  /**
   * Brokers acknowledge before they deliver. What a broker takes and cannot deliver in time fills its
   * queues up to their limits, and the rate is not one that it could go on with.
   */
  isFarBehind(): boolean {
    let sent = 0;
    for (const publisher of this.#publishers) sent += publisher.sent;
    return sent * this.copies - this.arrived > MAX_BACKLOG;
  }

  /** A subscriber took what was there to read; `givenUp` will not come any more. */
  add(messages: number, givenUp = 0): void {
    const wasFarBehind = this.isFarBehind();
    this.arrived += messages;
    const goOn = wasFarBehind && !this.isFarBehind();
    for (const publisher of this.#publishers) {
      if (publisher instanceof PacedPublisher) {
        publisher.delivered((this.arrived + givenUp) / this.copies);
      } else if (goOn) publisher.resume();
    }
  }
}

async function deliveryRig(load: ThroughputLoad, options: RunOptions): Promise<Rig> {
  // One counter beside the subscribers' own: adding 100 of them up at every read would be the load.
  const deliveries = new Deliveries(load.pairs === true ? 1 : load.subscribers);
  const subscribers: CountingSubscriber[] = [];
  const takers = await openAll(load.subscribers, 'sub', options);
  for (const [i, client] of takers.entries()) {
    let known = 0;
    const subscriber = new CountingSubscriber(client, wheelCount(load), load.publishers, () => {
      deliveries.add(subscriber.arrived - known);
      known = subscriber.arrived;
    });
    await client.subscribe(filterOf(load, i), load.qos);
    subscribers.push(subscriber);
  }
  const givers = await openAll(load.publishers, 'pub', options);
  const publishers = givers.map((client, i) => {
    const wheel = wheelOf(load, i);
    if (load.qos === 0) return new PacedPublisher(client, wheel, load.window);
    return new WindowPublisher(client, wheel, load.window, () => deliveries.isFarBehind());
  });
  deliveries.publishers = publishers;
  const watch = load.qos === 0 ? giveUpLost(deliveries) : undefined;
  return {
    publishers,
    counted: () => deliveries.arrived,
    expected: () => deliveries.expected(),
    misordered: () => total(subscribers.map((one) => one.misordered)),
    close: () => {
      clearInterval(watch);
      for (const client of [...takers, ...givers]) client.close();
    },
  };
}

/**
 * A broker may drop QoS 0. What has not come while nothing came for a step is given up, so that the
 * window opens again; the result still tells how much was sent and how much arrived.
 */
function giveUpLost(deliveries: Deliveries): NodeJS.Timeout {
  let last = -1;
  let givenUp = 0;
  return setInterval(() => {
    const { arrived } = deliveries;
    if (arrived === last) givenUp = deliveries.expected() - arrived;
    last = arrived;
    deliveries.add(0, givenUp);
  }, GIVE_UP_MS);
}

/** Waits until all has arrived, or nothing more comes. */
async function drain(rig: Rig): Promise<void> {
  let last = -1;
  let idle = 0;
  while (rig.counted() < rig.expected() && idle < DRAIN_STEPS_WITHOUT_PROGRESS) {
    idle = rig.counted() === last ? idle + 1 : 0;
    last = rig.counted();
    await sleep(DRAIN_STEP_MS);
  }
}

export async function runThroughput(
  load: ThroughputLoad,
  options: RunOptions,
): Promise<ThroughputResult> {
  const rig = await (load.subscribers === 0
    ? ingestRig(load, options)
    : deliveryRig(load, options));
  for (const publisher of rig.publishers) publisher.start();
  await sleep(options.warmupMs);
  const meter = new ProcessorMeter(options.brokerPid);
  const before = rig.counted();
  await sleep(options.measureMs);
  const { seconds, fromNs, toNs, use } = meter.stop();
  const perSecond = (rig.counted() - before) / seconds;
  for (const publisher of rig.publishers) publisher.stop();
  await drain(rig);
  rig.close();
  return {
    kind: 'throughput',
    load: load.name,
    fromNs,
    toNs,
    perSecond,
    expected: rig.expected(),
    arrived: rig.counted(),
    misordered: rig.misordered(),
    ...use,
  };
}
