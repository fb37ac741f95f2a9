import { describe, expect, test } from 'vitest';
import { CisternError } from '../../src/base/errors.ts';
import { SimClock } from '../support/sim-clock.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { CUT_MODES } from '../support/sim-disk-image.ts';

const PAGE_BYTES = 4096;
const SECTOR_BYTES = 512;

/** The bed itself: a disk that kept too much would make every power-loss test pass. */
describe('the simulated disk at a power cut', () => {
  test('what was never synced may be gone, name and bytes', async () => {
    const disk = new SimDisk();
    const file = await disk.create('a');
    await file.write(0, page(1));
    expect(disk.image().cut('none', 1).names()).toEqual([]);
    expect(disk.image().cut('all', 1).contents('a')).toEqual(page(1));
    await disk.syncDirectory();
    expect(disk.image().cut('none', 1).contents('a')).toEqual(new Uint8Array(0));
  });

  test('what was synced is there in every mode', async () => {
    const disk = new SimDisk();
    const synced = await disk.create('synced');
    await synced.write(0, page(1));
    await synced.sync();
    const durable = await disk.create('durable');
    await durable.writeDurable(0, page(2));
    await disk.syncDirectory();
    for (const mode of CUT_MODES) {
      const after = disk.image().cut(mode, 5);
      expect(after.contents('synced'), mode).toEqual(page(1));
      expect(after.contents('durable'), mode).toEqual(page(2));
    }
  });

  test('a durable write is not undone by an older write of the same sectors that was pending', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, PAGE_BYTES);
    await file.write(0, page(1));
    await file.writeDurable(0, page(2));
    for (const mode of CUT_MODES) {
      expect(disk.image().cut(mode, 3).contents('file'), mode).toEqual(page(2));
    }
  });

  test('a sync covers what was written before it began, not what came while it ran', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, 2 * PAGE_BYTES);
    await file.write(0, page(1));
    const syncing = file.sync();
    await file.write(0, page(2));
    await syncing;
    expect(disk.image().cut('none', 1).contents('file').subarray(0, PAGE_BYTES)).toEqual(page(1));
    expect(disk.image().cut('all', 1).contents('file').subarray(0, PAGE_BYTES)).toEqual(page(2));
  });

  test('subset tears a page: some sectors are new and some are old', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, PAGE_BYTES);
    await file.write(0, page(1));
    const found = disk.image().cut('subset', 2).contents('file');
    const isNew = sectors(found).map((sector) => sector[0] !== 0);
    expect(isNew).toContain(true);
    expect(isNew).toContain(false);
  });

  test('garbage leaves sectors that are neither old nor new', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, 8 * PAGE_BYTES);
    await file.write(0, new Uint8Array(8 * PAGE_BYTES).fill(1));
    const found = disk.image().cut('garbage', 2).contents('file');
    const odd = sectors(found).filter((sector) => sector.some((byte) => byte > 1));
    expect(odd.length).toBeGreaterThan(4);
  });

  test('the modes by position do what their names say', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, 2 * PAGE_BYTES);
    await file.write(0, new Uint8Array(2 * PAGE_BYTES).fill(1));
    const landed = (mode: 'first-sector' | 'last-sector'): number[] =>
      sectors(disk.image().cut(mode, 1).contents('file')).flatMap((sector, index) =>
        sector[0] === 1 ? [index] : [],
      );
    expect(landed('first-sector')).toEqual([0, 8]);
    expect(landed('last-sector')).toEqual([7, 15]);
    const first = disk.image().cut('first-page-garbage', 1).contents('file');
    expect(first.subarray(0, PAGE_BYTES)).not.toEqual(new Uint8Array(PAGE_BYTES).fill(1));
    expect(first.subarray(PAGE_BYTES)).toEqual(new Uint8Array(PAGE_BYTES).fill(1));
  });

  test('the same seed cuts the same way', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, 4 * PAGE_BYTES);
    await file.write(0, new Uint8Array(4 * PAGE_BYTES).fill(1));
    const cut = (seed: number): Uint8Array => disk.image().cut('garbage', seed).contents('file');
    expect(cut(7)).toEqual(cut(7));
    expect(cut(7)).not.toEqual(cut(8));
  });

  test('a durable write in flight is pending, and calls on the old disk never succeed', async () => {
    const clock = new SimClock();
    const disk = new SimDisk({ clock });
    const file = await clock.runUntil(fileOfZeros(disk, PAGE_BYTES));
    let settled = false;
    disk.crashAt(disk.operations + 1, 1, 'none');
    void file.writeDurable(0, page(1)).finally(() => {
      settled = true;
    });
    await clock.advance(100);
    expect(disk.isCut).toBe(true);
    expect(settled).toBe(false);
    await expect(file.read(0, page(0))).rejects.toBeInstanceOf(CisternError);
    await expect(disk.list()).rejects.toBeInstanceOf(CisternError);
    const rebooted = disk.reboot();
    expect(rebooted.image().contents('file')).toEqual(page(0));
  });

  test('an image taken earlier does not follow the disk', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, PAGE_BYTES);
    const before = disk.image();
    await file.writeDurable(0, page(1));
    await disk.remove('file');
    expect(before.contents('file')).toEqual(page(0));
    expect(before.cut('all', 1).contents('file')).toEqual(page(0));
  });

  test('kill -9 keeps the cache, and a power cut after it still takes what was not synced', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, PAGE_BYTES);
    await file.write(0, page(1));
    disk.kill(1);
    const after = disk.reboot();
    expect(after.image().contents('file')).toEqual(page(1));
    expect(after.image().cut('none', 1).contents('file')).toEqual(page(0));
  });
});

describe('the simulated disk with a fault', () => {
  test.each([
    ['EIO', 'DEVICE_FAILED'],
    ['ENOSPC', 'DEVICE_FULL'],
    ['EROFS', 'DATA_UNWRITABLE'],
    ['SHORT', 'DEVICE_FAILED'],
  ] as const)('%s fails the one call with %s, and the next one succeeds', async (fault, code) => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, PAGE_BYTES);
    disk.failAt(disk.operations + 1, fault);
    await expect(file.writeDurable(0, page(1))).rejects.toMatchObject({ code });
    await file.writeDurable(0, page(2));
    expect(disk.image().cut('none', 1).contents('file')).toEqual(page(2));
  });

  test('for ever means until it is healed', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, PAGE_BYTES);
    disk.failAt(disk.operations + 1, 'EIO', true);
    await expect(file.writeDurable(0, page(1))).rejects.toBeInstanceOf(CisternError);
    await expect(file.sync()).rejects.toBeInstanceOf(CisternError);
    await expect(disk.create('other')).rejects.toBeInstanceOf(CisternError);
    disk.heal();
    await file.writeDurable(0, page(1));
  });

  test('a sync after a failed sync does not bring back what the first one lost', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, PAGE_BYTES);
    await file.write(0, page(1));
    disk.failAt(disk.operations + 1, 'EIO');
    await expect(file.sync()).rejects.toBeInstanceOf(CisternError);
    await file.sync();
    expect(disk.image().contents('file')).toEqual(page(1));
    expect(disk.image().cut('none', 1).contents('file')).toEqual(page(0));
  });

  test('a bad range fails only the reads that touch it', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, 3 * PAGE_BYTES);
    disk.failReads('file', PAGE_BYTES, PAGE_BYTES + 1);
    await file.read(0, page(0));
    await file.read(2 * PAGE_BYTES, page(0));
    await expect(file.read(PAGE_BYTES, page(0))).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
  });

  test('two writes at once on one file are reported as a misuse', async () => {
    const disk = new SimDisk();
    const file = await fileOfZeros(disk, 2 * PAGE_BYTES);
    await Promise.all([file.writeDurable(0, page(1)), file.writeDurable(PAGE_BYTES, page(1))]);
    expect(disk.violations).toEqual(['two writes in flight on file']);
  });
});

describe('the simulated clock', () => {
  test('fires timers in order of time, then of creation, and lets promises settle in between', async () => {
    const clock = new SimClock({ startMs: 0 });
    const seen: string[] = [];
    clock.after(20, () => seen.push('late'));
    clock.after(10, () => {
      seen.push('first');
      void Promise.resolve()
        .then(() => undefined)
        .then(() => seen.push('settled'));
      clock.atTurnEnd(() => seen.push('turn end'));
    });
    clock.after(10, () => seen.push('second'));
    clock.after(15, () => seen.push('cancelled')).cancel();
    await clock.advance(20);
    expect(seen).toEqual(['first', 'settled', 'turn end', 'second', 'late']);
    expect(clock.monotonicMs()).toBe(20);
  });

  test('says so when nothing that is scheduled can settle the promise', async () => {
    const clock = new SimClock();
    await expect(clock.runUntil(new Promise(() => undefined))).rejects.toThrow('deadlock');
  });
});

function page(fill: number): Uint8Array {
  return new Uint8Array(PAGE_BYTES).fill(fill);
}

async function fileOfZeros(disk: SimDisk, length: number) {
  const file = await disk.create('file');
  await file.write(0, new Uint8Array(length));
  await file.sync();
  await disk.syncDirectory();
  return file;
}

function sectors(data: Uint8Array): Uint8Array[] {
  return Array.from({ length: data.length / SECTOR_BYTES }, (_, index) =>
    data.subarray(index * SECTOR_BYTES, (index + 1) * SECTOR_BYTES),
  );
}
