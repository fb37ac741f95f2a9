import { nodeCompressor, nodeCrc32 } from '../../../src/platform/node/compression.ts';
import { openRing } from '../../../src/ring/ring.ts';
import type {
  Evacuator,
  RecordSource,
  RecordView,
  Ring,
  RingOptions,
} from '../../../src/ring/types.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import type { DiskImage } from '../../support/sim-disk-image.ts';
import { SimRandom } from '../../support/sim-random.ts';

export const SEGMENT_BYTES = 256 * 1024;
export const SLOTS = 16;

/** An owner that lets rotation take everything. */
export function lettingGo(ring: Ring): Evacuator {
  return {
    release: (held) => {
      for (const [id, offset] of held) ring.trim(id, offset + 1);
    },
    keeps: () => true,
    decide: () => 'drop',
    checkpoint: () => Promise.resolve(),
  };
}

/** A ring on a simulated disk, with the few calls that most tests make. */
export class RingBench {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly logger = new MemoryLogger();
  #ring: Ring | undefined;

  constructor(image?: DiskImage, bootId = 'boot-1') {
    this.clock = new SimClock({ bootId });
    const start = image === undefined ? {} : { image };
    this.disk = new SimDisk({ seed: 1, clock: this.clock, ...start });
  }

  get ring(): Ring {
    if (this.#ring === undefined) throw new Error('the ring is not open');
    return this.#ring;
  }

  async open(changes: Partial<RingOptions> = {}): Promise<Ring> {
    const options: RingOptions = {
      volume: this.disk,
      clock: this.clock,
      random: new SimRandom(7),
      crc32: nodeCrc32,
      compressor: nodeCompressor,
      logger: this.logger,
      sizeBytes: SLOTS * SEGMENT_BYTES,
      segmentSizeBytes: SEGMENT_BYTES,
      maxCommitWindowMs: 50,
      compress: true,
      ...changes,
    };
    this.#ring = await this.clock.runUntil(openRing(options));
    return this.#ring;
  }

  /** Opens it, and starts it with an owner that lets everything go. */
  async start(changes: Partial<RingOptions> = {}): Promise<Ring> {
    const ring = await this.open(changes);
    ring.start(lettingGo(ring));
    return ring;
  }

  flush(): Promise<void> {
    return this.clock.runUntil(this.ring.flush());
  }

  /** All records of a partition, from its head on. */
  async readAll(partitionId: number): Promise<RecordView[]> {
    const records: RecordView[] = [];
    const { headOffset, durableOffset } = this.ring.partition(partitionId) ?? {
      headOffset: 0,
      durableOffset: 0,
    };
    for (let offset = headOffset; offset < durableOffset; ) {
      const limits = { maxRecords: 100, maxBytes: 50_000 };
      const result = await this.clock.runUntil(this.ring.read(partitionId, offset, limits));
      records.push(...result.records);
      offset = result.nextOffset;
    }
    return records;
  }
}

export function source(topic: string, origin = 'client'): RecordSource {
  return { topic, origin, epoch: 0, number: 0 };
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

export function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}
