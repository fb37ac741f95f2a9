/**
 * What compressing batches otherwise would save: pages on flash against those of zstd level 1, over
 * commits of 30, 35 … 300 messages of telemetry; and processor time, a context made for each try.
 *
 *   node build/with-node24.mjs test/bench/compression-variants.ts
 */
import { constants, zstdCompressSync } from 'node:zlib';
import type { Compressor } from '../../src/platform/compression.ts';
import { nodeCompressor, nodeCrc32 } from '../../src/platform/node/compression.ts';
import { BatchWriter } from '../../src/ring/batch-writer.ts';
import { CompressionPolicy } from '../../src/ring/compression-policy.ts';
import { PAGE_BYTES } from '../../src/ring/format.ts';
import { Partition } from '../../src/ring/partitions.ts';
import { Tag } from '../../src/ring/record-format.ts';
import { SimClock } from '../support/sim-clock.ts';
import { type PayloadKind, Telemetry } from './flash/telemetry.ts';

interface Batch {
  readonly body: Uint8Array;
  readonly headerBytes: number;
  readonly payloadBytes: number;
  /** What stands before the payloads of the records, in order. */
  readonly prefixes: readonly Uint8Array[];
  /** By topic, in order. */
  readonly payloads: ReadonlyMap<string, readonly Uint8Array[]>;
}

interface Variant {
  readonly name: string;
  /** `records` came before the batch: what a dictionary may be made of. */
  readonly compress: (batch: Batch, records: Uint8Array) => Uint8Array;
}

const MAX_BATCH_BYTES = 512 * 1024;
const SIZES = Array.from({ length: 55 }, (_, n) => 30 + 5 * n);
const BATCHES_A_SIZE = 20;
/** Nearly every record names its source and its length, and nothing else. */
const TAG = Tag.source | Tag.payloadLength;
const NO_BYTES = new Uint8Array(0);

function zstd(data: Uint8Array, level: number, dictionary?: Uint8Array): Uint8Array {
  const params = { [constants.ZSTD_c_compressionLevel]: level };
  return zstdCompressSync(data, dictionary === undefined ? { params } : { params, dictionary });
}

type Compress = Variant['compress'];

/** As the ring does it, with a dictionary besides. A frozen clock: nothing is left for want of time. */
function byPolicy(dictionaryBytes = 0): Compress {
  let dictionary: Uint8Array | undefined;
  const compressor: Compressor = {
    ...nodeCompressor,
    compress: (data, effort) => zstd(data, effort === 'quick' ? 1 : 7, dictionary),
  };
  const policy = new CompressionPolicy(compressor, new SimClock());
  return ({ body, headerBytes }, records) => {
    dictionary = dictionaryBytes === 0 ? undefined : records.subarray(0, dictionaryBytes);
    return policy.compress(body, headerBytes) ?? body;
  };
}

const variants: readonly Variant[] = [
  ...[1, 3, 5, 6, 7, 9, 12].map((level) => ({
    name: `level ${level}`,
    compress: ({ body }: Batch) => zstd(body, level),
  })),
  { name: 'policy: 1, then 7 where it may save a page', compress: byPolicy() },
  ...[3_500, 16_384, 65_536].flatMap((bytes) => [
    {
      name: `level 1, dictionary of ${bytes} B`,
      compress: ({ body }: Batch, records: Uint8Array) => zstd(body, 1, records.subarray(0, bytes)),
    },
    { name: `policy, dictionary of ${bytes} B`, compress: byPolicy(bytes) },
  ]),
  { name: 'level 1, payloads by topic', compress: (batch) => zstd(byTopic(batch), 1) },
  { name: 'level 7, payloads by topic', compress: (batch) => zstd(byTopic(batch), 7) },
  { name: 'level 1, by topic, in columns', compress: (batch) => zstd(inColumns(batch), 1) },
];

/** The records without their payloads, then the payloads: those of a topic behind each other. */
function byTopic({ prefixes, payloads }: Batch): Uint8Array {
  return Buffer.concat([...prefixes, ...[...payloads.values()].flat()]);
}

/** As before, but first bytes of all messages of a topic, then their second ones, and so on. */
function inColumns({ prefixes, payloads }: Batch): Uint8Array {
  const bytes: number[] = [];
  for (const group of payloads.values()) {
    const longest = Math.max(...group.map(({ length }) => length));
    for (let column = 0; column < longest; column++) {
      for (const payload of group) if (column < payload.length) bytes.push(payload[column] ?? 0);
    }
  }
  return Buffer.concat([...prefixes, Uint8Array.from(bytes)]);
}

class Batches {
  readonly #telemetry: Telemetry;
  readonly #writer = new BatchWriter(MAX_BATCH_BYTES);
  readonly #topics = new Map<string, number>();
  #stamp = 0;

  constructor(kind: PayloadKind) {
    this.#telemetry = new Telemetry(kind, 1);
  }

  next(messages: number): Batch {
    const writer = this.#writer;
    const partition = new Partition({ id: 3, stream: 'default', index: 0 });
    const clock = { bootNumber: 1, monotonicMs: 0, wallMs: 0, trusted: true };
    const opening = { epoch: 1, position: PAGE_BYTES, maxBytes: MAX_BATCH_BYTES, clock };
    writer.open({ ...opening, firstSequence: 1 }, ++this.#stamp);
    const payloads = new Map<string, Uint8Array[]>();
    const prefixes: Uint8Array[] = [];
    let payloadBytes = 0;
    for (let n = 0; n < messages; n++) {
      const { topic, payload } = this.#telemetry.next();
      const end = payload.length;
      const number = this.#numberOf(topic);
      writer.fresh(partition, n, number, 0, NO_BYTES, payload, 0, end, 0, undefined);
      payloads.set(topic, [...(payloads.get(topic) ?? []), payload]);
      prefixes.push(Uint8Array.of(TAG, number, (end & 0x7f) | 0x80, end >> 7));
      payloadBytes += end;
    }
    const plain = { compression: undefined, segmentHeader: undefined };
    writer.seal({ crc32: nodeCrc32, seed: 1, previousCrc: 0, ...plain });
    const headerBytes = writer.header?.headerLength ?? 0;
    return { body: writer.body.slice(), headerBytes, payloadBytes, prefixes, payloads };
  }

  #numberOf(topic: string): number {
    const number = this.#topics.get(topic) ?? this.#topics.size + 1;
    this.#topics.set(topic, number);
    return number;
  }
}

function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}

interface Sum {
  pages: number;
  bytes: number;
  us: number;
}

/** One line for each variant: against level 1, the first of them. */
function compare(kind: PayloadKind): void {
  const batches = new Batches(kind);
  const records = Buffer.concat(Array.from({ length: 10 }, () => batches.next(50).body));
  const sums = variants.map((): Sum => ({ pages: 0, bytes: 0, us: 0 }));
  let payloadBytes = 0;
  let count = 0;
  for (const messages of SIZES) {
    for (let n = 0; n < BATCHES_A_SIZE; n++) {
      const batch = batches.next(messages);
      payloadBytes += batch.payloadBytes;
      count++;
      variants.forEach(({ compress }, at) => {
        const before = process.cpuUsage();
        const { length } = compress(batch, records);
        const { user, system } = process.cpuUsage(before);
        const sum = sums[at] as Sum;
        sum.us += user + system;
        sum.bytes += length;
        sum.pages += pagesOf(batch.headerBytes + Math.min(length, batch.body.length));
      });
    }
  }
  const first = sums[0] as Sum;
  const perPayload = ((first.pages * PAGE_BYTES) / payloadBytes).toFixed(3);
  process.stdout.write(`\n${kind}, level 1: ${perPayload} device bytes a payload byte\n`);
  variants.forEach(({ name }, at) => {
    const { pages, bytes, us } = sums[at] as Sum;
    const figures = [
      `pages ${(pages / first.pages).toFixed(3)}`,
      `bytes ${(bytes / first.bytes).toFixed(3)}`,
      `${(us / count).toFixed(0).padStart(4)} us a batch`,
    ];
    process.stdout.write(`  ${name.padEnd(48)} ${figures.join('   ')}\n`);
  });
}

compare('json');
compare('senml');
