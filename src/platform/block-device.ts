/** What a device tells of itself. Undefined: it does not, or it cannot be read. */
export interface DeviceReadings {
  /** Since the machine started, for whatever wrote to it; up by what a write takes, in sectors. */
  readonly writtenBytes: number | undefined;
  readonly flashHealth: FlashHealth | undefined;
  /** Since the file system was made, as it counts itself (ext4). */
  readonly fileSystemWrittenBytes: number | undefined;
}

/** What an eMMC of 5.0 or later says of its wear (JEDEC JESD84-B50, EXT_CSD 267 to 269). */
export interface FlashHealth {
  /**
   * Of the life of each kind of its flash, at most this part is used, in steps of a tenth; above 1:
   * more than it was made for. Kinds that it does not tell are left out; never empty.
   */
  readonly usedShares: readonly number[];
  /** How many of its reserved blocks are used up; undefined where it does not tell. */
  readonly preEndOfLife: 'normal' | 'warning' | 'urgent' | undefined;
}

/** The block device that the files of a directory are on. */
export interface BlockDevice {
  /** As the kernel names it, such as `mmcblk0p2`. */
  readonly name: string;
  /** The whole disk below it, such as `mmcblk0`: below partitions, encryption and volume managers. */
  readonly disk: string;
  /** Read anew at each call, from the kernel's memory: fast, and without I/O to the device. */
  read(): DeviceReadings;
}
