/**
 * The load, as a process of its own: connects, runs one load for a while, prints one line of JSON.
 *
 *   node test/bench/load.ts --load qos1-ingest --port 21001 --pid 4711 [--warmup-ms 1000] [--measure-ms 3000]
 *
 * `--pid` is the broker's, whose processor time is told with the rate.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from './load/client.ts';
import { CountingSubscriber } from './load/counting-subscriber.ts';
import { type Load, loadNamed } from './load/loads.ts';
import { MessageWheel } from './load/message-wheel.ts';
import {
  FloodPublisher,
  PacedPublisher,
  type Publisher,
  WindowPublisher,
} from './load/publishers.ts';

/** What one run of a load found. */
export interface LoadResult {
  readonly load: string;
  /** Acknowledged, or with subscribers delivered, a second of the measured time. */
  readonly perSecond: number;
  /** Over the whole run, warm-up and drain included. */
  readonly sent: number;
  readonly expected: number;
  readonly arrived: number;
  readonly misordered: number;
  /** Processor seconds a second of the measured time. */
  readonly brokerCpu: number;
  readonly loadCpu: number;
  /** What everything else on the machine took; the result is worth little where this is large. */
  readonly othersCpu: number;
}

/** `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that Node runs on. */
const TICKS_A_SECOND = 100;
const GIVE_UP_MS = 250;
const DRAIN_STEP_MS = 200;
const DRAIN_STEPS_WITHOUT_PROGRESS = 10;

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

function fail(error: Error): never {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

function open(port: number, clientId: string): Promise<Client> {
  return Client.open(port, clientId, fail);
}

async function ingestRig(load: Load, port: number): Promise<Rig> {
  const clients: Client[] = [];
  for (let i = 0; i < load.publishers; i += 1) clients.push(await open(port, `bench-pub-${i}`));
  const kind = load.qos === 0 ? FloodPublisher : WindowPublisher;
  const publishers = clients.map(
    (client, i) => new kind(client, `bench/pub/${i}`, load.payloadBytes, load.window),
  );
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

async function deliveryRig(load: Load, port: number): Promise<Rig> {
  const topic = 'bench/fan';
  const publisherClient = await open(port, 'bench-pub');
  const wheelCount = load.qos === 0 ? 20_000 : Math.max(2000, 2 * load.window);
  const subscribers: CountingSubscriber[] = [];
  const clients = [publisherClient];
  // One counter beside the subscribers' own: adding 100 of them up at every read would be the load.
  let arrived = 0;
  const wheel = new MessageWheel(topic, load.qos, load.payloadBytes, wheelCount);
  const paced =
    load.qos === 0 ? new PacedPublisher(publisherClient, wheel, load.window) : undefined;
  const publisher =
    paced ?? new WindowPublisher(publisherClient, topic, load.payloadBytes, load.window);
  for (let i = 0; i < load.subscribers; i += 1) {
    const client = await open(port, `bench-sub-${i}`);
    let known = 0;
    const subscriber = new CountingSubscriber(client, wheelCount, () => {
      arrived += subscriber.arrived - known;
      known = subscriber.arrived;
      paced?.delivered(arrived / load.subscribers);
    });
    await client.subscribe(topic, load.qos);
    subscribers.push(subscriber);
    clients.push(client);
  }
  const watch =
    paced === undefined ? undefined : giveUpLost(paced, load.subscribers, () => arrived);
  return {
    publishers: [publisher],
    counted: () => arrived,
    expected: () => publisher.sent * load.subscribers,
    misordered: () => total(subscribers.map((one) => one.misordered)),
    close: () => {
      clearInterval(watch);
      for (const client of clients) client.close();
    },
  };
}

/**
 * A broker may drop QoS 0. What has not come while nothing came for a step is given up, so that the
 * window opens again; the result still tells how much was sent and how much arrived.
 */
function giveUpLost(
  publisher: PacedPublisher,
  subscribers: number,
  arrived: () => number,
): NodeJS.Timeout {
  let last = -1;
  let givenUp = 0;
  return setInterval(() => {
    if (arrived() === last) givenUp = publisher.sent * subscribers - last;
    last = arrived();
    publisher.delivered((last + givenUp) / subscribers);
  }, GIVE_UP_MS);
}

/** User and system time of all threads so far, in seconds (proc(5), fields 14 and 15). */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in parentheses, and may hold blanks itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

/** Of all processes and all cores so far, idle and waiting for the disk left out (proc(5), stat). */
function machineCpuSeconds(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  const [user, nice, system, , , irq, softirq] = line.trim().split(/\s+/).slice(1).map(Number);
  const ticks = [user, nice, system, irq, softirq].map((value) => value ?? 0);
  return total(ticks) / TICKS_A_SECOND;
}

function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
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

async function run(
  load: Load,
  port: number,
  brokerPid: number,
  warmupMs: number,
  measureMs: number,
): Promise<LoadResult> {
  const rig = await (load.subscribers === 0 ? ingestRig(load, port) : deliveryRig(load, port));
  for (const publisher of rig.publishers) publisher.start();
  await sleep(warmupMs);
  const start = process.hrtime.bigint();
  const before = {
    count: rig.counted(),
    broker: cpuSecondsOf(brokerPid),
    own: ownCpuSeconds(),
    machine: machineCpuSeconds(),
  };
  await sleep(measureMs);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const perSecond = (rig.counted() - before.count) / seconds;
  const brokerCpu = (cpuSecondsOf(brokerPid) - before.broker) / seconds;
  const loadCpu = (ownCpuSeconds() - before.own) / seconds;
  const machineCpu = (machineCpuSeconds() - before.machine) / seconds;
  for (const publisher of rig.publishers) publisher.stop();
  await drain(rig);
  const result = {
    load: load.name,
    perSecond,
    sent: total(rig.publishers.map((one) => one.sent)),
    expected: rig.expected(),
    arrived: rig.counted(),
    misordered: rig.misordered(),
    brokerCpu,
    loadCpu,
    othersCpu: Math.max(0, machineCpu - brokerCpu - loadCpu),
  };
  rig.close();
  return result;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      load: { type: 'string' },
      port: { type: 'string' },
      pid: { type: 'string' },
      'warmup-ms': { type: 'string', default: '1000' },
      'measure-ms': { type: 'string', default: '3000' },
    },
  });
  const result = await run(
    loadNamed(values.load ?? ''),
    Number(values.port),
    Number(values.pid),
    Number(values['warmup-ms']),
    Number(values['measure-ms']),
  );
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

await main();
