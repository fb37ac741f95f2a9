import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { BlockDevice, FlashHealth } from '../block-device.ts';

/** The kernel counts in these, whatever the device's own sectors are (Documentation/block/stat.rst). */
const SECTOR_BYTES = 512;
const WRITTEN_SECTORS_FIELD = 6;
/** A stack of mapped devices is no deeper in practice. */
const MAX_LAYERS = 8;

const PRE_END_OF_LIFE = new Map([
  [1, 'normal'],
  [2, 'warning'],
  [3, 'urgent'],
] as const);

/**
 * The device that holds the directory `path`, by what the kernel shows below `sysPath`. Undefined
 * where there is none to be seen: tmpfs, NFS, btrfs and overlays have no device number of one.
 */
export function findBlockDevice(path: string, sysPath = '/sys'): BlockDevice | undefined {
  const { major, minor } = deviceNumbers(statSync(path).dev);
  const place = resolve(join(sysPath, 'dev/block', `${major}:${minor}`));
  if (place === undefined) return undefined;
  const diskPlace = diskBelow(place);
  const name = basename(place);
  return {
    name,
    disk: basename(diskPlace),
    read: () => ({
      writtenBytes: writtenBytes(place),
      flashHealth: flashHealth(diskPlace),
      fileSystemWrittenBytes: fileSystemWrittenBytes(sysPath, name),
    }),
  };
}

/** As the C library's gnu_dev_major and gnu_dev_minor take a dev_t apart. */
function deviceNumbers(dev: number): { major: number; minor: number } {
  const high = Math.floor(dev / 2 ** 32);
  const low = dev >>> 0;
  return {
    major: ((low >>> 8) & 0xfff) | (high & 0xfffff000),
    minor: (low & 0xff) | ((low >>> 12) & 0xfff00),
  };
}

/** A partition lies in the folder of its disk; a mapped device names what it is made of in `slaves`. */
function diskBelow(place: string): string {
  let disk = place;
  for (let layer = 0; layer < MAX_LAYERS; layer++) {
    if (textOf(join(disk, 'partition')) !== undefined) disk = dirname(disk);
    const slaves = join(disk, 'slaves');
    const slave = firstOf(slaves);
    const below = slave === undefined ? undefined : resolve(join(slaves, slave));
    if (below === undefined) break;
    disk = below;
  }
  return disk;
}

function writtenBytes(place: string): number | undefined {
  const fields = textOf(join(place, 'stat'))?.split(/\s+/);
  return scaled(fields?.[WRITTEN_SECTORS_FIELD], SECTOR_BYTES);
}

/** See Documentation/admin-guide/ext4.rst, lifetime_write_kbytes. */
function fileSystemWrittenBytes(sysPath: string, name: string): number | undefined {
  return scaled(textOf(join(sysPath, 'fs/ext4', name, 'lifetime_write_kbytes')), 1024);
}

/** See Documentation/driver-api/mmc/mmc-dev-attrs.rst, life_time and pre_eol_info. */
function flashHealth(diskPlace: string): FlashHealth | undefined {
  const lifeTimes = textOf(join(diskPlace, 'device/life_time'))?.split(/\s+/).map(Number) ?? [];
  // 0 is "not told", 1 "at most a tenth is used", 10 "at most all", 11 "more than that".
  const usedShares = lifeTimes.filter((step) => step >= 1 && step <= 11).map((step) => step / 10);
  if (usedShares.length === 0) return undefined;
  const preEndOfLife = Number(textOf(join(diskPlace, 'device/pre_eol_info')));
  return {
    usedShares,
    preEndOfLife: PRE_END_OF_LIFE.get(preEndOfLife as 1 | 2 | 3),
  };
}

function scaled(text: string | undefined, factor: number): number | undefined {
  const value = text === undefined || text === '' ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) ? value * factor : undefined;
}

function firstOf(folder: string): string | undefined {
  return ifThere(() => readdirSync(folder).toSorted()[0]);
}

function resolve(path: string): string | undefined {
  return ifThere(() => realpathSync(path));
}

function textOf(path: string): string | undefined {
  return ifThere(() => readFileSync(path, 'utf8').trim());
}

/** What the kernel does not show, or not to this user, or no longer, is not known. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}
