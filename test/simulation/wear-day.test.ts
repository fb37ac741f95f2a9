import { expect, test } from 'vitest';
import type { Volume, VolumeFile } from '../../src/platform/volume.ts';
import { nodeCompressor, nodeCrc32 } from '../../src/platform/node/compression.ts';
import { openRing } from '../../src/ring/ring.ts';
import type { Ring } from '../../src/ring/types.ts';
import { MemoryLogger } from '../support/memory-logger.ts';
import { SimRandom } from '../support/sim-random.ts';
import { lettingGo } from '../unit/ring/ring-bench.ts';
import { DayClock } from './day-clock.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const HOUR_MS = 3_600_000;
/** The bucket lasts longer than this at each of the loads. */
const FIRST_MS = HOUR_MS / 30;
const WINDOW_MS = 500;
const FLUSH_MS = 2;
const PAYLOAD_BYTES = 200;
const NONE = new Uint8Array(0);

/** A disk whose writes take 2 ms and are counted; millions of them a day are too many to keep. */
class CountingVolume implements Volume {
  writtenBytes = 0;
  readonly #clock: DayClock;
  readonly #sizes = new Map<string, number>();

  constructor(clock: DayClock) {
    this.#clock = clock;
  }

  async list(): Promise<string[]> {
    return [...this.#sizes.keys()];
  }

  async create(name: string): Promise<VolumeFile> {
    this.#sizes.set(name, 0);
    return this.open(name);
  }

  async open(name: string): Promise<VolumeFile> {
    const put = (offset: number, data: Uint8Array): void => {
      this.writtenBytes += data.length;
      this.#sizes.set(name, Math.max(this.#sizes.get(name) ?? 0, offset + data.length));
    };
    return {
      size: async () => this.#sizes.get(name) ?? 0,
      read: async (_, target) => {
        target.fill(0);
        return target.length;
      },
      write: async (offset, data) => put(offset, data),
      sync: async () => undefined,
      writeDurable: (offset, data) =>
        new Promise((resolve) => {
          this.#clock.after(FLUSH_MS, () => {
            put(offset, data);
            resolve();
          });
        }),
      close: async () => undefined,
    };
  }

  async remove(name: string): Promise<void> {
    this.#sizes.delete(name);
  }

  async rename(): Promise<void> {
    throw new Error('the ring renames nothing');
  }

  async syncDirectory(): Promise<void> {}
}

interface Hour {
  readonly deviceBytes: number;
  /** In the beginning of it. */
  readonly worstAtFirstMs: number;
  readonly worstMs: number;
  readonly windowMs: number;
  readonly alarm: boolean;
}

type PayloadOf = (number: number) => Uint8Array;

const noise = new SimRandom(2).bytes(PAYLOAD_BYTES);

/** About 200 bytes of JSON, as sensors send it. */
function reading(number: number): Uint8Array {
  const value = {
    device: `sensor-${number % 100}`,
    number,
    time: 1_790_000_000_000 + number * 10,
    temperatureC: Math.round((20 + 5 * Math.sin(number / 50)) * 1000) / 1000,
    humidityPercent: Math.round((55 + 10 * Math.cos(number / 70)) * 100) / 100,
    vibrationMmS: Math.round(Math.abs(Math.sin(number / 3)) * 10_000) / 10_000,
    status: 'ok',
    firmware: '2.14.3-rc1+build.20260101',
  };
  return Buffer.from(JSON.stringify(value));
}

/** Hours of messages that come one by one, each awaited by a client of its own. */
async function simulate(
  messagesPerSecond: number,
  budgetBytesPerDay: number,
  hourCount: number,
  payloadOf: PayloadOf = () => noise,
): Promise<Hour[]> {
  const clock = new DayClock();
  const volume = new CountingVolume(clock);
  const ring = await clock.runUntil(
    openRing({
      volume,
      clock,
      random: new SimRandom(1),
      crc32: nodeCrc32,
      compressor: nodeCompressor,
      logger: new MemoryLogger(),
      sizeBytes: 16 * 4 * MIB,
      segmentSizeBytes: 4 * MIB,
      maxCommitWindowMs: WINDOW_MS,
      budgetBytesPerDay,
      compress: true,
    }),
  );
  ring.start(lettingGo(ring));
  const { id } = ring.ensurePartition('default', 0);
  const latency = { worstMs: 0 };
  publish(ring, clock, id, messagesPerSecond, payloadOf, latency);
  const hours: Hour[] = [];
  for (let hour = 1; hour <= hourCount; hour++) {
    const before = volume.writtenBytes;
    latency.worstMs = 0;
    await clock.runFor(FIRST_MS);
    const worstAtFirstMs = latency.worstMs;
    await clock.runFor(HOUR_MS - FIRST_MS);
    const { wear } = ring.statistics();
    hours.push({
      deviceBytes: volume.writtenBytes - before,
      worstAtFirstMs,
      worstMs: latency.worstMs,
      windowMs: wear?.commitWindowMs ?? Number.NaN,
      alarm: wear?.exceededSinceMs !== undefined,
    });
  }
  return hours;
}

function publish(
  ring: Ring,
  clock: DayClock,
  partitionId: number,
  messagesPerSecond: number,
  payloadOf: PayloadOf,
  latency: { worstMs: number },
): void {
  const random = new SimRandom(3);
  const source = { topic: 'plant/line-3/temperature', origin: '', epoch: 0, number: 0 };
  const waiters = Array.from({ length: Math.ceil(messagesPerSecond) }, () => ({
    isClient: true,
    sinceMs: [] as number[],
    onDurable(): void {
      const sinceMs = this.sinceMs.shift() ?? Number.NaN;
      const took = clock.monotonicMs() - sinceMs;
      latency.worstMs = Math.max(latency.worstMs, took);
    },
  }));
  let sent = 0;
  const send = (): void => {
    const payload = payloadOf(sent);
    ring.append({ partitionId, source, flags: 0, attributes: NONE, payload, rides: false });
    const waiter = waiters[sent++ % waiters.length];
    if (waiter !== undefined) {
      waiter.sinceMs.push(clock.monotonicMs());
      ring.whenDurable(waiter);
    }
    clock.after((1000 / messagesPerSecond) * (0.5 + random.fraction()), send);
  };
  clock.after(0, send);
}

interface Load {
  readonly rate: number;
  readonly budget: number;
  readonly hours: number;
  /** What a page takes to come back; 0 where the budget pays for each message alone. */
  readonly apartMs: number;
}

const WHOLE_DAYS = process.env['CISTERN_WHOLE_DAYS'] === '1';

/** Two hours are enough to drain the bucket and to settle. CISTERN_WHOLE_DAYS=1 takes all 24. */
const LOADS: readonly Load[] = [
  { rate: 1, budget: 4 * GIB, hours: 24, apartMs: 0 },
  { rate: 10, budget: 4 * GIB, hours: 2, apartMs: 0 },
  { rate: 50, budget: 4 * GIB, hours: 2, apartMs: 82.4 },
  { rate: 1, budget: GIB, hours: 2, apartMs: 0 },
  { rate: 10, budget: GIB, hours: 2, apartMs: 329.6 },
  { rate: 50, budget: GIB, hours: 2, apartMs: 329.6 },
];

test.each(LOADS)(
  '$rate messages a second, $budget bytes a day',
  async (load) => {
    const hours = await simulate(load.rate, load.budget, WHOLE_DAYS ? 24 : load.hours);

    // The promise of the budget, at the end of each hour: what flowed in, and one bucket.
    let written = 0;
    hours.forEach(({ deviceBytes }, index) => {
      written += deviceBytes;
      expect(written).toBeLessThanOrEqual((load.budget / 24) * (index + 1) + load.budget / 24);
    });
    const longest = Math.max(...hours.map(({ worstMs }) => worstMs));
    expect(longest).toBeLessThanOrEqual(WINDOW_MS + 2 * FLUSH_MS);
    expect(hours.some(({ alarm }) => alarm)).toBe(false);

    const [first, last] = [hours[0], hours.at(-1)];
    expect(first?.worstAtFirstMs).toBeLessThanOrEqual(2 * FLUSH_MS);
    if (load.apartMs === 0) {
      expect(longest).toBeLessThanOrEqual(2 * FLUSH_MS);
      expect(last?.windowMs).toBe(0);
    } else {
      // Settled: the budget is used, and headers and summaries make the gap a little longer.
      expect(last?.windowMs).toBeGreaterThan(load.apartMs * 0.97);
      expect(last?.windowMs).toBeLessThan(load.apartMs * 1.03);
      expect(last?.worstMs).toBeLessThanOrEqual(load.apartMs * 1.03 + 2 * FLUSH_MS);
      expect(last?.deviceBytes).toBeGreaterThan((load.budget / 24) * 0.9);
    }
  },
  600_000,
);

test('what packs well waits for pages that are full packed, so that the budget holds beyond its own bytes', async () => {
  const hours = await simulate(100, GIB, 1, reading);
  // 20 KB/s of payload, 1.7 GB a day, for which unpacked pages would take 2 GB.
  const [hour] = hours;
  expect(hour?.deviceBytes).toBeLessThanOrEqual((2 * GIB) / 24);
  expect(hour?.worstMs).toBeLessThanOrEqual(WINDOW_MS + 2 * FLUSH_MS);
  expect(hour?.alarm).toBe(false);
  expect(hour?.windowMs).toBeLessThan(WINDOW_MS);
}, 60_000);
