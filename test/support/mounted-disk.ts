import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MAKERS = {
  ext4: ['mkfs.ext4', '-q', '-m', '0'],
  btrfs: ['mkfs.btrfs', '-q'],
} as const;

/**
 * A small file system of its own on a loop device, which can be filled or made read-only without harm to
 * the machine. Needs root, and fails without: file permissions alone do not stop root.
 */
export class MountedDisk {
  readonly path: string;
  readonly #folder: string;
  #isMounted = false;

  constructor(sizeMiB: number, type: keyof typeof MAKERS = 'ext4') {
    this.#folder = mkdtempSync(join(tmpdir(), 'cistern-disk-'));
    this.path = join(this.#folder, 'mounted');
    try {
      const image = join(this.#folder, 'disk.img');
      run('truncate', '-s', `${sizeMiB}M`, image);
      const [program, ...args] = MAKERS[type];
      run(program, ...args, image);
      mkdirSync(this.path);
      run('mount', '-o', 'loop', image, this.path);
      this.#isMounted = true;
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  makeReadOnly(): void {
    run('mount', '-o', 'remount,ro', this.path);
  }

  makeWritable(): void {
    run('mount', '-o', 'remount,rw', this.path);
  }

  dispose(): void {
    if (this.#isMounted) run('umount', this.path);
    this.#isMounted = false;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
