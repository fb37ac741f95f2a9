import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { access, constants, readdir, readFile, realpath, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { CisternError } from '../../base/errors.ts';
import type { DiskSurvey, FileFacts, FileSystemFacts } from '../disk-survey.ts';
import { unusableDirectory } from './lock.ts';
import { mountOf } from './mount-info.ts';

/** st_blocks counts in this unit whatever the file system's own is: stat(2). */
const STAT_BLOCK_BYTES = 512;
const CHATTR_TIMEOUT_MS = 5_000;

/** Names for statfs(2) types, where `/proc` is not there to tell: linux/magic.h, and OpenZFS's own. */
const NAME_OF_MAGIC: ReadonlyMap<number, string> = new Map([
  [0x0102_1994, 'tmpfs'],
  [0x8584_58f6, 'ramfs'],
  [0x9123_683e, 'btrfs'],
  [0x2fc1_2fc1, 'zfs'],
  [0xca45_1a4e, 'bcachefs'],
  [0x6969, 'nfs'],
  [0xff53_4d42, 'cifs'],
  [0xfe53_4d42, 'smb3'],
  [0x517b, 'smbfs'],
  [0x5346_414f, 'afs'],
  [0x00c3_6400, 'ceph'],
  [0x6573_5546, 'fuse'],
  [0x0102_1997, '9p'],
  [0x794c_7630, 'overlay'],
  [0x4d44, 'vfat'],
  [0x2011_bab0, 'exfat'],
  [0xf2f5_2010, 'f2fs'],
  [0x5846_5342, 'xfs'],
]);

export function createNodeDiskSurvey(): DiskSurvey {
  return { fileSystemOf, refusalOf, filesIn, stopCopyOnWrite };
}

async function fileSystemOf(path: string): Promise<FileSystemFacts | undefined> {
  try {
    const existing = await nearestExisting(resolve(path));
    const { type, bsize, bavail } = await statfs(existing);
    const mount = mountOf(existing, await readMountInfo());
    return {
      type: mount?.type ?? NAME_OF_MAGIC.get(type) ?? `0x${type.toString(16)}`,
      mountPoint: mount?.mountPoint ?? existing,
      options: mount?.options ?? [],
      freeBytes: bavail * bsize,
    };
  } catch (error) {
    // What cannot even be looked at cannot be written either, and whoever writes says so.
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return undefined;
  }
}

async function nearestExisting(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const above = dirname(path);
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!['ENOENT', 'ENOTDIR'].includes(code) || above === path) throw error;
    return nearestExisting(above);
  }
}

async function refusalOf(directory: string): Promise<CisternError | undefined> {
  try {
    const existing = await nearestExisting(resolve(directory));
    if (!(await stat(existing)).isDirectory()) {
      const isIt = existing === (await realpath(directory).catch(() => undefined));
      throw new Error(`${isIt ? 'it' : existing} is a file`);
    }
    await access(existing, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (cause) {
    return unusableDirectory(directory, cause);
  }
}

async function readMountInfo(): Promise<string> {
  try {
    return await readFile('/proc/self/mountinfo', 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return '';
  }
}

async function filesIn(path: string): Promise<readonly FileFacts[]> {
  try {
    const files: FileFacts[] = [];
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (!entry.isFile()) continue;
      // Of hundreds of files: a way through the thread pool for each takes longer than all of it.
      const { size, blocks } = statSync(join(path, entry.name));
      const allocatedBytes = blocks * STAT_BLOCK_BYTES;
      files.push({ name: entry.name, sizeBytes: size, allocatedBytes });
    }
    return files;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return [];
  }
}

// The attribute is set by an ioctl, which Node does not have.
function stopCopyOnWrite(path: string): Promise<boolean> {
  return new Promise((done) => {
    execFile('chattr', ['+C', path], { timeout: CHATTR_TIMEOUT_MS }, (error) => {
      done(error === null);
    });
  });
}
