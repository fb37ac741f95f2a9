import type { Config, StreamConfig } from '../../../src/config/types.ts';
import { STREAM_DEFAULTS } from '../../../src/config/defaults.ts';
import type { Ring } from '../../../src/ring/types.ts';
import { StreamCursors } from '../../../src/streams/stream-cursors.ts';
import { StreamKeeper } from '../../../src/streams/stream-keeper.ts';
import { type OpenStream, partitionFor, StreamTable } from '../../../src/streams/stream-table.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import type { DiskImage } from '../../support/sim-disk-image.ts';
import { SimRandom } from '../../support/sim-random.ts';
import { RingBench, SEGMENT_BYTES, source } from '../ring/ring-bench.ts';

const NONE = new Uint8Array(0);

/** A ring of 4 MiB whose streams are kept as the broker keeps them. */
export class StreamBench {
  readonly bench: RingBench;
  readonly cursors = new StreamCursors();
  readonly logger = new MemoryLogger();
  readonly #configs: readonly StreamConfig[];
  readonly #random = new SimRandom(3);
  #table: StreamTable | undefined;
  #keeper: StreamKeeper | undefined;

  constructor(streams: Readonly<Record<string, Partial<StreamConfig>>>, image?: DiskImage) {
    this.bench = new RingBench(image);
    this.#configs = Object.entries(streams).map(([name, changes]) => ({
      ...STREAM_DEFAULTS,
      name,
      topics: [`${name}/#`],
      ...changes,
    }));
  }

  get ring(): Ring {
    return this.bench.ring;
  }

  get keeper(): StreamKeeper {
    if (this.#keeper === undefined) throw new Error('it is not started');
    return this.#keeper;
  }

  get streams(): Config['streams'] {
    return this.#configs;
  }

  stream(name: string): OpenStream {
    const found = this.#table?.streams.find(({ config }) => config.name === name);
    if (found === undefined) throw new Error(`there is no stream ${name}`);
    return found;
  }

  async start(): Promise<this> {
    const ring = await this.bench.open();
    const { clock } = this.bench;
    this.#table = new StreamTable(this.#configs, ring, this.cursors);
    const keeper = new StreamKeeper({
      ring,
      streams: this.#table,
      cursors: this.cursors,
      clock,
      logger: this.logger,
      segmentSizeBytes: SEGMENT_BYTES,
      ageMs: (time) => (time.trusted ? clock.wallMs() - time.wallMs : undefined),
    });
    this.#keeper = keeper;
    ring.setTrustedOffset(clock.wallMs() - clock.monotonicMs());
    ring.start({
      release: (held, laps) => keeper.release(held, laps),
      keeps: (record) => keeper.keeps(record),
      decide: () => 'drop',
      checkpoint: () => Promise.resolve(),
    });
    keeper.start();
    this.cursors.complete();
    return this;
  }

  /** Appends records of `bytes` random ones each, so many a commit, as fast as the ring takes them. */
  async publish(
    name: string,
    count: number,
    bytes = 1_000,
    perCommit = 20,
    topicOf = (n: number) => `${name}/${n % 7}`,
  ): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      while (!this.ring.accepting) {
        await this.bench.clock.runUntil(
          new Promise<void>((resolve) => this.ring.onAccepting(resolve)),
        );
      }
      const stream = this.stream(name);
      const partitionId = partitionFor(stream, `key-${n}`);
      const payload = this.#random.bytes(bytes);
      const request = { partitionId, source: source(topicOf(n)), flags: 0 };
      this.ring.append({ ...request, attributes: NONE, payload, rides: false });
      stream.gate?.took(partitionId, bytes);
      if (n % perCommit === perCommit - 1) await this.bench.flush();
    }
    await this.bench.flush();
  }

  /** Bytes and records that can be read of a stream, and whether each partition is whole. */
  async kept(name: string): Promise<{ bytes: number; records: number; damaged: number }> {
    let bytes = 0;
    let records = 0;
    let damaged = 0;
    for (const id of this.stream(name).allPartitionIds) {
      const found = await this.bench.readAll(id);
      const { headOffset = 0, durableOffset = 0 } = this.ring.partition(id) ?? {};
      records += found.length;
      bytes += found.reduce((sum, { payload }) => sum + payload.length, 0);
      damaged += durableOffset - headOffset - found.length;
    }
    return { bytes, records, damaged };
  }
}
