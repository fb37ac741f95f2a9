import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Packet } from 'mqtt-packet';
import { afterEach, expect, test } from 'vitest';
import type { Status } from '../../src/admin/status.ts';
import { openLmdbCheckpoint } from '../../src/metadata/lmdb-checkpoint.ts';
import { ReopeningCheckpoint } from '../../src/metadata/reopening-checkpoint.ts';
import { openNodeVolume } from '../../src/platform/node/volume.ts';
import { type Cistern, startCistern } from '../support/executable.ts';
import { assertRunning } from '../support/last-words.ts';
import { MemoryLogger } from '../support/memory-logger.ts';
import { MountedDisk } from '../support/mounted-disk.ts';
import { SimRandom } from '../support/sim-random.ts';
import { WireClient } from '../support/wire-client.ts';
import { FailingDisk } from './failing-disk.ts';

const QUOTA_EXCEEDED = 0x97;
const PAYLOAD_BYTES = 2_000;
/** Sent before the first of them is waited for. */
const WINDOW = 200;
/** Of all that the witness may have waiting. */
const QUEUE = '[limits]\nsession_queue_messages = 1000000\nsession_queue_bytes = "1GiB"\n';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(dataDir: string, toml = ''): Promise<Cistern> {
  const broker = await startCistern({ dataDir, size: '64MiB', toml: `anonymous = true\n${toml}` });
  undo.push(() => broker.stop());
  return broker;
}

async function alarms(broker: Cistern): Promise<string[]> {
  return (await broker.status<Status>()).alarms.map(({ code }) => code);
}

async function until(what: string, limitMs: number, isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(5);
  }
}

/** Publishes numbered messages at QoS 1 over 5.0 and notes what became of each. */
class Publisher {
  readonly acked = new Set<number>();
  readonly refused = new Set<number>();
  sent = 0;
  readonly #client: WireClient;

  private constructor(client: WireClient) {
    this.#client = client;
    client.onPacket = (packet) => this.#take(packet);
  }

  static async connect(broker: Cistern, clientId = 'publisher'): Promise<Publisher> {
    const { client } = await WireClient.connect(broker.mqttPort, {
      clientId,
      protocolVersion: 5,
    });
    undo.push(() => client.destroy());
    return new Publisher(client);
  }

  /** Sends `count` more, a few at a time, and waits until each is answered. */
  async publish(count: number, limitMs = 20_000): Promise<void> {
    const end = this.sent + count;
    while (this.sent < end) {
      for (let n = 0; n < WINDOW && this.sent < end; n += 1) this.#send();
      await this.#answered(limitMs);
    }
  }

  async #answered(limitMs: number): Promise<void> {
    await until('every message is answered', limitMs, async () => {
      return this.acked.size + this.refused.size === this.sent;
    });
  }

  #send(): void {
    this.sent += 1;
    const payload = Buffer.from(new SimRandom(this.sent).bytes(PAYLOAD_BYTES));
    payload.writeUInt32BE(this.sent);
    const message = { topic: 'log/all', payload, qos: 1, retain: false, dup: false } as const;
    this.#client.send({ cmd: 'publish', ...message, messageId: this.sent });
  }

  #take(packet: Packet): void {
    if (packet.cmd !== 'puback' || packet.messageId === undefined) return;
    const code = packet.reasonCode ?? 0;
    if (code === 0) this.acked.add(packet.messageId);
    else if (code === QUOTA_EXCEEDED) this.refused.add(packet.messageId);
    else throw new Error(`an ack with reason ${code}`);
  }
}

async function makeWitness(broker: Cistern): Promise<void> {
  const { client } = await WireClient.connect(broker.mqttPort, {
    clientId: 'witness',
    clean: false,
  });
  const subscriptions = [{ topic: 'log/#', qos: 1 as const }];
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  await client.next('suback');
  client.destroy();
}

/** What a session that was away finds. */
async function found(broker: Cistern): Promise<number[]> {
  const numbers: number[] = [];
  const { client, connack } = await WireClient.connect(broker.mqttPort, {
    clientId: 'witness',
    clean: false,
  });
  undo.push(() => client.destroy());
  expect(connack.sessionPresent).toBe(true);
  const take = (packet: Packet): void => {
    if (packet.cmd !== 'publish') return;
    numbers.push((packet.payload as Buffer).readUInt32BE(0));
    client.send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
  };
  for (const packet of client.received) take(packet);
  client.onPacket = take;
  let before = -1;
  while (numbers.length !== before) {
    before = numbers.length;
    await sleep(500);
  }
  client.destroy();
  return numbers;
}

function missing(acked: ReadonlySet<number>, numbers: readonly number[]): number[] {
  const present = new Set(numbers);
  return [...acked].filter((number) => !present.has(number));
}

test('a device that takes no writes: nothing is acknowledged, and it comes back by itself with all that was', async () => {
  const disk = new FailingDisk(100);
  undo.push(() => disk.dispose());
  const broker = await start(join(disk.path, 'data'), QUEUE);
  await makeWitness(broker);
  const publisher = await Publisher.connect(broker);
  await publisher.publish(2_000);
  expect(publisher.refused.size).toBe(0);

  disk.failWrites();
  const failing = publisher.publish(200, 60_000).catch((error: unknown) => error);
  await until('the alarm', 20_000, async () => (await alarms(broker)).includes('ring.unwritable'));
  const ready = await fetch(`http://127.0.0.1:${broker.adminPort}/readyz`);
  expect(ready.status).toBe(503);
  const ackedBefore = publisher.acked.size;
  const late = await Publisher.connect(broker, 'late');
  await late.publish(100);
  expect(late.refused.size).toBe(100);
  await sleep(3_000);
  expect(publisher.acked.size).toBe(ackedBefore);
  assertRunning(broker);

  disk.takeWrites();
  await until('the end of the alarm', 45_000, async () => (await alarms(broker)).length === 0);
  expect(await failing).toBeUndefined();
  await publisher.publish(500);
  expect(publisher.acked.size).toBeGreaterThan(ackedBefore + 499);
  await broker.kill9();

  const medium = disk.mountSnapshot();
  undo.push(() => medium.unmount());
  const after = await start(join(medium.path, 'data'), QUEUE);
  const numbers = await found(after);
  console.log(
    `failing-device: ${publisher.acked.size} acknowledged, ${publisher.refused.size + late.refused.size} refused, ${numbers.length} found`,
  );
  expect(missing(publisher.acked, numbers)).toEqual([]);
  expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
  await after.stop();
}, 180_000);

test('on_failure = "memory" on such a device: all is answered, and flash is used again afterwards', async () => {
  const disk = new FailingDisk(100);
  undo.push(() => disk.dispose());
  const memory = 'on_failure = "memory"\n';
  const dataDir = join(disk.path, 'data');
  const broker = await startCistern({
    dataDir,
    size: '64MiB',
    storage: memory,
    toml: 'anonymous = true',
  });
  undo.push(() => broker.stop());
  await makeWitness(broker);
  const publisher = await Publisher.connect(broker);
  await publisher.publish(500);
  disk.failWrites();
  await publisher.publish(500, 40_000);
  const during = await broker.status<Status>();
  expect(during.alarms.map(({ code }) => code)).toContain('storage.memory_only');
  expect(during.messages.memoryOnly).toBeGreaterThan(100);
  disk.takeWrites();
  await until('the end of the alarm', 45_000, async () => (await alarms(broker)).length === 0);
  const back = publisher.sent;
  await publisher.publish(500);
  expect(publisher.refused.size).toBe(0);
  await broker.kill9();
  await broker.launch();
  const numbers = await found(broker);
  const promised = new Set([...publisher.acked].filter((n) => n <= 500 || n > back));
  expect(missing(promised, numbers)).toEqual([]);
}, 180_000);

test('a file system that is full when the checkpoint has to grow: refused, never lost, and on again with room', async () => {
  const mounted = new MountedDisk(96);
  undo.push(() => mounted.dispose());
  const broker = await start(join(mounted.path, 'data'), QUEUE);
  await makeWitness(broker);
  const publisher = await Publisher.connect(broker);
  await publisher.publish(100);
  const fillers = fill(mounted.path);
  // Sessions and retained topics enough for a checkpoint that does not fit any more.
  const folder = await mkdtemp(join(tmpdir(), 'cistern-fill-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const { client } = await WireClient.connect(broker.mqttPort, { clientId: 'retainer' });
  undo.push(() => client.destroy());
  for (let n = 1; n <= 4_000; n += 1) {
    const topic = `state/${'x'.repeat(150)}/${n}`;
    const message = { topic, payload: 'v', qos: 1, retain: true, dup: false } as const;
    client.send({ cmd: 'publish', ...message, messageId: n });
    if (n % 500 === 0) await client.next('puback', ({ messageId }) => messageId === n);
  }
  // Twice the ring: rotation needs the checkpoint.
  for (let round = 0; round < 45 && publisher.refused.size === 0; round += 1) {
    await publisher.publish(1_000, 60_000);
  }
  expect(publisher.refused.size).toBeGreaterThan(0);
  expect(await alarms(broker)).toContain('ring.unwritable');
  assertRunning(broker);
  for (const filler of fillers) rmSync(filler);
  const isOver = async (): Promise<boolean> => !(await alarms(broker)).includes('ring.unwritable');
  await until('the end of the alarm', 45_000, isOver);
  const acked = publisher.acked.size;
  await publisher.publish(100);
  expect(publisher.acked.size).toBe(acked + 100);
  await broker.kill9();
  await broker.launch();
  const numbers = await found(broker);
  // Rotation takes the oldest. Nothing else is missing.
  const gone = missing(publisher.acked, numbers);
  expect(gone.every((number) => number < publisher.sent / 2)).toBe(true);
  expect(numbers.length).toBeGreaterThan(10_000);
}, 180_000);

test('a checkpoint whose write failed is used again when the device is back, without a restart', async () => {
  const disk = new FailingDisk(100);
  undo.push(() => disk.dispose());
  const path = join(disk.path, 'state');
  const volume = await openNodeVolume(path);
  const open = () => openLmdbCheckpoint({ path, volume, logger: new MemoryLogger() });
  const store = await ReopeningCheckpoint.open(open);
  const commit = (sequence: number, keys: number): Promise<void> => {
    const puts = new Map<string, Uint8Array>();
    for (let n = 0; n < keys; n += 1) puts.set(`key/${n}`, new Uint8Array(300).fill(sequence));
    return store.commit({ ringId: 'r', sequence, replaceAll: false, puts, deletes: [] });
  };
  for (let n = 1; n <= 20; n += 1) await commit(n, 100);
  disk.failWrites();
  const failures = await Promise.allSettled([commit(21, 150)]);
  for (let n = 22; n <= 40; n += 1)
    failures.push(...(await Promise.allSettled([commit(n, n * 10)])));
  expect(failures.map(({ status }) => status)).toEqual(failures.map(() => 'rejected'));
  disk.takeWrites();
  for (let n = 41; n <= 60; n += 1) await commit(n, 300);
  await store.close();
  const again = await open();
  expect(again.setAside).toBeUndefined();
  expect(again.load()?.sequence).toBe(60);
  expect([...(again.load()?.entries ?? [])]).toHaveLength(300);
  await again.close();
});

/** Takes every last block of the file system. */
function fill(path: string): string[] {
  const fillers: string[] = [];
  for (const bytes of [2 ** 20, 4096]) {
    for (;;) {
      const { bavail, bsize } = statfsSync(path);
      if (bavail * bsize < bytes) break;
      const filler = join(path, `filler-${fillers.length}`);
      fillers.push(filler);
      try {
        writeFileSync(filler, Buffer.alloc(bytes, 1), { flush: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        break;
      }
    }
  }
  return fillers;
}
