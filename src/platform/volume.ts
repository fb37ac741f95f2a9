/**
 * The part of a file system that the ring uses, small enough to simulate exactly. One directory,
 * flat names. Errors are {@link CisternError}: DEVICE_FULL (ENOSPC, EDQUOT), DATA_UNWRITABLE (EROFS,
 * EACCES, EPERM) or DEVICE_FAILED (EIO, short transfer, anything else), with the system's error as
 * `cause`.
 *
 * What survives a power cut: bytes whose `sync` or `writeDurable` returned, and names whose
 * `syncDirectory` returned. Anything else may be there, be gone, or be garbage, in units of a
 * 512-byte sector.
 */
export interface Volume {
  /** Names present, in no order. */
  list(): Promise<string[]>;
  /** Creates an empty file; fails if the name is taken. The name is lasting after `syncDirectory`. */
  create(name: string): Promise<VolumeFile>;
  /** Opens an existing file for reading and writing. */
  open(name: string, mode: 'read' | 'write'): Promise<VolumeFile>;
  remove(name: string): Promise<void>;
  /** Replaces `to` if it exists. Atomic; lasting after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  syncDirectory(): Promise<void>;
}

/** Every offset and length is in bytes. At most one write is in flight per file. */
export interface VolumeFile {
  size(): Promise<number>;
  /** Fills `target` from `offset`; returns the bytes read, fewer only at the end of the file. */
  read(offset: number, target: Uint8Array): Promise<number>;
  /** Volatile until `sync` returns. Extends the file where needed. */
  write(offset: number, data: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  /** As `write` then `sync`, in one step (`O_DSYNC`): durable when it returns. */
  writeDurable(offset: number, data: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
