import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';

const SECTOR_BYTES = 512;

/** The kernel's name of the device that is mounted at `path`. */
export function deviceMountedAt(path: string): string {
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((entry) => entry.split(' ')[1] === path);
  return basename(realpathSync(line?.split(' ')[0] ?? ''));
}

/**
 * Everything the device mounted at `path` was given to write so far, by its own counter (field 7 of
 * its statistics), once the file system has given it all.
 */
export function deviceBytes(path: string): number {
  execFileSync('sync', ['-f', path]);
  const stat = readFileSync(`/sys/block/${deviceMountedAt(path)}/stat`, 'utf8');
  return Number(stat.trim().split(/\s+/)[6]) * SECTOR_BYTES;
}
