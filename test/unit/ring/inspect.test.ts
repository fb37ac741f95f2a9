import { describe, expect, test } from 'vitest';
import { nodeCompressor, nodeCrc32 } from '../../../src/platform/node/compression.ts';
import type { Volume } from '../../../src/platform/volume.ts';
import {
  type InspectedRing,
  type InspectedSegment,
  inspectRing,
} from '../../../src/ring/inspect.ts';
import { recover } from '../../power-loss/scenario.ts';
import { appendWorkload } from '../../power-loss/workload.ts';
import { type Moment, World, worldAfterCut } from '../../power-loss/world.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { CUT_MODES, type DiskImage } from '../../support/sim-disk-image.ts';
import { SimRandom } from '../../support/sim-random.ts';
import { bytes, RingBench, SEGMENT_BYTES, SLOTS, source } from './ring-bench.ts';

function inspect(volume: Volume): Promise<InspectedRing> {
  return inspectRing({ volume, crc32: nodeCrc32, compressor: nodeCompressor });
}

async function inspectAll(volume: Volume): Promise<readonly InspectedSegment[]> {
  return (await inspect(volume)).segments;
}

/** A ring of several segments, closed, with what is in it. */
async function closedRing(): Promise<{ image: DiskImage; live: InspectedSegment[] }> {
  const bench = new RingBench();
  const ring = await bench.start({ compress: false });
  const { id } = ring.ensurePartition('s', 0);
  for (let n = 0; n < 200; n++) {
    ring.append({
      partitionId: id,
      source: source('a/b'),
      flags: 0,
      attributes: new Uint8Array(0),
      payload: new Uint8Array(5000).fill(n),
      rides: false,
    });
    if (n % 5 === 4) await bench.flush();
  }
  await bench.clock.runUntil(ring.close());
  const image = bench.disk.image();
  const all = await inspectAll(new SimDisk({ image: image.copy() }));
  expect(all.flatMap(({ damage, cutShort }) => [...damage, ...cutShort])).toEqual([]);
  return { image, live: all.filter(({ state }) => state === 'live') };
}

const fileOf = (slot: number): string => `slot-${String(slot).padStart(4, '0')}`;

async function overwrite(disk: SimDisk, slot: number, data: Uint8Array, offset = 0): Promise<void> {
  const file = await disk.open(fileOf(slot), 'write');
  await file.write(offset, data);
  await file.close();
}

describe('a live segment that is not in its slot', () => {
  const harms: readonly (readonly [string, string, (disk: SimDisk, slot: number) => unknown])[] = [
    ['deleted', 'its file is not there', (disk, slot) => disk.remove(fileOf(slot))],
    [
      'zeroed',
      'its header is all zeros',
      (disk, slot) => overwrite(disk, slot, new Uint8Array(SEGMENT_BYTES)),
    ],
  ];

  test.each(harms)('%s: is named, and a start counts it as lost too', async (_, why, harm) => {
    const { image, live } = await closedRing();
    expect(live.length).toBeGreaterThan(3);
    const [victim] = live;
    const disk = new SimDisk({ image });
    await harm(disk, victim?.slot ?? 0);
    const found = (await inspectAll(disk)).filter(({ damage }) => damage.length > 0);
    expect(found).toMatchObject([
      {
        slot: victim?.slot,
        epoch: victim?.epoch,
        state: 'lost',
        damage: [`The live segment of epoch ${victim?.epoch} is gone: ${why}.`],
      },
    ]);
    const again = new RingBench(disk.image());
    expect((await again.start()).recovery.lostSegments).toBe(1);
  });

  test('copied over by another slot', async () => {
    const { image, live } = await closedRing();
    const disk = new SimDisk({ image });
    const [victim, other] = live;
    const file = await disk.open(fileOf(other?.slot ?? 0), 'read');
    const copy = new Uint8Array(SEGMENT_BYTES);
    await file.read(0, copy);
    await file.close();
    await overwrite(disk, victim?.slot ?? 0, copy);
    expect((await inspectAll(disk))[victim?.slot ?? 0]).toMatchObject({
      state: 'damaged',
      damage: ['The segment header cannot be read.'],
    });
  });

  test('its second half zeroed: what its successor says is missing', async () => {
    const { image, live } = await closedRing();
    const disk = new SimDisk({ image });
    const [victim] = live;
    const half = SEGMENT_BYTES / 2;
    await overwrite(disk, victim?.slot ?? 0, new Uint8Array(half), half);
    const { damage } = (await inspectAll(disk))[victim?.slot ?? 0] as InspectedSegment;
    expect(damage.length).toBeGreaterThan(0);
  });
});

describe('damage in a live segment', () => {
  const middle = 24 * 4096;

  test('is told with the offsets that it took', async () => {
    const { image, live } = await closedRing();
    const [victim] = live;
    const disk = new SimDisk({ image: image.copy() });
    await overwrite(disk, victim?.slot ?? 0, new Uint8Array(100).fill(7), middle);
    const { lost } = await inspect(disk);
    expect(lost).toMatchObject([{ stream: 's', id: 16 }]);
    const { firstOffset: first = 0, lastOffset: last = 0 } = lost[0] ?? {};
    const again = new RingBench(disk.image());
    const ring = await again.start();
    const { records } = await again.clock.runUntil(
      ring.read(16, 0, { maxRecords: 1000, maxBytes: 1e7 }),
    );
    const present = new Set(records.map(({ offset }) => offset));
    const missing = Array.from({ length: 200 }, (_, offset) => offset).filter(
      (offset) => !present.has(offset),
    );
    expect(missing).toEqual(Array.from({ length: last - first + 1 }, (_, n) => first + n));
  });

  test('that the device refuses to read is told, and the rest is looked at', async () => {
    const { image, live } = await closedRing();
    const [victim] = live;
    const disk = new SimDisk({ image });
    disk.failReads(fileOf(victim?.slot ?? 0), middle, middle + 4096);
    const { segments, lost } = await inspect(disk);
    const { damage, records } = segments[victim?.slot ?? 0] as InspectedSegment;
    expect(damage[0]).toBe('The device refuses to read 1 of its pages.');
    expect(lost).toMatchObject([{ stream: 's', id: 16 }]);
    expect(records).toBeGreaterThan(10);
    expect(segments.filter((segment) => segment.damage.length > 0)).toHaveLength(1);
  });
});

test('a free slot that was deleted is named', async () => {
  const { image, live } = await closedRing();
  const free = SLOTS - 1;
  expect(live.map(({ slot }) => slot)).not.toContain(free);
  const disk = new SimDisk({ image });
  await disk.remove(fileOf(free));
  expect((await inspectAll(disk)).at(-1)).toMatchObject({
    slot: free,
    damage: ['Its file is not there.'],
  });
});

test('a torn last commit is told, and is no damage', async () => {
  const { image, live } = await closedRing();
  const disk = new SimDisk({ image });
  const last = live.reduce((a, b) => (b.epoch > a.epoch ? b : a));
  await overwrite(disk, last.slot, bytes('torn'), last.usedBytes - 4096 + 60);
  const segment = (await inspectAll(disk))[last.slot];
  expect(segment).toMatchObject({ state: 'live', damage: [] });
  expect(segment?.cutShort).toEqual([expect.stringContaining('nothing in it was acknowledged')]);
});

test('what power cuts leave is never called damage', async () => {
  let cutShort = 0;
  for (const seed of [1, 2, 3]) {
    const random = new SimRandom(seed);
    let world = new World({ seed });
    let moment: Moment | undefined;
    for (let life = 0; life < 8; life++) {
      world.keepMoments();
      if (moment !== undefined) world.start(await recover(world, moment));
      else {
        await world.open();
        world.start(await world.observe());
      }
      const groups = 1 + random.below(random.pick([3, 20, 200]));
      await world.run(appendWorkload(world, { seed: seed * 100 + life, groups }));
      const { moments } = world;
      for (let n = 0; n < 8; n++) {
        moment = random.pick(moments);
        world = worldAfterCut(moment, random.pick(CUT_MODES), random.below(1_000_000));
        const found = await inspect(new SimDisk({ image: world.disk.image() }));
        const damage = found.segments.flatMap((segment) => segment.damage);
        expect([...damage, ...found.lost], `seed ${seed}, life ${life}`).toEqual([]);
        cutShort += found.segments.flatMap((segment) => segment.cutShort).length;
      }
    }
  }
  expect(cutShort).toBeGreaterThan(20);
});
