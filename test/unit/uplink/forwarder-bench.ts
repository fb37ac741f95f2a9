import { expect } from 'vitest';
import type { CursorStore } from '../../../src/uplink/cursor-store.ts';
import { Forwarder, type ForwarderOptions } from '../../../src/uplink/forwarder.ts';
import type { UplinkStatus } from '../../../src/uplink/types.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { plainTimes } from '../../support/plain-times.ts';
import { SimRandom } from '../../support/sim-random.ts';
import { MemoryReader } from './memory-reader.ts';
import { ScriptedSink } from './scripted-sink.ts';

export const FIRST = 16;
export const SECOND = 17;

export class MemoryCursors implements CursorStore {
  readonly saved = new Map<string, number>();
  saves = 0;

  load(uplink: string, partitionId: number): number | undefined {
    return this.saved.get(`${uplink}/${partitionId}`);
  }

  save(uplink: string, partitionId: number, offset: number): void {
    this.saves += 1;
    this.saved.set(`${uplink}/${partitionId}`, offset);
  }
}

export interface Bench {
  readonly clock: SimClock;
  readonly reader: MemoryReader;
  readonly sink: ScriptedSink;
  readonly cursors: MemoryCursors;
  readonly logger: MemoryLogger;
  make(options?: Partial<ForwarderOptions>): Forwarder;
}

export function bench(
  options: {
    partitions?: number;
    inGenerations?: boolean;
    prefersBatches?: boolean;
    seed?: number;
  } = {},
): Bench {
  const clock = new SimClock();
  const reader = new MemoryReader(
    { telemetry: options.partitions ?? 1 },
    () => clock.wallMs(),
    options.inGenerations,
  );
  const sink = new ScriptedSink(options.prefersBatches);
  const cursors = new MemoryCursors();
  const logger = new MemoryLogger();
  const random = new SimRandom(options.seed ?? 1);
  const make = (overrides: Partial<ForwarderOptions> = {}): Forwarder =>
    new Forwarder({
      name: 'cloud',
      streams: ['telemetry'],
      start: 'earliest',
      batch: { records: 20, bytes: 4096, lingerMs: 50 },
      backoff: { baseMs: 1000, capMs: 8000 },
      stallTimeoutMs: 30_000,
      poisonAttempts: 3,
      sink,
      reader,
      cursors,
      clock,
      times: plainTimes(clock),
      random,
      logger,
      nodeId: 'gw',
      lineage: 'cafe',
      ...overrides,
    });
  return { clock, reader, sink, cursors, logger, make };
}

/** Drives turns until nothing moves any more, without letting time pass. */
export async function settle(clock: SimClock): Promise<void> {
  for (let i = 0; i < 60; i += 1) await clock.settle();
}

export function fill(reader: MemoryReader, count: number, partitionId = FIRST): void {
  for (let i = 0; i < count; i += 1) reader.append(partitionId, `t/${i}`, `payload ${i}`);
}

export function originsOf(count: number, partition = 0, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => `gw/cafe/telemetry/${partition}/${from + i}`);
}

/** The identity that DESIGN section 14 promises for every snapshot. */
export function expectBalanced(status: UplinkStatus): void {
  const { acknowledgedRecords, backlogRecords, lappedRecords, deadLettered, expiredRecords } =
    status;
  expect(
    acknowledgedRecords + backlogRecords + lappedRecords + deadLettered + expiredRecords,
    JSON.stringify(status),
  ).toBe(status.appendedRecords);
  expect(backlogRecords).toBeGreaterThanOrEqual(0);
}

/** Repeats may come late, but nothing comes for the first time after something newer did. */
export function expectFirstArrivalsInOrder(arrived: readonly string[], prefix: string): void {
  const firsts = [...new Set(arrived.filter((origin) => origin.startsWith(prefix)))];
  const offsets = firsts.map((origin) => Number(origin.slice(prefix.length)));
  expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
}
