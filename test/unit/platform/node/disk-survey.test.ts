import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, realpath, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createNodeDiskSurvey } from '../../../../src/platform/node/disk-survey.ts';
import { mountOf } from '../../../../src/platform/node/mount-info.ts';

const disks = createNodeDiskSurvey();
const KIB = 1024;

describe('which mount a path is on', () => {
  const MOUNTS = [
    '22 27 0:21 / /proc rw,relatime - proc proc rw',
    '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,nobarrier',
    '31 27 0:31 / /var/lib rw,relatime shared:7 master:1 - btrfs /dev/sda2 rw,compress=zstd:3,subvol=/@',
    '32 27 0:44 / /mnt/with\\040space rw - fuse.sshfs me@host: rw,user_id=0',
    '33 27 0:45 / /mnt/twice rw - ext4 /dev/sdb1 rw',
    '34 27 0:46 / /mnt/twice rw - tmpfs tmpfs rw',
    'nonsense',
    '',
  ].join('\n');

  test.each([
    ['/', 'ext4', '/'],
    ['/opt/me/data', 'ext4', '/'],
    ['/var/lib/cistern/ring', 'btrfs', '/var/lib'],
    ['/var/library', 'ext4', '/'],
    ['/mnt/with space/ring', 'fuse.sshfs', '/mnt/with space'],
    ['/mnt/twice', 'tmpfs', '/mnt/twice'],
  ])('%s: %s', (path, type, mountPoint) => {
    expect(mountOf(path, MOUNTS)).toMatchObject({ type, mountPoint });
  });

  test('with the options of the mount and of the file system behind it', () => {
    expect(mountOf('/x', MOUNTS)?.options).toEqual(['rw', 'relatime', 'rw', 'nobarrier']);
  });

  test('nothing where the system does not tell', () => {
    expect(mountOf('/x', '')).toBeUndefined();
  });
});

describe('this machine', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'cistern-survey-')));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('tells before a start that it could not keep its data there', async () => {
    const file = join(folder, 'a-file');
    await writeFile(file, '');
    await expect(disks.refusalOf(folder)).resolves.toBeUndefined();
    await expect(disks.refusalOf(join(folder, 'not', 'yet'))).resolves.toBeUndefined();
    await expect(disks.refusalOf(file)).resolves.toMatchObject({
      code: 'DATA_UNWRITABLE',
      message: `The data directory ${file} cannot be used: it is a file.`,
    });
    await expect(disks.refusalOf(join(file, 'data'))).resolves.toMatchObject({
      message: `The data directory ${join(file, 'data')} cannot be used: ${file} is a file.`,
    });
    // Not even root may write there.
    await expect(disks.refusalOf('/proc/sys/kernel/random/boot_id')).resolves.toBeDefined();
  });

  test('agrees with df(1) on a directory, and on one that is not there yet', async () => {
    const columns = ['--output=fstype,target', '-B1', folder];
    const [type, mountPoint] = execFileSync('df', columns).toString().split('\n')[1]!.split(/\s+/);
    const there = await disks.fileSystemOf(folder);
    expect(there).toMatchObject({ type, mountPoint });
    expect(there?.freeBytes).toBeGreaterThan(0);
    const later = await disks.fileSystemOf(join(folder, 'not', 'yet'));
    expect(later).toMatchObject({ type, mountPoint });
  });

  test('knows memory by its name', async () => {
    expect(await disks.fileSystemOf('/dev/shm/cistern')).toMatchObject({ type: 'tmpfs' });
  });

  test('tells holes from what is written', async () => {
    const directory = join(folder, 'files');
    await mkdir(directory);
    await writeFile(join(directory, 'whole'), Buffer.alloc(256 * KIB, 1));
    await writeFile(join(directory, 'holes'), '');
    await truncate(join(directory, 'holes'), 256 * KIB);
    for (const name of ['whole', 'holes']) {
      const file = await open(join(directory, name));
      await file.sync();
      await file.close();
    }
    const files = await disks.filesIn(directory);
    const found = new Map(files.map(({ name, ...rest }) => [name, rest]));
    expect(found.get('holes')).toEqual({ sizeBytes: 256 * KIB, allocatedBytes: 0 });
    expect(found.get('whole')?.sizeBytes).toBe(256 * KIB);
    expect(found.get('whole')?.allocatedBytes).toBeGreaterThanOrEqual(256 * KIB);
    expect(await disks.filesIn(join(folder, 'nothing'))).toEqual([]);
  });

  test('cannot stop copy-on-write in a directory that is not there', async () => {
    expect(await disks.stopCopyOnWrite(join(folder, 'nothing'))).toBe(false);
  });
});
