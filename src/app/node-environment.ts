import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CisternError } from '../base/errors.ts';
import { openLmdbCheckpoint } from '../metadata/lmdb-checkpoint.ts';
import { ReopeningCheckpoint } from '../metadata/reopening-checkpoint.ts';
import type { Logger } from '../platform/logger.ts';
import { findBlockDevice } from '../platform/node/block-device.ts';
import { createNodeClock } from '../platform/node/clock.ts';
import { createNodeClockEvidence } from '../platform/node/clock-evidence.ts';
import { createNodeCompressor, nodeCrc32 } from '../platform/node/compression.ts';
import { createNodeDiskSurvey } from '../platform/node/disk-survey.ts';
import { createNodeHttp } from '../platform/node/http.ts';
import { acquireDataLock } from '../platform/node/lock.ts';
import { stampFiles } from '../platform/node/file-stamp.ts';
import { nodeMemory } from '../platform/node/memory.ts';
import { createNodeNetwork } from '../platform/node/network.ts';
import { createNodePasswordHashing } from '../platform/node/password-hashing.ts';
import { createNodeRandom } from '../platform/node/random.ts';
import { readTokenKeys } from '../platform/node/token-keys.ts';
import { openNodeVolume } from '../platform/node/volume.ts';
import { makeSink } from '../uplink/uplinks.ts';
import type { Environment } from './environment.ts';

/** The machine this process runs on. */
export function createNodeEnvironment(options: {
  readonly version: string;
  readonly logger: Logger;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}): Environment {
  const { version, logger, onProgress } = options;
  return {
    version,
    logger,
    onProgress,
    clock: createNodeClock(),
    clockEvidence: createNodeClockEvidence(),
    random: createNodeRandom(),
    network: createNodeNetwork(),
    http: createNodeHttp(),
    crc32: nodeCrc32,
    compressor: createNodeCompressor(),
    memory: nodeMemory,
    disks: createNodeDiskSurvey(),
    lockData: acquireDataLock,
    async openVolume(dataPath, name) {
      const path = join(dataPath, name);
      try {
        await mkdir(path, { recursive: true, mode: 0o750 });
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new CisternError('DATA_UNWRITABLE', `${path} cannot be made: ${reason}`, { cause });
      }
      return openNodeVolume(path);
    },
    openCheckpoints: (dataPath, volume) =>
      ReopeningCheckpoint.open(() =>
        openLmdbCheckpoint({ path: join(dataPath, 'state'), volume, logger }),
      ),
    findDevice: (dataPath) => findBlockDevice(dataPath),
    async machineId() {
      try {
        return (await readFile('/etc/machine-id', 'utf8')).trim() || undefined;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async directoryId(path) {
      const { ino } = await stat(path, { bigint: true });
      return String(ino);
    },
    secrets: {
      readText: (path) => readFile(path, 'utf8'),
      env: process.env,
    },
    makeSink,
    passwordHashing: createNodePasswordHashing(),
    readTokenKeys,
    stampFiles,
  };
}
