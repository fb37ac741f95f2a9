import type { SecretSource } from '../config/secret.ts';
import type { CheckpointStore } from '../metadata/types.ts';
import type { BlockDevice } from '../platform/block-device.ts';
import type { Clock } from '../platform/clock.ts';
import type { ClockEvidence } from '../platform/clock-evidence.ts';
import type { Compressor, Crc32 } from '../platform/compression.ts';
import type { DiskSurvey } from '../platform/disk-survey.ts';
import type { Http } from '../platform/http.ts';
import type { Logger } from '../platform/logger.ts';
import type { MemoryUse } from '../platform/memory.ts';
import type { Network } from '../platform/network.ts';
import type { PasswordHashing } from '../platform/password-hashing.ts';
import type { Random } from '../platform/random.ts';
import type { ReadTokenKeys } from '../platform/token-keys.ts';
import type { Volume } from '../platform/volume.ts';
import type { MakeSink } from '../uplink/uplinks.ts';

/**
 * The whole outside world of a broker. The real one is made by `createNodeEnvironment`; a simulation
 * hands in its own, and the same broker runs on it.
 */
export interface Environment {
  readonly version: string;
  readonly clock: Clock;
  /** Whether the wall clock can be believed. */
  readonly clockEvidence: ClockEvidence;
  readonly random: Random;
  readonly network: Network;
  readonly http: Http;
  readonly logger: Logger;
  readonly crc32: Crc32;
  readonly compressor: Compressor;
  readonly memory: MemoryUse;
  readonly disks: DiskSurvey;
  /** Takes the data directory for this process, making it if need be; the result lets it go. */
  lockData(path: string): Promise<{ release(): Promise<void> }>;
  /** The directory `name` in the data directory, made if need be. */
  openVolume(dataPath: string, name: string): Promise<Volume>;
  openCheckpoints(dataPath: string, volume: Volume): Promise<CheckpointStore>;
  /** What the data directory is on; undefined where that is not to be seen. It is there already. */
  findDevice(dataPath: string): BlockDevice | undefined;
  /** Identifies this installation of the system (machine-id(5)); undefined where there is none. */
  machineId(): Promise<string | undefined>;
  /**
   * The inode of a directory: another one where it is a copy, and the same after `mv` within a file
   * system. Means nothing where the file system numbers its files anew at each mount.
   */
  directoryId(path: string): Promise<string>;
  /** Where secrets are kept outside the configuration. */
  readonly secrets: SecretSource;
  /** Where uplinks lead. */
  readonly makeSink: MakeSink;
  readonly passwordHashing: PasswordHashing;
  readonly readTokenKeys: ReadTokenKeys;
  /** Text that differs once one of the files was written, replaced or removed. */
  stampFiles(paths: readonly string[]): Promise<string>;
  /** Told while a new ring is filled. */
  onProgress(doneBytes: number, totalBytes: number): void;
}
