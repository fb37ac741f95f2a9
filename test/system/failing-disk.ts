import { spawnSync } from 'node:child_process';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BlockImage } from './block-image.ts';

const MIB = 2 ** 20;

/**
 * A real block device that can be made to refuse writes and to take them again: a loop device whose
 * image shares all its extents with a copy, on a file system without a free block. Every write to it
 * needs a block of its own then and fails, reads go on, and nothing that was written is lost. (The
 * device mapper has targets for this; not every kernel has the device mapper.)
 */
export class FailingDisk {
  /** Where the file system on the device is mounted: ext4 without a journal, which a failed write would end. */
  readonly path: string;
  readonly #image: BlockImage;
  #fillers: string[] = [];
  #copy: string | undefined;

  constructor(sizeMiB: number) {
    const format = ['-m', '0', '-O', '^has_journal'];
    this.#image = new BlockImage({ imageMiB: sizeMiB, hostMiB: 2 * sizeMiB + 300, format });
    this.path = this.#image.path;
  }

  /** From now on a write fails with ENOSPC or EIO, as the kernel takes it; a few may still have room. */
  failWrites(): void {
    this.#copy = this.#image.snapshot();
    const host = dirname(this.#copy);
    for (const bytes of [16 * MIB, MIB, 64 * 1024, 4096]) this.#fill(host, bytes);
  }

  takeWrites(): void {
    for (const path of this.#fillers.splice(0)) rmSync(path, { force: true });
    if (this.#copy !== undefined) rmSync(this.#copy, { force: true });
    this.#copy = undefined;
  }

  /** What the medium holds at this instant, mounted: as after a power cut now and a boot's check. */
  mountSnapshot(): { readonly path: string; readonly unmount: () => void } {
    const snapshot = this.#image.snapshot();
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
    const { status } = spawnSync('e2fsck', ['-f', '-y', snapshot], { env });
    // 1 says that it has corrected something.
    if (status !== 0 && status !== 1) throw new Error(`e2fsck ended with ${String(status)}`);
    return this.#image.mountSnapshot(snapshot);
  }

  dispose(): void {
    this.takeWrites();
    this.#image.dispose();
  }

  #fill(host: string, bytes: number): void {
    const chunk = Buffer.alloc(bytes, 1);
    for (;;) {
      const { bavail, bsize } = statfsSync(host);
      if (bavail * bsize < bytes) return;
      const path = join(host, `filler-${this.#fillers.length}`);
      this.#fillers.push(path);
      try {
        writeFileSync(path, chunk, { flush: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
        throw error;
      }
    }
  }
}
