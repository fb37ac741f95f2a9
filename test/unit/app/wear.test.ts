import { expect, test } from 'vitest';
import type { Status } from '../../../src/admin/status.ts';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import type { DeviceReadings } from '../../../src/platform/block-device.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { SimRandom } from '../../support/sim-random.ts';

const MIB = 2 ** 20;
const DAY_S = 86_400;
const SMALL = 'wear.budget = "1GiB/day"';
/** Its bucket is 2 MiB deep. */
const TINY = 'max_commit_window = "30s"\nwear.budget = "50MiB/day"';
/** Fills a page, so that it is never held back. */
const PAYLOAD_BYTES = 3800;

async function start(storage: string, device?: Partial<DeviceReadings>): Promise<SimCistern> {
  const clock = new SimClock();
  const disk = new SimDisk({ clock });
  const cistern = new SimCistern({ volume: disk, checkpoints: new MemoryCheckpoint(), clock });
  const told = {
    writtenBytes: undefined,
    flashHealth: undefined,
    fileSystemWrittenBytes: undefined,
  };
  cistern.device = {
    name: 'mmcblk0p2',
    disk: 'mmcblk0',
    read: () => ({ ...told, writtenBytes: disk.bytesWritten, ...device }),
  };
  await cistern.start(`[storage]\nsize = "1MiB"\nsegment = "64KiB"\n${storage}\n`);
  return cistern;
}

function statusOf(cistern: SimCistern): Status {
  if (cistern.running === undefined) throw new Error('it does not run');
  return cistern.running.status();
}

/** Of random bytes, which no compression makes smaller. */
async function publish(cistern: SimCistern, byteCount: number): Promise<void> {
  const client = await cistern.connected({ clientId: 'c' });
  const random = new SimRandom(1);
  for (let sent = 0; sent < byteCount; sent += PAYLOAD_BYTES) {
    const packetId = 1 + ((sent / PAYLOAD_BYTES) % 1000);
    client.publish('a', Buffer.from(random.bytes(PAYLOAD_BYTES)), { qos: 1, packetId });
    await cistern.settle(10);
  }
}

test('the status tells what the budget has in hand, and what is written', async () => {
  const cistern = await start(SMALL);
  await publish(cistern, 400_000);
  await cistern.clock.advance(120_000);
  const { wear } = statusOf(cistern);
  expect(wear.budgetBytesPerDay).toBe(1024 * MIB);
  expect(wear.bucketBytes).toBe(Math.round((1024 * MIB) / 24));
  expect(wear).toMatchObject({ commitWindowMs: 0, yearsLeft: null });
  expect(wear.deviceBytes).toBeGreaterThan(400_000);
  // The device counts from when the start was over; nothing else wrote to it, but for checkpoints.
  const own = wear.flashBytes - wear.checkpointBytes;
  expect(Math.abs(own - (wear.deviceBytes ?? 0))).toBeLessThan(0.05 * own);
  expect(wear.checkpointBytes).toBeGreaterThan(0);
  expect(wear.laps).toBeGreaterThan(0.3);
  const seconds = statusOf(cistern).node.uptimeSeconds;
  expect(wear.bytesPerDay).toBeGreaterThan((0.9 * wear.flashBytes * DAY_S) / seconds);
  expect(wear.bytesPerDay).toBeLessThan((1.1 * wear.flashBytes * DAY_S) / seconds);
});

test('checkpoints are paid for too', async () => {
  const cistern = await start(TINY);
  await publish(cistern, 400_000);
  const before = statusOf(cistern).wear;
  const startMs = cistern.clock.monotonicMs();
  await cistern.clock.advance(70_000);
  const { wear } = statusOf(cistern);
  expect(wear.checkpointBytes).toBeGreaterThan(before.checkpointBytes);
  const refilled = ((cistern.clock.monotonicMs() - startMs) * 50 * MIB) / (DAY_S * 1000);
  const spent = wear.flashBytes - before.flashBytes;
  expect(Math.abs(wear.tokenBytes - (before.tokenBytes + refilled - spent))).toBeLessThan(2);
});

test('writing more than the budget is an alarm, loses nothing, and passes', async () => {
  const cistern = await start(TINY);
  const { bucketBytes } = statusOf(cistern).wear;
  await publish(cistern, bucketBytes);
  const codes = (): string[] => statusOf(cistern).alarms.map(({ code }) => code);
  expect(codes()).toEqual(['wear.budget_exceeded']);
  const { wear, streams } = statusOf(cistern);
  expect(wear.tokenBytes).toBeLessThan(0);
  expect(wear.commitWindowMs).toBeGreaterThan(10_000);
  const [partition] = streams[0]?.partitions ?? [];
  expect(partition?.durableOffset).toBe(Math.ceil(bucketBytes / PAYLOAD_BYTES));
  await cistern.clock.advance(3_600_000);
  expect(codes()).toEqual([]);
});

test('years are told by a configured endurance, less what the ring has taken', async () => {
  const cistern = await start('wear = { endurance = "1TB", lifetime = "1y" }');
  await publish(cistern, 400_000);
  await cistern.clock.advance(60_000);
  const { wear } = statusOf(cistern);
  const days = 1e12 / (wear.bytesPerDay ?? 0);
  expect(wear.yearsLeft).toBeCloseTo(days / 365.25, 1);
});

test('else by the wear of an eMMC and what its file system was given', async () => {
  const cistern = await start('', {
    flashHealth: { usedShares: [0.1, 0.2], preEndOfLife: 'normal' },
    fileSystemWrittenBytes: 1e12,
  });
  await publish(cistern, 400_000);
  await cistern.clock.advance(60_000);
  const { wear } = statusOf(cistern);
  expect(wear.device).toMatchObject({ usedShares: [0.1, 0.2], preEndOfLife: 'normal' });
  // A fifth of it took 1 TB, so there are 4 TB left.
  expect(wear.yearsLeft).toBeCloseTo(4e12 / (wear.bytesPerDay ?? 0) / 365.25, 1);
});
