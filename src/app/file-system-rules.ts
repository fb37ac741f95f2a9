import type { FileSystemFacts } from '../platform/disk-survey.ts';

/** What is wrong with keeping the ring on a file system. */
export interface FileSystemFinding {
  /** Alarms and log events are named so. */
  readonly code: string;
  /** `copy_on_write` is refused or not by `storage.allow_cow`. */
  readonly verdict: 'refused' | 'warned' | 'copy_on_write';
  /** Goes on behind "The ring would be on <type> (<mount point>), ". */
  readonly because: string;
  readonly remedy: string;
}

interface Rule extends FileSystemFinding {
  readonly types: readonly string[];
}

const LOCAL = 'Keep storage.path on a local ext4 or XFS.';

const RULES: readonly Rule[] = [
  {
    // Whether a flush reaches a medium is up to another machine, and the lock that keeps a second
    // gateway off the data is of this kernel alone.
    types: [
      ...['nfs', 'nfs4', 'cifs', 'smb3', 'smbfs', 'afs', 'ceph', 'glusterfs', 'lustre'],
      ...['fuse.sshfs', 'fuse.glusterfs', 'fuse.ceph', 'fuse.s3fs', 'fuse.rclone', 'fuse.davfs'],
    ],
    verdict: 'refused',
    code: 'storage.network_file_system',
    because:
      'a file system of another machine: it may say that data is on flash when it is not, and a ' +
      'second gateway could write to the same ring',
    remedy: LOCAL,
  },
  {
    types: ['btrfs', 'zfs', 'bcachefs'],
    verdict: 'copy_on_write',
    code: 'storage.copy_on_write',
    because:
      'which copies what is overwritten: each commit wears the flash many times over (on btrfs, a ' +
      'commit of one page wrote 31 pages, and 24 with NOCOW; on ext4 and XFS it is one)',
    remedy: LOCAL,
  },
  {
    types: ['tmpfs', 'ramfs'],
    verdict: 'warned',
    code: 'storage.volatile',
    because: 'which is memory: all that is acknowledged is gone when the power goes',
    remedy: LOCAL,
  },
  {
    types: ['overlay', 'aufs'],
    verdict: 'warned',
    code: 'storage.container_layer',
    because: 'the layer of a container: the data goes when the container is removed',
    remedy: 'Mount a volume or a directory of the host there.',
  },
  {
    types: ['9p', 'virtiofs', 'vboxsf', 'fuse', 'fuseblk', 'fakeowner'],
    verdict: 'warned',
    code: 'storage.flush_unproven',
    because: 'behind which a program or a host decides whether a flush reaches the flash',
    remedy: LOCAL,
  },
  {
    types: ['vfat', 'msdos', 'exfat', 'ext2', 'hfsplus'],
    verdict: 'warned',
    code: 'storage.no_journal',
    because: 'which has no journal: a power cut may damage the file system, the ring with it',
    remedy: LOCAL,
  },
];

/** Mounted so, ext4, btrfs and F2FS (`fsync_mode=nobarrier`) do not tell the device to flush. */
const NO_BARRIER = ['nobarrier', 'barrier=0', 'fsync_mode=nobarrier'];

/** All that is wrong with this file system; nothing for ext4, XFS and those that nobody knows. */
export function findingsOf({ type, options }: FileSystemFacts): readonly FileSystemFinding[] {
  const found: FileSystemFinding[] = RULES.filter(({ types }) => types.includes(type));
  // Of programs behind FUSE there are many: those that are not named are of one kind.
  if (found.length === 0 && type.startsWith('fuse.')) {
    found.push(...RULES.filter(({ types }) => types.includes('fuse')));
  }
  const option = NO_BARRIER.find((each) => options.includes(each));
  if (option !== undefined) {
    found.push({
      verdict: 'warned',
      code: 'storage.no_barrier',
      because: `mounted with ${option}: what is acknowledged may still be gone after a power cut`,
      remedy: `Mount it without ${option}.`,
    });
  }
  return found;
}
