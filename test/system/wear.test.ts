import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Status } from '../../src/admin/status.ts';
import { encodePublish } from '../../src/codec/publish-encoder.ts';
import { Client } from '../bench/load/client.ts';
import { deviceBytes, deviceMountedAt } from '../support/device-counter.ts';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { BlockImage } from './block-image.ts';

const MIB = 2 ** 20;
const TOPIC = Buffer.from('plant/line-3/sensor-17/temperature');
const NONE = new Uint8Array(0);

let broker: Cistern | undefined;
let image: BlockImage | undefined;

afterEach(async () => {
  await broker?.stop();
  broker = undefined;
  image?.dispose();
  image = undefined;
});

async function startOnExt4(
  size: string,
  toml: string,
): Promise<{ cistern: Cistern; path: string }> {
  image = new BlockImage({ imageMiB: 256, hostMiB: 512 });
  // As a gateway's data partition should be: no times of reading, and the journal once a minute.
  execFileSync('mount', ['-o', 'remount,noatime,commit=60', image.path]);
  const dataDir = join(image.path, 'data');
  broker = await startCistern({ dataDir, size, segment: '1MiB', toml });
  return { cistern: broker, path: image.path };
}

/** Sends each message when the one before is acknowledged; returns how long that took, each in ms. */
async function ackTimes(cistern: Cistern, payloads: readonly Uint8Array[]): Promise<number[]> {
  const times: number[] = [];
  const client = await Client.open(cistern.mqttPort, 'writer', (error) => {
    throw error;
  });
  for (const payload of payloads) {
    const sentMs = performance.now();
    await new Promise<void>((resolve) => {
      client.handler = { onAck: () => resolve() };
      client.write(encodePublish(4, TOPIC, 1, false, false, 1, NONE, payload).bytes);
    });
    times.push(performance.now() - sentMs);
  }
  client.close();
  return times;
}

/** One page for each message of 200 bytes. */
async function writePages(cistern: Cistern, byteCount: number): Promise<void> {
  const payload = Buffer.alloc(200, 'reading ');
  await ackTimes(cistern, new Array<Uint8Array>(Math.ceil(byteCount / 4096)).fill(payload));
}

const wearOf = async (cistern: Cistern): Promise<Status['wear']> =>
  (await cistern.status<Status>()).wear;

test('over a lap of the ring, own bytes and the device’s own counter agree within 5 %', async () => {
  const { cistern, path } = await startOnExt4('16MiB', 'anonymous = true');
  await writePages(cistern, MIB);
  const [before, outsideBefore] = [await wearOf(cistern), deviceBytes(path)];
  await writePages(cistern, 18 * MIB);
  const [outsideAfter, after] = [deviceBytes(path), await wearOf(cistern)];

  const own = after.flashBytes - before.flashBytes;
  const outside = outsideAfter - outsideBefore;
  const told = (after.deviceBytes ?? Number.NaN) - (before.deviceBytes ?? Number.NaN);
  console.log(
    `wear: ${own} bytes by our count (${after.checkpointBytes - before.checkpointBytes} of them for ` +
      `checkpoints), ${outside} by the device, over ${after.laps - before.laps} laps`,
  );
  expect(after.laps - before.laps).toBeGreaterThanOrEqual(1);
  expect(own / outside).toBeGreaterThan(0.95);
  expect(own / outside).toBeLessThan(1.05);
  expect(Math.abs(told - outside)).toBeLessThan(0.01 * outside);
  expect(after.device).toMatchObject({ name: deviceMountedAt(path), usedShares: null });
});

test('cistern wear tells it', async () => {
  const { cistern, path } = await startOnExt4('16MiB', 'anonymous = true');
  await writePages(cistern, MIB);
  const admin = ['--admin', `127.0.0.1:${cistern.adminPort}`];
  const text = execFileSync(executablePath(), ['wear', ...admin], { encoding: 'utf8' });
  expect(text).toMatch(/^budget +4 GiB a day$/m);
  expect(text).toMatch(/^in hand +1[67]\d MiB of 171 MiB; a commit waits for nothing$/m);
  expect(text).toContain(`${deviceMountedAt(path)}: `);
  expect(text).toMatch(/^its flash +tells no wear/m);
  const json = execFileSync(executablePath(), ['wear', '--json', ...admin], { encoding: 'utf8' });
  expect(JSON.parse(json)).toMatchObject({ budgetBytesPerDay: 4 * 1024 * MIB, yearsLeft: null });
});

test('a flood leaves a debt: it is an alarm, acks come apart, and kill -9 forgives nothing', async () => {
  // A bucket of 30 MiB; a page comes back in 0.47 s.
  const toml = 'anonymous = true\n[storage.wear]\nbudget = "720MiB/day"\n';
  const { cistern } = await startOnExt4('16MiB', toml);
  await ackTimes(
    cistern,
    Array.from({ length: 400 }, () => randomBytes(100_000)),
  );
  const owed = await wearOf(cistern);
  expect(owed.tokenBytes).toBeLessThan(0);
  expect(owed.commitWindowMs).toBe(500);
  const times = await ackTimes(
    cistern,
    Array.from({ length: 4 }, () => randomBytes(200)),
  );
  // Commits begin 500 ms apart, so acks are, but for how long each flush takes on a busy machine.
  for (const ms of times.slice(1)) {
    expect(ms).toBeGreaterThan(300);
    expect(ms).toBeLessThan(1500);
  }
  await cistern.kill9();
  await cistern.launch();
  const { alarms, wear } = await cistern.status<Status>();
  expect(alarms.map(({ code }) => code)).toContain('wear.budget_exceeded');
  expect(wear.tokenBytes).toBeLessThan(0);
});
