import type { CisternError } from '../base/errors.ts';

/** The file system that a directory is on. */
export interface FileSystemFacts {
  /** As the kernel names it, such as `ext4`, `tmpfs` or `fuse.sshfs`. */
  readonly type: string;
  readonly mountPoint: string;
  /** Of the mount and of the file system behind it, as in `/proc/self/mountinfo`. */
  readonly options: readonly string[];
  /** What a user who is not root may still write. */
  readonly freeBytes: number;
}

export interface FileFacts {
  readonly name: string;
  readonly sizeBytes: number;
  /** What it takes on the medium: less than its size where it has holes. */
  readonly allocatedBytes: number;
}

/** What can be known of a place before anything is written there. */
export interface DiskSurvey {
  /**
   * Of `path`, or where that is not there yet of the nearest directory above it. Undefined where the
   * system does not tell.
   */
  fileSystemOf(path: string): Promise<FileSystemFacts | undefined>;
  /**
   * Why this user cannot keep data in the directory, made if need be; undefined where nothing speaks
   * against it. Nothing is tried, so the device may still refuse.
   */
  refusalOf(directory: string): Promise<CisternError | undefined>;
  /** The files in a directory; none where there is no such directory, or it may not be read. */
  filesIn(path: string): Promise<readonly FileFacts[]>;
  /**
   * Has the files that are made in the directory from now on overwritten in place (the attribute
   * `C` of chattr(1)); false where the file system, or this system, does not offer that.
   */
  stopCopyOnWrite(path: string): Promise<boolean>;
}
