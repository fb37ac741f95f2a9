import type { DeviceStatus, WearStatus } from '../admin/status.ts';
import type { Config } from '../config/types.ts';
import type { BlockDevice, DeviceReadings } from '../platform/block-device.ts';
import type { RingStatistics } from '../ring/types.ts';
import type { Storage } from './storage.ts';

const DAYS_A_YEAR = 365.25;

export interface WearParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly device: BlockDevice | undefined;
}

/** What the flash has been given and how long it may last. */
export class WearReport {
  readonly #parts: WearParts;
  readonly #deviceBytesBefore: number | undefined;

  constructor(parts: WearParts) {
    this.#parts = parts;
    this.#deviceBytesBefore = parts.device?.read().writtenBytes;
  }

  status(statistics: RingStatistics): WearStatus {
    const { config, device, storage } = this.#parts;
    const { payloadBytes, wear } = statistics;
    const checkpointBytes = storage.checkpoints.writtenBytes;
    const flashBytes = statistics.flashBytes + checkpointBytes;
    const readings = device?.read();
    const bytesPerDay = wear?.bytesPerDay;
    const writtenEver = statistics.epoch * config.storage.segmentSizeBytes;
    return {
      payloadBytes,
      flashBytes,
      carriedBytes: statistics.carriedBytes,
      checkpointBytes,
      deviceBytes: this.#deviceBytes(readings),
      flushes: statistics.flushes,
      amplification: payloadBytes === 0 ? 0 : round2(flashBytes / payloadBytes),
      budgetBytesPerDay: config.storage.wear.budgetBytesPerDay,
      bytesPerDay: bytesPerDay === undefined ? null : Math.round(bytesPerDay),
      tokenBytes: Math.round(wear?.tokens ?? 0),
      bucketBytes: Math.round(wear?.bucketBytes ?? 0),
      commitWindowMs: Math.round(wear?.commitWindowMs ?? 0),
      laps: round2(writtenEver / statistics.sizeBytes),
      yearsLeft: yearsLeft({
        bytesLeft: bytesLeft(config.storage.wear.enduranceBytes, writtenEver, readings),
        bytesPerDay,
      }),
      device: device === undefined ? null : deviceStatus(device, readings),
    };
  }

  #deviceBytes(readings: DeviceReadings | undefined): number | null {
    const before = this.#deviceBytesBefore;
    const now = readings?.writtenBytes;
    // Less than before: it was taken out and put in again, and counts anew.
    return before === undefined || now === undefined || now < before ? null : now - before;
  }
}

/**
 * Of the endurance that was configured, less what the ring has taken of it; else, of an eMMC, what
 * the used part of its life cost this file system so far, which tells what the rest may. It says so
 * in tenths, of which the upper end is believed.
 */
function bytesLeft(
  enduranceBytes: number | undefined,
  writtenEver: number,
  readings: DeviceReadings | undefined,
): number | undefined {
  if (enduranceBytes !== undefined) return Math.max(0, enduranceBytes - writtenEver);
  const written = readings?.fileSystemWrittenBytes;
  const health = readings?.flashHealth;
  if (written === undefined || health === undefined) return undefined;
  const used = Math.min(1, Math.max(...health.usedShares));
  return (written * (1 - used)) / used;
}

function yearsLeft(options: {
  readonly bytesLeft: number | undefined;
  readonly bytesPerDay: number | undefined;
}): number | null {
  const { bytesLeft: left, bytesPerDay } = options;
  if (left === undefined || bytesPerDay === undefined || bytesPerDay === 0) return null;
  return round2(left / bytesPerDay / DAYS_A_YEAR);
}

function deviceStatus({ name, disk }: BlockDevice, readings?: DeviceReadings): DeviceStatus {
  const health = readings?.flashHealth;
  return {
    name,
    disk,
    writtenBytes: readings?.writtenBytes ?? null,
    usedShares: health?.usedShares ?? null,
    preEndOfLife: health?.preEndOfLife ?? null,
  };
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
