import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNodeClock } from '../../src/platform/node/clock.ts';
import { nodeCompressor, nodeCrc32 } from '../../src/platform/node/compression.ts';
import { createNodeRandom } from '../../src/platform/node/random.ts';
import { openNodeVolume } from '../../src/platform/node/volume.ts';
import { openRing } from '../../src/ring/ring.ts';
import { Cistern } from '../support/executable.ts';
import { MemoryLogger } from '../support/memory-logger.ts';
import { SimRandom } from '../support/sim-random.ts';
import { BlockImage } from './block-image.ts';

const RING_MIB = 128;
const SEGMENT_MIB = 4;
const SNAPSHOTS = 10;
const PUBLISHERS = 4;
const WINDOW = 50;
const PAYLOAD_BYTES = 200;

let disk: BlockImage;
let broker: Cistern | undefined;

// Without root or loop devices this fails, loudly: a test of the real thing that is skipped in
// silence would be taken for a proof.
beforeAll(() => {
  disk = new BlockImage({ imageMiB: 384, hostMiB: 3072 });
});

afterAll(async () => {
  await broker?.stop();
  disk?.dispose();
});

test(`${SNAPSHOTS} images of the block device under load hold every message acknowledged by then`, async () => {
  broker = await startOn(disk.path);
  const load = await Load.start(broker.mqttPort);
  const random = new SimRandom(1);
  const snapshots: { readonly image: string; readonly acknowledged: readonly number[] }[] = [];
  for (let index = 0; index < SNAPSHOTS; index += 1) {
    await sleep(50 + random.below(500));
    // The ledger first: what is acknowledged while the image is taken may or may not be in it.
    const acknowledged = load.acknowledged();
    snapshots.push({ image: disk.snapshot(), acknowledged });
  }
  await load.stop();
  await broker.kill9();
  expect(Math.min(...load.acknowledged())).toBeGreaterThan(WINDOW);

  for (const { image, acknowledged } of snapshots) {
    const { path, unmount } = disk.mountSnapshot(image);
    try {
      const restarted = await startOn(path);
      await restarted.kill9();
      await restarted.stop();
      const found = await publishedIn(path);
      for (const [publisher, count] of acknowledged.entries()) {
        const numbers = found[publisher] ?? [];
        const lost = countMissing(numbers, count);
        expect(lost, `lost of publisher ${publisher}, ${count} acknowledged`).toBe(0);
        expect(numbers, 'each once, in the order of publishing').toEqual(
          numbers.map((_, index) => index),
        );
      }
    } finally {
      unmount();
    }
  }
}, 120_000);

/** Several clients that publish at QoS 1 as fast as the window lets them, and note each PUBACK. */
class Load {
  readonly #clients: readonly MqttClient[];
  /** By publisher: messages 0 … n-1 were acknowledged. */
  readonly #acknowledged: number[];
  readonly #running: Promise<void>;
  #stopping = false;

  private constructor(clients: readonly MqttClient[]) {
    this.#clients = clients;
    this.#acknowledged = clients.map(() => 0);
    const lanes = clients.flatMap((client, publisher) => this.#publish(client, publisher));
    this.#running = Promise.all(lanes).then(() => undefined);
  }

  static async start(port: number): Promise<Load> {
    const clients: MqttClient[] = [];
    for (let index = 0; index < PUBLISHERS; index += 1) {
      const clientId = `publisher-${index}`;
      clients.push(
        await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, reconnectPeriod: 0 }),
      );
    }
    return new Load(clients);
  }

  acknowledged(): readonly number[] {
    return this.#acknowledged.slice();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    for (const client of this.#clients) await client.endAsync(true);
  }

  /** Keeps a window of messages in flight; what is counted is the part acknowledged without a gap. */
  async #publish(client: MqttClient, publisher: number): Promise<void> {
    let next = 0;
    const inFlight: Promise<void>[] = [];
    while (!this.#stopping || inFlight.length > 0) {
      while (!this.#stopping && inFlight.length < WINDOW) {
        inFlight.push(this.#publishOne(client, publisher, next));
        next += 1;
      }
      await inFlight.shift();
    }
  }

  async #publishOne(client: MqttClient, publisher: number, number: number): Promise<void> {
    const payload = JSON.stringify({ publisher, number }).padEnd(PAYLOAD_BYTES);
    await client.publishAsync(`fleet/${publisher}/${number % 7}`, payload, { qos: 1 });
    if (this.#acknowledged[publisher] === number) this.#acknowledged[publisher] = number + 1;
  }
}

/** By publisher: the numbers found in the ring below `path`, in the order of the ring. */
async function publishedIn(path: string): Promise<readonly number[][]> {
  const ring = await openRing({
    volume: await openNodeVolume(ringFolder(path)),
    clock: createNodeClock(),
    random: createNodeRandom(),
    crc32: nodeCrc32,
    compressor: nodeCompressor,
    logger: new MemoryLogger(),
    sizeBytes: RING_MIB * 2 ** 20,
    segmentSizeBytes: SEGMENT_MIB * 2 ** 20,
    maxCommitWindowMs: 500,
    compress: true,
  });
  const found: number[][] = Array.from({ length: PUBLISHERS }, () => []);
  for (const { id, headOffset, durableOffset } of ring.partitions()) {
    let offset = headOffset;
    while (offset < durableOffset) {
      const result = await ring.read(id, offset, { maxRecords: 1000, maxBytes: 2 ** 20 });
      for (const record of result.records) {
        if (!record.topic.startsWith('fleet/')) continue;
        const { publisher, number } = JSON.parse(Buffer.from(record.payload).toString()) as {
          publisher: number;
          number: number;
        };
        found[publisher]?.push(number);
      }
      offset = result.nextOffset;
    }
  }
  await ring.close();
  return found;
}

function countMissing(found: readonly number[], acknowledged: number): number {
  const present = new Set(found);
  let missing = 0;
  for (let number = 0; number < acknowledged; number += 1) {
    if (!present.has(number)) missing += 1;
  }
  return missing;
}

function startOn(path: string): Promise<Cistern> {
  return Cistern.start({ dataDir: join(path, 'data'), size: `${RING_MIB}MiB` });
}

/** The folder that holds the slots, wherever the broker keeps it in its data. */
function ringFolder(path: string): string {
  const slot = readdirSync(path, { recursive: true, encoding: 'utf8' }).find((name) =>
    name.endsWith('slot-0000'),
  );
  if (slot === undefined) throw new Error(`no ring below ${path}`);
  return dirname(join(path, slot));
}
