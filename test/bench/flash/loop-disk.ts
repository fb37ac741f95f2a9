import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/** The unit of `/sys/block/*\/stat`, whatever the device's own sectors are. */
const SECTOR_BYTES = 512;
const IMAGE_MIB = 1024;

export const FILE_SYSTEM = `ext4 of ${IMAGE_MIB} MiB, 4 KiB blocks`;
export const MOUNT_OPTIONS = 'noatime';

/** What the device was given since it was made. */
export interface Written {
  readonly bytes: number;
  readonly flushes: number;
}

/**
 * A fresh ext4 on a loop device of its own, whose counters say what reached the device. Needs root.
 * What was attached and mounted is undone by `dispose`, newest first.
 */
export class LoopDisk {
  /** Where it is mounted. */
  readonly path: string;
  readonly #device: string;
  readonly #undo: (() => void)[] = [];

  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'cistern-flash-'));
    this.#undo.push(() => rmSync(folder, { recursive: true, force: true }));
    try {
      const image = join(folder, 'disk.img');
      run('truncate', '-s', `${IMAGE_MIB}M`, image);
      // All that mkfs would leave to the kernel is written now: else it is counted as somebody's.
      const atOnce = 'lazy_itable_init=0,lazy_journal_init=0';
      run('mkfs.ext4', '-q', '-b', '4096', '-E', atOnce, image);
      // Direct I/O: without it the page cache of the file system below would be a second cache.
      this.#device = run('losetup', '-f', '--show', '--direct-io=on', image).trim();
      this.#undo.push(() => run('losetup', '-d', this.#device));
      this.path = join(folder, 'disk');
      mkdirSync(this.path);
      run('mount', '-o', MOUNT_OPTIONS, this.#device, this.path);
      this.#undo.push(() => run('umount', this.path));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Writes back all that is dirty, and reads the counters (kernel: Documentation/block/stat.rst). */
  written(): Written {
    run('sync', '-f', this.path);
    const text = readFileSync(`/sys/block/${basename(this.#device)}/stat`, 'utf8');
    const fields = text.trim().split(/\s+/).map(Number);
    return { bytes: (fields[6] ?? 0) * SECTOR_BYTES, flushes: fields[15] ?? 0 };
  }

  dispose(): void {
    const failures: unknown[] = [];
    while (this.#undo.length > 0) {
      try {
        this.#undo.pop()?.();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'a loop disk was left behind');
  }
}

function run(command: string, ...parameters: string[]): string {
  return execFileSync(command, parameters, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
}
