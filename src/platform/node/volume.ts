import { constants, fstatSync, write } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CisternError, type ErrorCode } from '../../base/errors.ts';
import type { Volume, VolumeFile } from '../volume.ts';

/** Opens a directory as a {@link Volume}, making it (with its parents) where it is missing. */
export async function openNodeVolume(path: string): Promise<Volume> {
  await guard(`make the directory ${path}`, mkdir(path, { recursive: true }));
  return new NodeVolume(path);
}

class NodeVolume implements Volume {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  list(): Promise<string[]> {
    return guard(`list ${this.#path}`, readdir(this.#path));
  }

  async create(name: string): Promise<VolumeFile> {
    const path = this.#pathOf(name);
    const handle = await guard(`create ${path}`, open(path, 'wx+', 0o640));
    return new NodeFile(path, handle, await openDurable(path, handle));
  }

  async open(name: string, mode: 'read' | 'write'): Promise<VolumeFile> {
    const path = this.#pathOf(name);
    const flags = mode === 'read' ? constants.O_RDONLY : constants.O_RDWR;
    const handle = await guard(`open ${path}`, open(path, flags));
    return new NodeFile(
      path,
      handle,
      mode === 'read' ? undefined : await openDurable(path, handle),
    );
  }

  remove(name: string): Promise<void> {
    const path = this.#pathOf(name);
    return guard(`remove ${path}`, rm(path));
  }

  rename(from: string, to: string): Promise<void> {
    return guard(`rename ${from} to ${to}`, rename(this.#pathOf(from), this.#pathOf(to)));
  }

  async syncDirectory(): Promise<void> {
    const task = `sync the directory ${this.#path}`;
    const handle = await guard(task, open(this.#path, constants.O_RDONLY));
    try {
      await guard(task, handle.sync());
    } finally {
      await handle.close();
    }
  }

  #pathOf(name: string): string {
    return join(this.#path, name);
  }
}

class NodeFile implements VolumeFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  /**
   * A second descriptor with O_DSYNC: one thread-pool hop writes and syncs. Undefined where the file
   * was opened for reading. Opened with the first one, because the name may change later.
   */
  readonly #durable: FileHandle | undefined;

  constructor(path: string, handle: FileHandle, durable: FileHandle | undefined) {
    this.#path = path;
    this.#handle = handle;
    this.#durable = durable;
  }

  // The inode of an open file is in memory: a way through the thread pool takes longer.
  async size(): Promise<number> {
    try {
      return fstatSync(this.#handle.fd).size;
    } catch (cause) {
      throw toCisternError(`read ${this.#path}`, cause);
    }
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    const task = `read ${this.#path}`;
    let done = 0;
    while (done < target.length) {
      const step = this.#handle.read(target, done, target.length - done, offset + done);
      const { bytesRead } = await guard(task, step);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    return this.#writeAll(this.#handle, offset, data);
  }

  writeDurable(offset: number, data: Uint8Array): Promise<void> {
    return this.#writeAll(this.#durable, offset, data);
  }

  async sync(): Promise<void> {
    await guard(`sync ${this.#path}`, this.#handle.datasync());
  }

  async close(): Promise<void> {
    await guard(`close ${this.#path}`, this.#handle.close());
    if (this.#durable !== undefined) await guard(`close ${this.#path}`, this.#durable.close());
  }

  /** By callback: the promises of a FileHandle take as long as a small batch takes to encode. */
  #writeAll(handle: FileHandle | undefined, offset: number, data: Uint8Array): Promise<void> {
    const task = `write ${this.#path}`;
    if (handle === undefined || this.#durable === undefined) {
      const message = `Cannot ${task}: it was opened for reading.`;
      return Promise.reject(new CisternError('DATA_UNWRITABLE', message));
    }
    if (handle.fd < 0) {
      return Promise.reject(new CisternError('DEVICE_FAILED', `Cannot ${task}: it is closed.`));
    }
    return new Promise((resolve, reject) => {
      write(handle.fd, data, 0, data.length, offset, (error, bytesWritten) => {
        if (error !== null) reject(toCisternError(task, error));
        else if (bytesWritten === data.length) resolve();
        else reject(shortWrite(task, bytesWritten, data.length));
      });
    });
  }
}

/**
 * A short write is a failure, not something to go on with: what was written so far may be on the
 * medium without its rest, and the ring must treat the pages as spent.
 */
function shortWrite(task: string, taken: number, length: number): CisternError {
  const message = `Cannot ${task}: only ${taken} of ${length} bytes were taken.`;
  return new CisternError('DEVICE_FAILED', message);
}

/** Opens the file of `handle` once more, for synced writes; closes `handle` where that fails. */
async function openDurable(path: string, handle: FileHandle): Promise<FileHandle> {
  try {
    return await guard(`open ${path}`, open(path, constants.O_RDWR | constants.O_DSYNC));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function guard<T>(task: string, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (cause) {
    throw toCisternError(task, cause);
  }
}

function toCisternError(task: string, cause: unknown): CisternError {
  const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
  const { code, remedy } = kinds.get(errno) ?? deviceFailed;
  return new CisternError(code, `Cannot ${task} (${errno}).`, { cause, remedy });
}

interface ErrorKind {
  readonly code: ErrorCode;
  readonly remedy: string;
}

const deviceFull: ErrorKind = {
  code: 'DEVICE_FULL',
  remedy: 'Make room on the file system, or raise the quota of the user that runs Cistern.',
};
const unwritable: ErrorKind = {
  code: 'DATA_UNWRITABLE',
  remedy: 'Give the user that runs Cistern the right to write there, on a writable file system.',
};
const deviceFailed: ErrorKind = {
  code: 'DEVICE_FAILED',
  remedy: 'See the kernel log for errors of the device, and replace it if there are any.',
};

const kinds: ReadonlyMap<string, ErrorKind> = new Map([
  ['ENOSPC', deviceFull],
  ['EDQUOT', deviceFull],
  ['EROFS', unwritable],
  ['EACCES', unwritable],
  ['EPERM', unwritable],
]);
