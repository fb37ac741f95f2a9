import { closeSync, constants, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';

const BLOCK_BYTES = 8 * 1024;
const BLOCKS = 512;
const ROUNDS = 2;

/** Latencies of single synced writes of 8 KiB, in place, to a file that is there in full. */
export interface DiskLatency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Writes 8 MiB in `folder`, twice: once to have the blocks, once to measure. */
export function measureDisk(folder: string): DiskLatency {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'disk-latency');
  const { O_CREAT, O_RDWR, O_DSYNC } = constants;
  const descriptor = openSync(file, O_CREAT | O_RDWR | O_DSYNC, 0o600);
  const block = Buffer.alloc(BLOCK_BYTES, 0x5a);
  let latenciesMs: number[] = [];
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      latenciesMs = [];
      for (let i = 0; i < BLOCKS; i += 1) {
        const startMs = performance.now();
        writeSync(descriptor, block, 0, BLOCK_BYTES, i * BLOCK_BYTES);
        latenciesMs.push(performance.now() - startMs);
      }
    }
  } finally {
    closeSync(descriptor);
    rmSync(file);
  }
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number) => latenciesMs[Math.floor(share * (BLOCKS - 1))] ?? Number.NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** One line for the head of a report. */
export function describeMachine({ p50Ms, p99Ms }: DiskLatency): string {
  const model = os.cpus()[0]?.model.trim() ?? 'unknown';
  return [
    `${os.availableParallelism()} cores (${model})`,
    `Linux ${os.release()}`,
    `Node ${process.versions.node}`,
    `a synced write (O_DSYNC) of 8 KiB takes ${p50Ms.toFixed(3)} ms, p99 ${p99Ms.toFixed(3)} ms`,
  ].join('; ');
}
