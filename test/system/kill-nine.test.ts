import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { type Cistern, startCistern } from '../support/executable.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { PersistentSubscriber } from '../support/persistent-subscriber.ts';
import { type Reading, ReliablePublisher } from '../support/reliable-publisher.ts';
import { SimRandom } from '../support/sim-random.ts';
import { waitFor } from '../support/wait-for.ts';
import { WireClient } from '../support/wire-client.ts';

const ROUNDS = 10;
const LEAST_ROUND_MS = 150;
const ROUND_SPREAD_MS = 700;
/** A start takes about this long. */
const START_SPREAD_MS = 300;
const DRAIN_LIMIT_MS = 30_000;
const READING_EVERY_MS = 5;

const seed = Number(process.env['CISTERN_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

let upstream: Mosquitto;
let broker: Cistern;
const loads: Load[] = [];
const subscribers: PersistentSubscriber[] = [];

// A test that failed halfway leaves its clients retrying and its processes running otherwise.
afterEach(async () => {
  await Promise.all(loads.splice(0).map((load) => load.stop()));
  await Promise.all(subscribers.splice(0).map((subscriber) => subscriber.stop()));
  await broker?.stop();
  await upstream?.stop();
});

test(`${ROUNDS} times kill -9 under load: nothing acknowledged is lost, order holds, QoS 2 is exactly once (seed ${seed})`, async () => {
  console.log(`kill-nine: seed ${seed} (CISTERN_SEED replays the moments)`);
  const random = new SimRandom(seed);
  upstream = await startMosquitto({
    config: ['max_queued_messages 0', 'max_inflight_messages 500'],
  });
  broker = await startCistern({ toml: uplinkTo(upstream.port) });

  const atUpstream = await listen('witness', upstream.port, '#', 1);
  const atQos1 = await listen('local-qos1', broker.mqttPort, 'q1/#', 1);
  const atQos2 = await listen('local-qos2', broker.mqttPort, 'q2/#', 2);
  const q1 = [0, 1, 2, 3].map((index) => startLoad({ name: `q1/dev-${index}`, index, qos: 1 }));
  const q2 = [0, 1].map((index) => startLoad({ name: `q2/dev-${index}`, index, qos: 2 }));
  const retained = startLoad({ name: 'kept/dev', index: 0, qos: 1, retain: true });
  const all = [...q1, ...q2, retained];

  for (let round = 0; round < ROUNDS; round += 1) {
    await sleep(LEAST_ROUND_MS + random.below(ROUND_SPREAD_MS));
    await broker.kill9();
    // Now and then the connection of a subscriber breaks at some other moment than the broker's.
    if (random.chance(0.5)) random.pick([atQos1, atQos2]).subscriber.drop();
    if (random.chance(0.4)) await killWhileStarting(random.below(START_SPREAD_MS));
    await broker.launch();
  }
  await sleep(LEAST_ROUND_MS);
  for (const load of all) load.end();
  await waitFor(
    'the publishers to be acknowledged',
    () => all.every((load) => load.isDone),
    20_000,
  );

  for (const load of all) expect(load.complaints, load.name).toEqual([]);
  for (const { subscriber } of [atUpstream, atQos1, atQos2]) {
    expect(subscriber.complaints).toEqual([]);
  }
  // A round in which nothing got through would prove nothing.
  for (const load of all) expect(load.acknowledged.size, load.name).toBeGreaterThan(ROUNDS * 10);

  await settled(() => all.every((load) => isSubset(load.acknowledged, atUpstream.of(load.name))));
  for (const load of all) {
    const arrived = atUpstream.of(load.name);
    expect(missing(load.acknowledged, arrived), `${load.name}, lost upstream`).toEqual([]);
    expect(missing(arrived, load.tried), `${load.name}, invented`).toEqual([]);
    expect(lateFirsts(arrived), `${load.name}, out of order upstream`).toEqual([]);
  }

  await settled(() => q1.every((load) => isSubset(load.acknowledged, atQos1.of(load.name))));
  for (const load of q1) {
    const delivered = atQos1.of(load.name);
    expect(missing(load.acknowledged, delivered), `${load.name}, lost to the session`).toEqual([]);
    expect(lateFirsts(delivered), `${load.name}, out of order for the session`).toEqual([]);
  }

  await settled(() => q2.every((load) => isSubset(load.acknowledged, atQos2.of(load.name))));
  for (const load of q2) {
    const expected = [...load.acknowledged].toSorted((a, b) => a - b);
    expect(atQos2.of(load.name), `${load.name}: QoS 2, once each and in order`).toEqual(expected);
  }

  await checkRetained(retained);
  const counts = all.map((load) => `${load.name} ${load.acknowledged.size}`).join(', ');
  console.log(
    `kill-nine: ${ROUNDS} rounds; acknowledged: ${counts}; last start ${Math.round(broker.startMs)} ms`,
  );
});

/** A start that is itself cut short, in the middle of recovery or just before it is ready. */
async function killWhileStarting(afterMs: number): Promise<void> {
  const launching = broker.launch().catch((error: Error) => {
    if (!error.message.includes('ended instead of starting')) throw error;
  });
  await sleep(afterMs);
  await broker.kill9();
  await launching;
}

const uplinkTo = (port: number): string => `anonymous = true
[[uplink]]
name = "cloud"
backoff = { base = "100ms", cap = "500ms" }
mqtt = { url = "mqtt://127.0.0.1:${port}" }
`;

interface LoadOptions {
  /** Also the first two levels of its topics. */
  readonly name: string;
  readonly index: number;
  readonly qos: 1 | 2;
  readonly retain?: boolean;
}

/** One device that keeps measuring, and what it knows of its readings. */
class Load {
  readonly name: string;
  readonly tried = new Set<number>();
  readonly acknowledged = new Set<number>();
  readonly #publisher: ReliablePublisher;
  readonly #timer: NodeJS.Timeout;
  #next = 1;

  constructor({ name, index, qos, retain = false }: LoadOptions) {
    this.name = name;
    this.#publisher = new ReliablePublisher({
      port: broker.mqttPort,
      clientId: name.replace('/', '-'),
      version: index % 2 === 0 ? 4 : 5,
      qos,
      window: 20,
      onTried: ({ number }) => this.tried.add(number),
      onAcknowledged: ({ number }) => this.acknowledged.add(number),
    });
    this.#publisher.start();
    this.#timer = setInterval(() => {
      // Bursts, so that a kill finds a full window.
      for (let count = 0; count < 3; count += 1) this.#publisher.publish(this.#reading(retain));
    }, READING_EVERY_MS);
  }

  get complaints(): readonly string[] {
    return this.#publisher.complaints;
  }

  get isDone(): boolean {
    return this.#publisher.pending === 0;
  }

  end(): void {
    clearInterval(this.#timer);
  }

  async stop(): Promise<void> {
    this.end();
    await this.#publisher.stop('unclean');
  }

  #reading(retain: boolean): Reading {
    const number = this.#next;
    this.#next += 1;
    const payload = Buffer.from(JSON.stringify({ number }).padEnd(100));
    return { number, topic: retain ? `${this.name}/${number % 5}` : this.name, payload, retain };
  }
}

function startLoad(options: LoadOptions): Load {
  const load = new Load(options);
  loads.push(load);
  return load;
}

interface Listener {
  readonly subscriber: PersistentSubscriber;
  /** The numbers that came for a device, repeats included, in the order they came. */
  of(name: string): readonly number[];
}

async function listen(
  clientId: string,
  port: number,
  filter: string,
  qos: 1 | 2,
): Promise<Listener> {
  const byName = new Map<string, number[]>();
  const subscriber = new PersistentSubscriber({
    port,
    clientId,
    version: 4,
    filters: [filter],
    qos,
    onMessage: ({ topic, payload }) => {
      const name = topic.split('/').slice(0, 2).join('/');
      const { number } = JSON.parse(payload.toString()) as { number: number };
      const numbers = byName.get(name) ?? [];
      byName.set(name, numbers);
      numbers.push(number);
    },
  });
  subscribers.push(subscriber);
  await subscriber.start();
  return { subscriber, of: (name) => byName.get(name) ?? [] };
}

/** Each topic's retained value is one that was acknowledged last, or tried after that. */
async function checkRetained(load: Load): Promise<void> {
  const { client } = await WireClient.connect(broker.mqttPort, { clientId: 'reader' });
  client.send({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic: `${load.name}/#`, qos: 0 }],
  });
  for (let count = 0; count < 5; count += 1) {
    const { topic, payload, retain } = await client.next('publish');
    const { number } = JSON.parse(payload.toString()) as { number: number };
    const onTopic = (numbers: ReadonlySet<number>): number[] =>
      [...numbers].filter((value) => `${load.name}/${value % 5}` === topic);
    expect(retain).toBe(true);
    expect(onTopic(load.tried)).toContain(number);
    expect(number).toBeGreaterThanOrEqual(Math.max(...onTopic(load.acknowledged)));
  }
  client.destroy();
}

/** Waits for the condition without failing: the comparison that follows says what is missing. */
async function settled(isComplete: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + DRAIN_LIMIT_MS;
  while (!isComplete() && performance.now() < deadlineMs) await sleep(50);
  // Repeats would come now.
  await sleep(300);
}

function missing(wanted: Iterable<number>, found: Iterable<number>): number[] {
  const present = new Set(found);
  return [...new Set(wanted)].filter((value) => !present.has(value));
}

function isSubset(wanted: ReadonlySet<number>, found: readonly number[]): boolean {
  return missing(wanted, found).length === 0;
}

/** Numbers whose first arrival came after that of a higher one. */
function lateFirsts(numbers: readonly number[]): number[] {
  let highest = 0;
  return [...new Set(numbers)].filter((value) => {
    const isLate = value < highest;
    highest = Math.max(highest, value);
    return isLate;
  });
}
