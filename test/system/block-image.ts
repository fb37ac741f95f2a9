import { execFileSync } from 'node:child_process';
import { constants, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/**
 * A real ext4 on a loop device whose image lies on an XFS with reflinks, all on this machine's disk.
 * A reflink copy of the image is what the medium held at one instant: what a device without a
 * volatile cache shows after the power was cut.
 *
 * Invariant: everything that was mounted or attached is on the undo list, newest last, so that
 * `dispose` leaves the machine as it was whatever failed in between.
 */
export class BlockImage {
  /** Where the file system under test is mounted. */
  readonly path: string;
  readonly #folder: string;
  readonly #image: string;
  readonly #undo: (() => void)[] = [];
  #snapshots = 0;

  /** Throws with what is missing (root, loop devices, mkfs) when the machine cannot do it. */
  constructor(options: {
    readonly imageMiB: number;
    readonly hostMiB: number;
    /** More options of mkfs.ext4. */
    readonly format?: readonly string[];
  }) {
    this.#folder = mkdtempSync(join(tmpdir(), 'cistern-block-'));
    this.#undo.push(() => rmSync(this.#folder, { recursive: true, force: true }));
    try {
      const host = join(this.#folder, 'host');
      const hostImage = join(this.#folder, 'host.img');
      run('truncate', '-s', `${options.hostMiB}M`, hostImage);
      run('mkfs.xfs', '-q', '-m', 'reflink=1', hostImage);
      this.#mount(hostImage, host);
      this.#image = join(host, 'disk.img');
      run('truncate', '-s', `${options.imageMiB}M`, this.#image);
      run('mkfs.ext4', '-q', '-b', '4096', ...(options.format ?? []), this.#image);
      this.path = join(this.#folder, 'disk');
      this.#mount(this.#image, this.path);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Copies the image as it is at this instant; atomic, takes milliseconds, stops nobody. */
  snapshot(): string {
    this.#snapshots += 1;
    const copy = `${this.#image}.${this.#snapshots}`;
    copyFileSync(this.#image, copy, constants.COPYFILE_FICLONE_FORCE);
    return copy;
  }

  /** Mounts a snapshot, which replays the journal as the next boot would; returns path and undo. */
  mountSnapshot(snapshot: string): { readonly path: string; readonly unmount: () => void } {
    const path = join(this.#folder, `mounted-${basename(snapshot)}`);
    const before = this.#undo.length;
    this.#mount(snapshot, path);
    return { path, unmount: () => this.#undoDownTo(before) };
  }

  dispose(): void {
    this.#undoDownTo(0);
  }

  #mount(image: string, path: string): void {
    // Direct I/O: without it the host's page cache would be a second cache below ext4.
    const device = run('losetup', '-f', '--show', '--direct-io=on', image).trim();
    this.#undo.push(() => run('losetup', '-d', device));
    mkdirSync(path);
    run('mount', device, path);
    this.#undo.push(() => run('umount', path));
  }

  #undoDownTo(length: number): void {
    const failures: unknown[] = [];
    while (this.#undo.length > length) {
      try {
        this.#undo.pop()?.();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'the test left something behind');
  }
}

function run(command: string, ...parameters: string[]): string {
  return execFileSync(command, parameters, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
}
