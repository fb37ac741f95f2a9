import { describe, expect, test } from 'vitest';
import { nodeCompressor, nodeCrc32 } from '../../../src/platform/node/compression.ts';
import { dumpRing } from '../../../src/ring/dump.ts';
import { inspectRing } from '../../../src/ring/inspect.ts';
import { RecordFlag } from '../../../src/ring/types.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import type { DiskImage } from '../../support/sim-disk-image.ts';
import { RingBench, SEGMENT_BYTES, source } from './ring-bench.ts';

const PAGE_BYTES = 4096;
const RECORDS = 240;

interface Lost {
  readonly id: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
}

const look = (image: DiskImage) => ({
  volume: new SimDisk({ image: image.copy() }),
  crc32: nodeCrc32,
  compressor: nodeCompressor,
});

const fileOf = (slot: number): string => `slot-${String(slot).padStart(4, '0')}`;

/** As by a file system that was mended: half of the file is there. */
const cutShort = (slot: number) => async (disk: SimDisk) => {
  const file = await disk.open(fileOf(slot), 'read');
  const half = new Uint8Array(SEGMENT_BYTES / 2);
  await file.read(0, half);
  await file.close();
  await disk.remove(fileOf(slot));
  const again = await disk.create(fileOf(slot));
  await again.write(0, half);
  await again.close();
};

/** What `log verify` says is lost. */
async function verified(image: DiskImage): Promise<readonly Lost[]> {
  const { lost } = await inspectRing(look(image));
  return lost.map(({ id, firstOffset, lastOffset }) => ({ id, firstOffset, lastOffset }));
}

/** What a start says is lost; the ring is closed in order afterwards. */
async function started(image: DiskImage) {
  const bench = new RingBench(image.copy());
  const { recovery } = await bench.start();
  const lost = recovery.lost.map(({ partitionId, firstOffset, count }) => ({
    id: partitionId,
    firstOffset,
    lastOffset: firstOffset + count - 1,
  }));
  const status = bench.ring.statistics();
  const damaged = new Map<number, number>();
  for (const { id, headOffset } of bench.ring.partitions()) {
    const all = { maxRecords: 10_000, maxBytes: 1e8 };
    const result = await bench.clock.runUntil(bench.ring.read(id, headOffset, all));
    damaged.set(id, result.damaged);
  }
  const { corruptRecords } = bench.ring.statistics();
  await bench.clock.runUntil(bench.ring.close());
  return { recovery, lost, status, damaged, corruptRecords, image: bench.disk.image() };
}

/**
 * Segments of records of 4,000 bytes that do not shrink, five a commit, of two streams in turn, one of which
 * falls silent; with a control record now and then.
 */
async function closedRing() {
  const bench = new RingBench();
  const ring = await bench.start({ compress: false });
  const often = ring.ensurePartition('often', 0).id;
  const early = ring.ensurePartition('early', 0).id;
  const state = 0;
  const append = (partitionId: number, flags = 0): void =>
    void ring.append({
      partitionId,
      source: source('a/b'),
      flags,
      attributes: new Uint8Array(0),
      payload: new Uint8Array(4000).fill(1),
      rides: false,
    });
  for (let n = 0; n < RECORDS; n++) {
    append(n < 100 && n % 2 === 0 ? early : often);
    if (n % 10 === 0) append(state, RecordFlag.control);
    if (n % 5 === 4) await bench.flush();
  }
  await bench.clock.runUntil(ring.close());
  const image = bench.disk.image();
  const { segments, lost } = await inspectRing(look(image));
  expect(lost).toEqual([]);
  const live = segments.filter((segment) => segment.state === 'live');
  live.sort((a, b) => a.epoch - b.epoch);
  expect(live.length).toBeGreaterThan(4);
  return { image, live, often, early, state };
}

type Made = Awaited<ReturnType<typeof closedRing>>;
type Segment = Made['live'][number];

/** All that a segment held. */
function heldBy({ partitions }: Segment): Lost[] {
  return partitions.map(({ id, firstOffset, lastOffset }) => ({ id, firstOffset, lastOffset }));
}

async function harmed(
  image: DiskImage,
  harm: (disk: SimDisk) => Promise<unknown>,
): Promise<DiskImage> {
  const disk = new SimDisk({ image: image.copy() });
  await harm(disk);
  return disk.image();
}

const zero = (slot: number, from: number) => async (disk: SimDisk) => {
  const file = await disk.open(fileOf(slot), 'write');
  await file.write(from, new Uint8Array(SEGMENT_BYTES - from));
  await file.close();
};

const byPartition = (lost: readonly Lost[]) => lost.toSorted((a, b) => a.id - b.id);

describe('a sealed segment whose end is gone', () => {
  test.each([0, 1, 2])(
    'number %i: the start and log verify say exactly what was in it',
    async (n) => {
      const { image, live } = await closedRing();
      const victim = live[n] as Segment;
      const at = (SEGMENT_BYTES / 2 / PAGE_BYTES) * PAGE_BYTES;
      const broken = await harmed(image, zero(victim.slot, at));
      const left = (await inspectRing(look(broken))).segments[victim.slot] as Segment;
      const kept = new Map(left.partitions.map(({ id, lastOffset }) => [id, lastOffset + 1]));
      const expected = heldBy(victim)
        .map((each) => ({ ...each, firstOffset: kept.get(each.id) ?? each.firstOffset }))
        .filter(({ firstOffset, lastOffset }) => firstOffset <= lastOffset);
      expect(expected.length).toBeGreaterThan(1);

      expect(byPartition(await verified(broken))).toEqual(byPartition(expected));
      const { lost, recovery, corruptRecords, damaged } = await started(broken);
      expect(byPartition(lost)).toEqual(byPartition(expected));
      const count = expected.reduce((sum, each) => sum + each.lastOffset - each.firstOffset + 1, 0);
      expect(recovery).toMatchObject({ lostSegments: 0, corruptRecords: count });
      // Reading meets the same holes, and counts no record twice.
      expect(corruptRecords).toBe(count);
      for (const { id, firstOffset, lastOffset } of expected) {
        expect(damaged.get(id)).toBe(lastOffset - firstOffset + 1);
      }
    },
  );

  test('the file cut short is the same', async () => {
    const { image, live } = await closedRing();
    const [, victim] = live as [Segment, Segment];
    const cut = await harmed(image, cutShort(victim.slot));
    const zeroed = await harmed(image, zero(victim.slot, SEGMENT_BYTES / 2));
    expect(await verified(cut)).toEqual(await verified(zeroed));
    const start = await started(cut);
    expect(start.lost).toEqual((await started(zeroed)).lost);
    expect(start.recovery.shortSegments).toBe(1);
  });

  test('the newest file cut short is told, though nothing says what it held: no power cut does that', async () => {
    const { image, live } = await closedRing();
    const newest = live.at(-1) as Segment;
    const { recovery } = await started(await harmed(image, cutShort(newest.slot)));
    expect(recovery).toMatchObject({ shortSegments: 1, tailUncertain: true });
    expect((await started(image)).recovery.shortSegments).toBe(0);
  });
});

describe('a live segment of which nothing is left', () => {
  const harms: readonly (readonly [string, (disk: SimDisk, slot: number) => Promise<unknown>])[] = [
    ['its file deleted', (disk, slot) => disk.remove(fileOf(slot))],
    ['zeroed', (disk, slot) => zero(slot, 0)(disk)],
  ];

  test.each(harms)('%s: its neighbours tell which offsets it held', async (_, harm) => {
    const { image, live } = await closedRing();
    const victim = live[2] as Segment;
    const broken = await harmed(image, (disk) => harm(disk, victim.slot));
    const expected = byPartition(heldBy(victim));
    expect(byPartition(await verified(broken))).toEqual(expected);
    const { lost, recovery } = await started(broken);
    expect(byPartition(lost)).toEqual(expected);
    expect(recovery.lostSegments).toBe(1);
  });

  test('is not forgotten by the starts that follow, until the heads are past it', async () => {
    const { image, live, often, early } = await closedRing();
    const victim = live[1] as Segment;
    const broken = await harmed(image, (disk) => disk.remove(fileOf(victim.slot)));
    const expected = byPartition(heldBy(victim));
    let next = await started(broken);
    for (let start = 0; start < 3; start++) {
      expect(byPartition(await verified(next.image))).toEqual(expected);
      next = await started(next.image);
      expect(next.recovery.lostSegments).toBe(0);
      expect(byPartition(next.lost)).toEqual(expected);
      expect(next.status.corruptRecords).toBeGreaterThan(0);
    }
    const bench = new RingBench(next.image);
    const ring = await bench.start();
    for (const id of [often, early]) ring.trim(id, ring.partition(id)?.tailOffset ?? 0);
    // The heads are in the next header.
    for (let n = 0; n < 80; n++) {
      const request = { source: source('a/b'), flags: 0, attributes: new Uint8Array(0) };
      ring.append({ ...request, partitionId: often, payload: new Uint8Array(4000), rides: false });
      await bench.flush();
    }
    await bench.clock.runUntil(ring.close());
    expect((await verified(bench.disk.image())).filter(({ id }) => id >= often)).toEqual([]);
  });
});

test('a tail that jumped is no loss, however often the ring starts after it', async () => {
  const { image, live } = await closedRing();
  const newest = live.at(-1) as Segment;
  // Damage in front of a sound batch of the newest segment: what else is gone nobody knows.
  const broken = await harmed(image, async (disk) => {
    const file = await disk.open(fileOf(newest.slot), 'write');
    await file.write(PAGE_BYTES + 500, new Uint8Array(100).fill(9));
    await file.close();
  });
  const first = await started(broken);
  expect(first.recovery.tailUncertain).toBe(true);
  expect(first.recovery.corruptRecords).toBeLessThan(10);
  let next = first.image;
  for (let start = 0; start < 4; start++) {
    expect(byPartition(await verified(next))).toEqual(byPartition(first.lost));
    const again = await started(next);
    expect(again.recovery).toMatchObject({ tailUncertain: false });
    expect(byPartition(again.lost)).toEqual(byPartition(first.lost));
    expect(again.damaged).toEqual(first.damaged);
    next = again.image;
  }
});

test('a segment whose header page alone is damaged has lost nothing', async () => {
  const { image, live } = await closedRing();
  const victim = live[1] as Segment;
  const broken = await harmed(image, async (disk) => {
    const file = await disk.open(fileOf(victim.slot), 'write');
    await file.write(0, new Uint8Array(100).fill(9));
    await file.close();
  });
  expect(await verified(broken)).toEqual([]);
  expect((await started(broken)).lost).toEqual([]);
});

test('a dump says how much it left out', async () => {
  const { image, live } = await closedRing();
  const [first, second] = live as [Segment, Segment];
  const broken = await harmed(image, async (disk) => {
    await disk.remove(fileOf(first.slot));
    await zero(second.slot, SEGMENT_BYTES / 2)(disk);
  });
  const dumped = async (of: DiskImage) => {
    const leftOut = { segment: 0, place: 0 };
    let records = 0;
    for await (const _ of dumpRing(look(of), (what, count) => (leftOut[what] += count))) records++;
    return { ...leftOut, records };
  };
  expect(await dumped(image)).toMatchObject({ segment: 0, place: 0 });
  const { records, ...leftOut } = await dumped(broken);
  expect(leftOut).toEqual({ segment: 1, place: 1 });
  expect(records).toBeGreaterThan(100);
});

test('inspecting reads each slot once, besides its header, and the newest one twice', async () => {
  const { image } = await closedRing();
  const options = look(image);
  let bytesRead = 0;
  const { volume } = options;
  const open: typeof volume.open = async (name, mode) => {
    const file = await SimDisk.prototype.open.call(volume, name, mode);
    const read: typeof file.read = (offset, target) => {
      bytesRead += target.length;
      return file.read(offset, target);
    };
    return { ...file, size: () => file.size(), close: () => file.close(), read };
  };
  volume.open = open;
  await inspectRing(options);
  const slots = (await volume.list()).length;
  expect(bytesRead).toBeLessThanOrEqual((slots + 1) * SEGMENT_BYTES + slots * PAGE_BYTES);
});
