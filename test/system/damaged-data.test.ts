import {
  closeSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Status } from '../../src/admin/status.ts';
import { TestProcess } from '../support/child-process.ts';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { assertRunning } from '../support/last-words.ts';
import { startMosquitto } from '../support/mosquitto.ts';
import { PersistentSubscriber } from '../support/persistent-subscriber.ts';
import { SimRandom } from '../support/sim-random.ts';
import { WireClient } from '../support/wire-client.ts';

const PAGE_BYTES = 4096;
/** About 40 MB in a ring of 64 MiB, and not a byte of it can be compressed away. */
const LAP_MESSAGES = 20_000;
const RETAINED = 20;

const seed = Number(process.env['CISTERN_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const undo: (() => unknown)[] = [];
let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'cistern-damaged-'));
  undo.push(() => rm(dataDir, { recursive: true, force: true }));
});

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(toml = 'anonymous = true'): Promise<Cistern> {
  const broker = await startCistern({ dataDir, toml });
  undo.push(() => broker.stop());
  return broker;
}

async function connect(broker: Cistern, clientId: string, clean = true): Promise<WireClient> {
  const { client } = await WireClient.connect(broker.mqttPort, { clientId, clean });
  undo.push(() => client.destroy());
  return client;
}

/** Numbered messages, acknowledged, whose payload cannot be mistaken for another's. */
async function publishNumbered(client: WireClient, from: number, to: number): Promise<void> {
  const random = new SimRandom(from);
  for (let number = from; number < to; number += 1) {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(number);
    const payload = Buffer.concat([head, random.bytes(2_000)]);
    const messageId = (number % 65_535) + 1;
    const message = { topic: `log/${number % 50}`, payload, qos: 1, retain: false } as const;
    client.send({ cmd: 'publish', ...message, dup: false, messageId });
    if (number % 500 === 499 || number === to - 1) {
      await client.next('puback', (ack) => ack.messageId === messageId);
    }
  }
}

interface Damage {
  readonly file: string;
  readonly offset: number;
}

/** Flips one bit in each of `count` random pages that hold something. */
function flipBits(folder: string, count: number, random: SimRandom): Damage[] {
  const files = readdirSync(folder).map((name) => join(folder, name));
  const damage: Damage[] = [];
  while (damage.length < count) {
    const file = random.pick(files);
    const page = random.below(statSync(file).size / PAGE_BYTES) * PAGE_BYTES;
    const descriptor = openSync(file, 'r+');
    const bytes = Buffer.alloc(PAGE_BYTES);
    readSync(descriptor, bytes, 0, PAGE_BYTES, page);
    if (bytes.some((byte) => byte !== 0)) {
      const at = random.below(PAGE_BYTES);
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      writeSync(descriptor, bytes, 0, PAGE_BYTES, page);
      damage.push({ file, offset: page + at });
    }
    closeSync(descriptor);
  }
  return damage;
}

test(`bits flipped all over the ring: it starts, delivers what is readable, and says what is not (seed ${seed})`, async () => {
  console.log(`damaged-data: seed ${seed}`);
  const before = await start();
  const publisher = await connect(before, 'publisher');
  await publishNumbered(publisher, 0, LAP_MESSAGES);
  expect(await before.shutDown()).toBe(0);
  expect(await verify()).toMatchObject({ exitCode: 0, slots: new Set() });
  const flipped = flipBits(join(dataDir, 'ring'), 12, new SimRandom(seed));
  const found = await verify();
  expect(found.exitCode).toBe(4);
  // A bit in a page's padding changes nothing, so not every slot has to be named, but no other.
  const damaged = new Set(flipped.map(({ file }) => Number(file.slice(-4))));
  expect([...found.slots].filter((slot) => !damaged.has(slot))).toEqual([]);
  expect(found.slots.size).toBeGreaterThanOrEqual(damaged.size / 2);

  const upstream = await startMosquitto({ config: ['max_queued_messages 0'] });
  undo.push(() => upstream.stop());
  const arrived: number[] = [];
  const witness = new PersistentSubscriber({
    port: upstream.port,
    clientId: 'witness',
    version: 4,
    filters: ['log/#'],
    qos: 1,
    onMessage: ({ payload }) => arrived.push((payload as Buffer).readUInt32BE(0)),
  });
  await witness.start();
  undo.push(() => witness.stop());
  const after = await start(
    `anonymous = true\n[[uplink]]\nname = "cloud"\nmqtt = { url = "mqtt://127.0.0.1:${upstream.port}" }\n`,
  );
  await drained(after);
  assertRunning(after);

  const missing = LAP_MESSAGES - new Set(arrived).size;
  const { alarms } = await after.status<Status>();
  console.log(
    `damaged-data: 12 flipped bits cost ${missing} of ${LAP_MESSAGES} messages; ` +
      `alarms: ${alarms.map(({ message }) => message).join(' ')}`,
  );
  // Each number once and in order: nothing garbled, nothing invented, nothing of it twice.
  expect(arrived).toEqual([...new Set(arrived)].toSorted((a, b) => a - b));
  expect(arrived.at(-1)).toBeLessThan(LAP_MESSAGES);
  // A flipped bit costs its batch at most, and a batch is far below a segment's 2,000 messages.
  expect(missing).toBeLessThan(12 * 600);
  // What is told is what is missing, or more: the records of the broker's own state count too.
  const alarm = alarms.find(({ code }) => code === 'ring.corrupt_records');
  expect(Number.parseInt(alarm?.message ?? '0', 10)).toBeGreaterThanOrEqual(missing);
  // New messages go on behind the damage.
  const again = await connect(after, 'again');
  await publishNumbered(again, LAP_MESSAGES, LAP_MESSAGES + 100);
  await drained(after);
  expect(arrived.slice(-100)).toEqual(Array.from({ length: 100 }, (_, i) => LAP_MESSAGES + i));
}, 120_000);

/** What `cistern log verify` says of the data, and which slots it names. */
async function verify(): Promise<{
  readonly exitCode: number | NodeJS.Signals;
  readonly slots: ReadonlySet<number>;
}> {
  const child = new TestProcess(executablePath(), ['log', 'verify', dataDir]);
  const exitCode = await child.exited();
  const slots = child.stdout.flatMap((line) => /^slot (\d+):/.exec(line)?.[1] ?? []);
  return { exitCode, slots: new Set(slots.map(Number)) };
}

interface LostOffsets {
  readonly stream: string;
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/** What `cistern log` prints of the data with `--json`. */
async function log<T>(action: string): Promise<{
  readonly exitCode: number | NodeJS.Signals;
  readonly documents: readonly T[];
  readonly stderr: string;
}> {
  const child = new TestProcess(executablePath(), ['log', action, dataDir, '--json']);
  const exitCode = await child.exited();
  const documents = child.stdout.map((line) => JSON.parse(line) as T);
  return { exitCode, documents, stderr: child.stderr.join('\n') };
}

test('a segment that is gone and one that was cut short: each offset of them is told, by every start', async () => {
  const before = await start();
  await publishNumbered(await connect(before, 'publisher'), 0, 12_000);
  expect(await before.shutDown()).toBe(0);
  interface Record {
    readonly stream: string;
    readonly offset: number;
  }
  const offsets = (records: readonly Record[]): number[] =>
    records.filter(({ stream }) => stream === 'default').map(({ offset }) => offset);
  const whole = await log<Record>('dump');
  expect(whole).toMatchObject({ exitCode: 0, stderr: '' });
  const { documents: segments } = await log<{ slot: number; epoch: number; state: string }>(
    'inspect',
  );
  const live = segments.filter(({ state }) => state === 'live');
  const [gone, , cut] = live.toSorted((a, b) => a.epoch - b.epoch).slice(1);
  const fileOf = (slot = 0): string => join(dataDir, 'ring', `slot-${`${slot}`.padStart(4, '0')}`);
  rmSync(fileOf(gone?.slot));
  truncateSync(fileOf(cut?.slot), 1 << 20);

  const left = await log<Record>('dump');
  expect(left.exitCode).toBe(4);
  expect(left.stderr).toContain('left out 1 segment and 1 damaged place');
  const there = new Set(offsets(left.documents));
  const missing = offsets(whole.documents).filter((offset) => !there.has(offset));
  expect(missing.length).toBeGreaterThan(2_000);
  const told = async (): Promise<number[]> => {
    const { exitCode, documents } = await log<{ lost?: LostOffsets[] }>('verify');
    expect(exitCode).toBe(4);
    const lost = documents.at(-1)?.lost?.filter(({ stream }) => stream === 'default') ?? [];
    return lost.flatMap(({ firstOffset, lastOffset }) =>
      Array.from({ length: lastOffset - firstOffset + 1 }, (_, index) => firstOffset + index),
    );
  };
  expect(await told()).toEqual(missing);
  for (let count = 1; count <= 2; count += 1) {
    const after = await start();
    const { ring, alarms } = await after.status<Status>();
    const lost = ring.lost.filter(({ stream }) => stream === 'default');
    expect(lost.reduce((sum, range) => sum + range.count, 0)).toBe(missing.length);
    expect(alarms.map(({ code }) => code)).toContain('ring.corrupt_records');
    expect(await after.shutDown()).toBe(0);
    expect(await told()).toEqual(missing);
  }
}, 120_000);

/** Waits until the uplink has nothing left, or gets nowhere for seconds. */
async function drained(broker: Cistern): Promise<void> {
  let backlog = Number.POSITIVE_INFINITY;
  let stuckSince = performance.now();
  while (backlog > 0 && performance.now() - stuckSince < 10_000) {
    await sleep(50);
    const now = (await broker.status<Status>()).uplinks[0]?.backlogRecords ?? 0;
    if (now !== backlog) stuckSince = performance.now();
    backlog = now;
  }
  expect(backlog, 'backlog of the uplink').toBe(0);
  // What the witness has not acknowledged yet is on its way.
  await sleep(500);
}

const garbage = (bytes: number): Buffer => Buffer.from(new SimRandom(bytes).bytes(bytes));

const CHECKPOINT_DAMAGE: readonly (readonly [string, (file: string) => void])[] = [
  ['deleted', (file) => rmSync(file)],
  ['overwritten with garbage', (file) => writeFileSync(file, garbage(statSync(file).size))],
  ['cut in half', (file) => truncateSync(file, statSync(file).size / 2)],
  ['empty', (file) => truncateSync(file, 0)],
  ['full of zeros', (file) => writeFileSync(file, Buffer.alloc(statSync(file).size))],
  [
    'garbage behind its first two pages',
    (file) => {
      const descriptor = openSync(file, 'r+');
      const bytes = garbage(statSync(file).size - 2 * PAGE_BYTES);
      writeSync(descriptor, bytes, 0, bytes.length, 2 * PAGE_BYTES);
      closeSync(descriptor);
    },
  ],
];

test.each(CHECKPOINT_DAMAGE)(
  'the checkpoint %s: sessions, subscriptions and retained messages are there all the same',
  async (_, damage) => {
    const before = await start();
    const device = await connect(before, 'device', false);
    const subscriptions = [{ topic: 'commands/#', qos: 1 as const }];
    device.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await device.next('suback');
    device.destroy();
    const publisher = await connect(before, 'publisher');
    for (let index = 1; index <= RETAINED; index += 1) {
      await publisher.publish(`state/${index}`, `value ${index}`, index, true);
    }
    for (let index = 1; index <= 5; index += 1) {
      await publisher.publish(`commands/${index}`, `do ${index}`, index, false);
    }
    expect(await before.shutDown()).toBe(0);
    damage(join(dataDir, 'state', 'checkpoint.mdb'));

    const after = await start();
    await checkState(after);
    // And once more, over the checkpoint that was made anew.
    expect(await after.shutDown()).toBe(0);
    await after.launch();
    await checkRetained(after);
  },
);

test('the checkpoint deleted after the ring went round: what is carried forward is all there', async () => {
  const before = await start();
  const device = await connect(before, 'device', false);
  const subscriptions = [{ topic: 'commands/#', qos: 1 as const }];
  device.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  await device.next('suback');
  device.destroy();
  const publisher = await connect(before, 'publisher');
  for (let index = 1; index <= RETAINED; index += 1) {
    await publisher.publish(`state/${index}`, `value ${index}`, index, true);
  }
  // 64 MiB hold about 32,000 of these: by the end the segments of the beginning are rewritten.
  await publishNumbered(publisher, 0, 60_000);
  expect((await before.status<Status>()).ring.epoch).toBeGreaterThan(20);
  for (let index = 1; index <= 5; index += 1) {
    await publisher.publish(`commands/${index}`, `do ${index}`, index, false);
  }
  await before.kill9();
  rmSync(join(dataDir, 'state'), { recursive: true });

  const after = await start();
  await checkState(after);
}, 120_000);

async function checkState(broker: Cistern): Promise<void> {
  await checkRetained(broker);
  const { client, connack } = await WireClient.connect(broker.mqttPort, {
    clientId: 'device',
    clean: false,
  });
  undo.push(() => client.destroy());
  expect(connack.sessionPresent).toBe(true);
  for (let index = 1; index <= 5; index += 1) {
    const { topic, payload, messageId } = await client.next('publish');
    expect(`${topic} ${payload.toString()}`).toBe(`commands/${index} do ${index}`);
    client.send({ cmd: 'puback', messageId: messageId ?? 0 });
  }
  const publisher = await connect(broker, 'publisher');
  await publisher.publish('commands/new', 'now', 1, false);
  expect((await client.next('publish')).payload.toString()).toBe('now');
}

async function checkRetained(broker: Cistern): Promise<void> {
  const reader = await connect(broker, 'reader');
  reader.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'state/#', qos: 0 }] });
  const found = new Map<string, string>();
  for (let count = 0; count < RETAINED; count += 1) {
    const { topic, payload } = await reader.next('publish');
    found.set(topic, payload.toString());
  }
  const expected = Array.from({ length: RETAINED }, (_, i) => [`state/${i + 1}`, `value ${i + 1}`]);
  expect(found).toEqual(new Map(expected as [string, string][]));
  reader.destroy();
}
