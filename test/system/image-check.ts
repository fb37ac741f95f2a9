import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import { createNodeClock } from '../../src/platform/node/clock.ts';
import { nodeCompressor, nodeCrc32 } from '../../src/platform/node/compression.ts';
import { createNodeRandom } from '../../src/platform/node/random.ts';
import { openNodeVolume } from '../../src/platform/node/volume.ts';
import { openRing } from '../../src/ring/ring.ts';
import { FIRST_STREAM_PARTITION_ID } from '../../src/ring/types.ts';
import { MemoryLogger } from '../support/memory-logger.ts';
import { type Acknowledged, PUBLISHERS, SLEEPER } from './image-load.ts';

const DELIVERY_LIMIT_MS = 5_000;
/** Of a ring that has lapped, the part that payloads must make up: the rest is free or overhead. */
const LEAST_KEPT = 0.4;

export interface RingSize {
  readonly ringBytes: number;
  readonly segmentBytes: number;
}

/** What the ring below `path` holds, recovered by the ring itself, against what was acknowledged. */
export async function complaintsOfRing(
  path: string,
  { ringBytes, segmentBytes }: RingSize,
  acknowledged: Acknowledged,
): Promise<readonly string[]> {
  const folder = ringFolder(path);
  if (folder === undefined) return ['there is no ring'];
  const ring = await openRing({
    volume: await openNodeVolume(folder),
    clock: createNodeClock(),
    random: createNodeRandom(),
    crc32: nodeCrc32,
    compressor: nodeCompressor,
    logger: new MemoryLogger(),
    sizeBytes: ringBytes,
    segmentSizeBytes: segmentBytes,
    maxCommitWindowMs: 500,
    compress: true,
  });
  const fleet: number[][] = Array.from({ length: PUBLISHERS }, () => []);
  let keptBytes = 0;
  let hasLapped = false;
  for (const { id, headOffset, durableOffset } of ring.partitions()) {
    if (id < FIRST_STREAM_PARTITION_ID) continue;
    hasLapped ||= headOffset > 0;
    for (let offset = headOffset; offset < durableOffset; ) {
      const result = await ring.read(id, offset, { maxRecords: 1000, maxBytes: 2 ** 20 });
      for (const { topic, payload } of result.records) {
        keptBytes += payload.length;
        const publisher = /^fleet\/(\d+)\//.exec(topic)?.[1];
        if (publisher === undefined) continue;
        fleet[Number(publisher)]?.push(Number.parseInt(Buffer.from(payload).toString(), 10));
      }
      offset = result.nextOffset;
    }
  }
  await ring.close();
  const complaints = fleet.flatMap((numbers, publisher) =>
    complaintsOf(`publisher ${publisher}`, numbers, acknowledged.fleet[publisher] ?? 0, hasLapped),
  );
  if (hasLapped && keptBytes < LEAST_KEPT * ringBytes) {
    complaints.push(`only ${keptBytes} bytes are left in a ring that has lapped`);
  }
  return complaints;
}

/** What the broker on `port`, started on the image, tells its clients, against what was acknowledged. */
export async function complaintsOfBroker(
  port: number,
  { retained, night }: Acknowledged,
): Promise<readonly string[]> {
  const complaints: string[] = [];
  const values: number[] = [];
  const watched: number[] = [];
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    clientId: SLEEPER,
    clean: false,
    reconnectPeriod: 0,
  });
  client.on('message', (topic, payload) => {
    (topic === 'state/value' ? values : watched).push(Number(payload.toString()));
  });
  const isPresent = await new Promise<boolean>((resolve, reject) => {
    client.once('connect', ({ sessionPresent }) => resolve(sessionPresent));
    client.once('error', reject);
  });
  if (!isPresent) complaints.push('the session is forgotten');
  await client.subscribeAsync('state/#', { qos: 1 });
  const untilMs = performance.now() + DELIVERY_LIMIT_MS;
  const isThere = (): boolean =>
    (values.length > 0 || retained === 0) && (watched.at(-1) ?? -1) >= night - 1;
  while (!isThere() && performance.now() < untilMs) await sleep(10);
  await client.endAsync(true);
  if (retained > 0 && (values[0] ?? -1) < retained - 1) {
    complaints.push(`the retained value is ${values[0]}, ${retained - 1} was acknowledged`);
  }
  return [...complaints, ...complaintsOf('the session', watched, night, true)];
}

/** Each number once, in order, without a gap, up to what was acknowledged; from 0, unless lapped. */
function complaintsOf(
  whose: string,
  numbers: readonly number[],
  acknowledged: number,
  mayHaveLapped: boolean,
): readonly string[] {
  const complaints: string[] = [];
  const first = numbers[0] ?? 0;
  const gap = numbers.findIndex((number, index) => number !== first + index);
  if (gap >= 0) complaints.push(`${whose}: ${numbers[gap]} comes after ${numbers[gap - 1]}`);
  if (first > 0 && !mayHaveLapped) complaints.push(`${whose}: ${first} is the first`);
  const last = numbers.at(-1) ?? -1;
  if (last < acknowledged - 1) {
    complaints.push(`${whose}: lost ${last + 1} to ${acknowledged - 1}, which were acknowledged`);
  }
  return complaints;
}

/** The folder that holds the slots, wherever the broker keeps it in its data. */
function ringFolder(path: string): string | undefined {
  const slot = readdirSync(path, { recursive: true, encoding: 'utf8' }).find((name) =>
    name.endsWith('slot-0000'),
  );
  return slot === undefined ? undefined : dirname(join(path, slot));
}
