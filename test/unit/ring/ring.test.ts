import { describe, expect, test } from 'vitest';
import { inspectRing } from '../../../src/ring/inspect.ts';
import { nodeCompressor, nodeCrc32 } from '../../../src/platform/node/compression.ts';
import { RecordFlag, type Ring, STATE_PARTITION_ID } from '../../../src/ring/types.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { SimRandom } from '../../support/sim-random.ts';
import { bytes, lettingGo, RingBench, SEGMENT_BYTES, SLOTS, source, text } from './ring-bench.ts';

const NONE = new Uint8Array(0);
const QOS_1 = new Uint8Array([1]);

function append(ring: Ring, partitionId: number, payload: string, rides = false): number {
  const request = { partitionId, source: source('a/b'), flags: 0, attributes: QOS_1, rides };
  return ring.append({ ...request, payload: bytes(payload) });
}

describe('records', () => {
  test('come back as they were, from memory and from flash', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const { id } = ring.ensurePartition('telemetry', 2);
    const device = source('site/1/temperature', 'device-1');
    ring.append({
      partitionId: id,
      source: device,
      flags: RecordFlag.session | RecordFlag.receipt,
      attributes: bytes('attributes'),
      payload: bytes('21.5'),
      rides: false,
      time: { bootNumber: 0, monotonicMs: 0, wallMs: 1_700_000_000_123, trusted: true },
    });
    ring.append({
      partitionId: STATE_PARTITION_ID,
      source: null,
      flags: RecordFlag.control,
      attributes: bytes('key'),
      payload: NONE,
      rides: true,
    });
    await bench.flush();

    const check = async (at: RingBench): Promise<void> => {
      const [record] = await at.readAll(id);
      expect(record).toMatchObject({
        partitionId: id,
        offset: 0,
        sequence: 1,
        flags: RecordFlag.session | RecordFlag.receipt,
        topic: 'site/1/temperature',
        origin: 'device-1',
        time: { wallMs: 1_700_000_000_123, trusted: true },
      });
      expect(text(record?.payload ?? NONE)).toBe('21.5');
      expect(text(record?.attributes ?? NONE)).toBe('attributes');
      const [control] = await at.readAll(STATE_PARTITION_ID);
      expect(control).toMatchObject({ offset: 0, sequence: 2, topic: '', origin: '' });
      expect(control?.payload).toHaveLength(0);
      expect(text(control?.attributes ?? NONE)).toBe('key');
    };
    await check(bench);
    await bench.clock.runUntil(ring.close());
    const again = new RingBench(bench.disk.image());
    await again.open();
    expect(again.ring.partition(id)).toMatchObject({ stream: 'telemetry', index: 2 });
    await check(again);
  });

  test('keep their order and their time over many batches and partitions', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const ids = [0, 1, 2].map((index) => ring.ensurePartition('s', index).id);
    for (let n = 0; n < 300; n++) {
      append(ring, ids[n % 3] as number, `record ${n}`);
      if (n % 50 === 49) await bench.flush();
      if (n % 10 === 0) await bench.clock.advance(3);
    }
    await bench.flush();
    for (const [index, id] of ids.entries()) {
      const records = await bench.readAll(id);
      expect(records.map(({ offset }) => offset)).toEqual([...Array(100).keys()]);
      expect(records.map(({ payload }) => text(payload))).toEqual(
        [...Array(100).keys()].map((n) => `record ${3 * n + index}`),
      );
      const times = records.map(({ time }) => time.monotonicMs);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(times.at(-1)).toBeGreaterThan((times[0] ?? 0) + 80);
    }
  });

  test('cost few bytes: a hundred of 200 bytes with their attributes fit five pages', async () => {
    const bench = new RingBench();
    const segmentSizeBytes = 1024 * 1024;
    const ring = await bench.start({ segmentSizeBytes, sizeBytes: SLOTS * segmentSizeBytes });
    const { id } = ring.ensurePartition('s', 0);
    const random = new SimRandom(3);
    const sources = [...Array(10).keys()].map((n) => source(`site/${n}/temperature`));
    const hundred = async (): Promise<void> => {
      for (let n = 0; n < 100; n++) {
        ring.append({
          partitionId: id,
          source: sources[n % 10] ?? null,
          flags: 0,
          attributes: QOS_1,
          payload: random.bytes(200),
          rides: false,
        });
      }
      await bench.flush();
    };
    await hundred();
    const before = ring.statistics().flashBytes;
    await hundred();
    expect(ring.statistics().flashBytes - before).toBe(5 * 4096);
  });

  test('that compress take less flash than their payload', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const { id } = ring.ensurePartition('s', 0);
    const before = ring.statistics();
    for (let n = 0; n < 100; n++)
      append(ring, id, JSON.stringify({ n, unit: 'celsius'.repeat(25) }));
    await bench.flush();
    const after = ring.statistics();
    const payload = after.payloadBytes - before.payloadBytes;
    expect(after.flashBytes - before.flashBytes).toBeLessThan(payload / 2);
    expect(await bench.readAll(id)).toHaveLength(100);
  });

  test('larger than the limit are refused, and the limit itself is taken', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const { id } = ring.ensurePartition('s', 0);
    expect(() => append(ring, id, 'x'.repeat(ring.maxRecordBytes + 1))).toThrow(
      expect.objectContaining({ code: 'RECORD_TOO_LARGE' }),
    );
    append(ring, id, 'y'.repeat(ring.maxRecordBytes - 100));
    await bench.flush();
    expect((await bench.readAll(id)).map(({ offset }) => offset)).toEqual([0]);
  });
});

describe('durability', () => {
  test('is told in order, once the write returned, one write for all of a turn', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const { id } = ring.ensurePartition('s', 0);
    const before = ring.statistics().commits;
    const told: number[] = [];
    for (let n = 0; n < 20; n++) {
      append(ring, id, 'x');
      ring.whenDurable({ onDurable: (sequence) => told.push(sequence) });
    }
    expect(told).toEqual([]);
    await bench.flush();
    expect(told).toEqual(Array(20).fill(20));
    expect(ring.statistics().commits - before).toBe(1);
    ring.whenDurable({ onDurable: () => told.push(-1) });
    expect(told.at(-1)).toBe(-1);
  });

  test('of riders comes with the next commit, or when the window ends', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const { id } = ring.ensurePartition('s', 0);
    append(ring, id, 'rider', true);
    await bench.clock.advance(40);
    expect(ring.durableSequence).toBe(0);
    await bench.clock.advance(20);
    expect(ring.durableSequence).toBe(1);
    append(ring, id, 'rider', true);
    append(ring, id, 'driver');
    await bench.clock.advance(5);
    expect(ring.durableSequence).toBe(3);
  });

  test('wakes readers that wait for an offset, unless they cancelled', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const { id } = ring.ensurePartition('s', 0);
    const woken: string[] = [];
    ring.whenReadable(id, 0, () => woken.push('first'));
    ring.whenReadable(id, 1, () => woken.push('second'));
    ring.whenReadable(id, 0, () => woken.push('cancelled'))();
    append(ring, id, 'x');
    expect(woken).toEqual([]);
    await bench.flush();
    expect(woken).toEqual(['first']);
  });
});

describe('rotation', () => {
  test('lets the oldest records go, says how many, and keeps what the owner carries', async () => {
    const bench = new RingBench();
    const ring = await bench.open();
    const checkpoints: number[] = [];
    ring.start({
      ...lettingGo(ring),
      decide: (record) => (text(record.attributes) === 'keep' ? 'carry' : 'drop'),
      checkpoint: (sequence) => {
        checkpoints.push(sequence);
        return Promise.resolve();
      },
    });
    const { id } = ring.ensurePartition('s', 0);
    ring.append({
      partitionId: STATE_PARTITION_ID,
      source: null,
      flags: RecordFlag.control,
      attributes: bytes('keep'),
      payload: bytes('value'),
      rides: false,
    });
    const random = new SimRandom(5);
    for (let n = 0; n < 900; n++) {
      while (!ring.accepting) {
        await bench.clock.runUntil(new Promise<void>((resolve) => ring.onAccepting(resolve)));
      }
      const request = { partitionId: id, source: source('a'), flags: 0, attributes: NONE };
      ring.append({ ...request, payload: random.bytes(10_000), rides: false });
    }
    await bench.flush();
    const info = ring.partition(id);
    expect(info?.headOffset).toBeGreaterThan(400);
    expect(checkpoints.length).toBeGreaterThan(10);
    const limits = { maxRecords: 1, maxBytes: 1 };
    const result = await bench.clock.runUntil(ring.read(id, 10, limits));
    expect(result).toMatchObject({ lapped: (info?.headOffset ?? 0) - 10, damaged: 0 });
    expect((await bench.readAll(id)).length).toBe(900 - (info?.headOffset ?? 0));
    const state = await bench.readAll(STATE_PARTITION_ID);
    expect(state.map(({ carried, offset, sequence }) => ({ carried, offset, sequence }))).toEqual([
      { carried: true, offset: 0, sequence: 1 },
    ]);
    expect(text(state[0]?.payload ?? NONE)).toBe('value');
  });
});

describe('opening', () => {
  test('takes more slots', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const { id } = ring.ensurePartition('s', 0);
    append(ring, id, 'kept');
    await bench.clock.runUntil(ring.close());
    const larger = new RingBench(bench.disk.image());
    await larger.open({ sizeBytes: (SLOTS + 4) * SEGMENT_BYTES });
    expect((await larger.readAll(id)).map(({ payload }) => text(payload))).toEqual(['kept']);
    await larger.clock.runUntil(larger.ring.close());
  });

  test('takes no room where there is not enough: neither a new ring nor one that grows', async () => {
    const bench = new RingBench();
    bench.disk.failFile('slot-0009', 'ENOSPC');
    await expect(bench.open()).rejects.toMatchObject({ code: 'DEVICE_FULL' });
    expect(await bench.clock.runUntil(bench.disk.list())).toEqual([]);

    const small = new RingBench();
    const ring = await small.start();
    const { id } = ring.ensurePartition('s', 0);
    append(ring, id, 'kept');
    await small.clock.runUntil(ring.close());
    const larger = new RingBench(small.disk.image());
    larger.disk.failFile(`slot-00${SLOTS + 2}`, 'ENOSPC');
    const sizeBytes = (SLOTS + 4) * SEGMENT_BYTES;
    await expect(larger.open({ sizeBytes })).rejects.toMatchObject({ code: 'DEVICE_FULL' });
    expect(await larger.clock.runUntil(larger.disk.list())).toHaveLength(SLOTS);
    const again = new RingBench(larger.disk.image());
    await again.open();
    expect((await again.readAll(id)).map(({ payload }) => text(payload))).toEqual(['kept']);
  });

  test('refuses a ring of a newer format with one clear error', async () => {
    const bench = new RingBench();
    await bench.start();
    await bench.clock.runUntil(bench.ring.close());
    const disk = new SimDisk({ image: bench.disk.image() });
    const file = await disk.open('slot-0000', 'write');
    const page = new Uint8Array(4096);
    await file.read(0, page);
    page[12] = 2;
    new DataView(page.buffer).setUint32(4, nodeCrc32(page.subarray(8), 0), true);
    await file.write(0, page);
    await file.close();
    await expect(new RingBench(disk.image()).open()).rejects.toMatchObject({
      code: 'RING_FORMAT_UNKNOWN',
    });
  });

  test('raises what the owner knows to have been given out', async () => {
    const bench = new RingBench();
    const ring = await bench.open();
    const { id } = ring.ensurePartition('s', 0);
    ring.ensureTail(id, 500);
    ring.ensureSequence(9_000);
    ring.start(lettingGo(ring));
    expect(append(ring, id, 'x')).toBe(9_001);
    expect(ring.partition(id)?.tailOffset).toBe(501);
    await bench.flush();
    expect((await bench.readAll(id)).map(({ offset }) => offset)).toEqual([500]);
  });

  test('counts boots by the kernel id', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const { id } = ring.ensurePartition('s', 0);
    append(ring, id, 'first boot');
    await bench.clock.runUntil(ring.close());
    const again = new RingBench(bench.disk.image(), 'boot-2');
    await again.start();
    append(again.ring, id, 'second boot');
    await again.flush();
    expect((await again.readAll(id)).map(({ time }) => time.bootNumber)).toEqual([1, 2]);
  });
});

describe('inspecting', () => {
  test('tells what is live and what is damaged, and writes nothing', async () => {
    const bench = new RingBench();
    const ring = await bench.start();
    const { id } = ring.ensurePartition('s', 0);
    for (let n = 0; n < 5; n++) {
      append(ring, id, `record ${n}`);
      await bench.flush();
    }
    await bench.clock.runUntil(ring.close());
    const disk = new SimDisk({ image: bench.disk.image() });
    const before = disk.image();
    const options = { volume: disk, crc32: nodeCrc32, compressor: nodeCompressor };
    const inspect = async () => {
      const { segments } = await inspectRing(options);
      return segments.filter(({ state }) => state === 'live');
    };
    const [segment] = await inspect();
    expect(segment?.partitions).toEqual([
      { id, stream: 's', firstOffset: 0, lastOffset: 4, records: 5 },
    ]);
    expect(segment?.damage).toEqual([]);
    expect(disk.image()).toEqual(before);

    const file = await disk.open(`slot-000${segment?.slot}`, 'write');
    await file.write((segment?.usedBytes ?? 0) - 3 * 4096 + 40, new Uint8Array([255]));
    await file.close();
    expect((await inspect())[0]?.damage).toEqual([expect.stringContaining('are damaged')]);
    expect((await inspectRing(options)).lost).toEqual([
      { id, stream: 's', firstOffset: 3, lastOffset: 3 },
    ]);
  });
});
