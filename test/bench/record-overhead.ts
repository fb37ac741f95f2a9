/**
 * What the ring writes beside payloads and user properties, in bytes a record, without padding and
 * without compression: batch headers, topics, partitions, tags, QoS, receipts, times.
 *
 *   node build/with-node24.mjs test/bench/record-overhead.ts
 */
import { encodeMessageAttributes } from '../../src/codec/stored-message.ts';
import { nodeCrc32 } from '../../src/platform/node/compression.ts';
import { segmentSeed } from '../../src/ring/format.ts';
import { decodeSegmentHeader } from '../../src/ring/segment-header.ts';
import type { RecordSource } from '../../src/ring/types.ts';
import { walkBatches } from '../../src/ring/walk.ts';
import { RingBench, source } from '../unit/ring/ring-bench.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { SimRandom } from '../support/sim-random.ts';
import { Telemetry } from './flash/telemetry.ts';

interface Traffic {
  readonly name: string;
  readonly partitions: number;
  readonly qosMix: readonly (0 | 1 | 2)[];
  /** Raw 5.0 properties of each message. */
  readonly properties: Uint8Array;
  /** Between two messages, at most; 0: all of a commit in one event-loop turn. */
  readonly maxGapMs: number;
  readonly isOneTopic: boolean;
}

const RECORDS = 12_000;
const SEGMENT_BYTES = 4 * 1024 * 1024;
const SLOTS = 16;
const COMMITS = [10, 100, 1000] as const;
const CLIENT_ID = 'gateway-17';
const USER_PROPERTIES = Buffer.concat([
  userProperty('site', 'kiel-2'),
  userProperty('schema', 'reading/3'),
]);
const NO_BYTES = new Uint8Array(0);

const base: Traffic = {
  name: '24 topics, one partition, QoS 1',
  partitions: 1,
  qosMix: [1],
  properties: NO_BYTES,
  maxGapMs: 0,
  isOneTopic: false,
};
const traffics: readonly Traffic[] = [
  { ...base, name: 'one topic, one length, QoS 1', isOneTopic: true },
  base,
  { ...base, name: '24 topics over 8 partitions, QoS 1', partitions: 8 },
  { ...base, name: 'the same, up to 20 ms apart', partitions: 8, maxGapMs: 20 },
  { ...base, name: 'the same, QoS 0 and 1', partitions: 8, maxGapMs: 20, qosMix: [0, 1] },
  { ...base, name: 'the same, all QoS 2', partitions: 8, maxGapMs: 20, qosMix: [2] },
  {
    ...base,
    name: 'the same, QoS 1, two user properties',
    partitions: 8,
    maxGapMs: 20,
    properties: USER_PROPERTIES,
  },
];

function userProperty(name: string, value: string): Buffer {
  const text = (of: string): Buffer =>
    Buffer.concat([Buffer.from([0, of.length]), Buffer.from(of)]);
  return Buffer.concat([Buffer.from([0x26]), text(name), text(value)]);
}

async function overheadOf(traffic: Traffic, perCommit: number): Promise<number> {
  const bench = new RingBench();
  const ring = await bench.start({
    compress: false,
    sizeBytes: SLOTS * SEGMENT_BYTES,
    segmentSizeBytes: SEGMENT_BYTES,
    maxCommitWindowMs: 1e9,
  });
  const ids = Array.from({ length: traffic.partitions }, (_, n) => ring.ensurePartition('s', n).id);
  const telemetry = new Telemetry('json', 1);
  const random = new SimRandom(1);
  const owners = new Map<string, { handle: RecordSource; partitionId: number }>();
  const one = telemetry.next();
  let wantedBytes = 0;
  for (let n = 0; n < RECORDS; n++) {
    const { topic, payload } = traffic.isOneTopic ? one : telemetry.next();
    const known = owners.get(topic);
    const owner = known ?? {
      handle: source(topic, CLIENT_ID),
      partitionId: ids[owners.size % ids.length] as number,
    };
    if (known === undefined) owners.set(topic, owner);
    const qos = traffic.qosMix[random.below(traffic.qosMix.length)] ?? 1;
    const receipt = qos === 2 ? { clientId: CLIENT_ID, packetId: 1 + (n % 65_535) } : undefined;
    ring.append({
      partitionId: owner.partitionId,
      source: owner.handle,
      flags: 0,
      attributes: encodeMessageAttributes(qos, false, traffic.properties, receipt),
      payload,
      rides: true,
    });
    wantedBytes += payload.length + traffic.properties.length;
    if (n % perCommit === perCommit - 1) await bench.flush();
    else if (traffic.maxGapMs > 0) await bench.clock.advance(random.below(traffic.maxGapMs + 1));
  }
  await bench.flush();
  return ((await batchBytes(bench)) - wantedBytes) / RECORDS;
}

/** Of all batches in the ring, without the padding behind them. */
async function batchBytes(bench: RingBench): Promise<number> {
  const disk = new SimDisk({ image: bench.disk.image() });
  let total = 0;
  for (let slot = 0; slot < SLOTS; slot++) {
    const file = await disk.open(`slot-${String(slot).padStart(4, '0')}`, 'read');
    const bytes = new Uint8Array(SEGMENT_BYTES);
    await file.read(0, bytes);
    await file.close();
    const read = decodeSegmentHeader(bytes, nodeCrc32);
    if (read.kind !== 'valid') continue;
    const { epoch, salt } = read.header;
    const seed = segmentSeed(nodeCrc32, salt, epoch);
    const walk = walkBatches(bytes, read.lengthBytes, SEGMENT_BYTES, epoch, nodeCrc32, seed);
    for (const { header } of walk.batches) total += header.headerLength + header.storedLength;
  }
  return total;
}

process.stdout.write(
  `| bytes a record, at | ${COMMITS.join(' | ')} a commit |\n|---|---|---|---|\n`,
);
for (const traffic of traffics) {
  const cells: string[] = [];
  for (const perCommit of COMMITS) cells.push((await overheadOf(traffic, perCommit)).toFixed(1));
  process.stdout.write(`| ${traffic.name} | ${cells.join(' | ')} |\n`);
}
