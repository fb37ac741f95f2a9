/**
 * What the wear budget does to a trickle: the executable on an ext4 of its own (a loop device), a few
 * messages a second of 200 B, each awaited by a client of its own; first with tokens at hand, then
 * with the bucket drained to where a steady load leaves it.
 *
 *   sudo node test/bench/wear-budget.ts [--seconds 120] [--budget 1GiB/day] [--rates 1,10,50]
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Status } from '../../src/admin/status.ts';
import { encodePublish } from '../../src/codec/publish-encoder.ts';
import { deviceBytes } from '../support/device-counter.ts';
import { Cistern } from '../support/executable.ts';
import { BlockImage } from '../system/block-image.ts';
import { Client } from './load/client.ts';

const PAYLOAD_BYTES = 200;
const LARGE_PAYLOAD_BYTES = 400_000;
const DAY_S = 86_400;
const TOPIC = Buffer.from('plant/line-3/sensor-17/temperature');
const NO_PROPERTIES = new Uint8Array(0);

interface Measured {
  readonly messages: number;
  readonly ownBytes: number;
  readonly deviceBytes: number;
  readonly budgetBytes: number;
  readonly windowMs: number;
  /** Rising. */
  readonly ackMs: readonly number[];
}

function open(port: number, clientId: string): Promise<Client> {
  return Client.open(port, clientId, (error) => {
    throw error;
  });
}

function publish(client: Client, payload: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    client.handler = { onAck: () => resolve() };
    client.write(encodePublish(4, TOPIC, 1, false, false, 1, NO_PROPERTIES, payload).bytes);
  });
}

const wearOf = async (cistern: Cistern): Promise<Status['wear']> =>
  (await cistern.status<Status>()).wear;

/** One message a second from each of `rate` clients, at a moment of its own. */
async function trickle(cistern: Cistern, rate: number, seconds: number): Promise<number[]> {
  const ackMs: number[] = [];
  const sendAll = async (index: number): Promise<void> => {
    const client = await open(cistern.mqttPort, `sensor-${index}`);
    const startMs = performance.now() + (1000 * index) / rate;
    for (let second = 0; second < seconds; second++) {
      const dueMs = startMs + 1000 * second;
      await sleep(Math.max(0, dueMs - performance.now()));
      const sentMs = performance.now();
      await publish(client, randomBytes(PAYLOAD_BYTES));
      ackMs.push(performance.now() - sentMs);
    }
    client.close();
  };
  await Promise.all(Array.from({ length: rate }, (_, index) => sendAll(index)));
  return ackMs.sort((a, b) => a - b);
}

async function measure(
  cistern: Cistern,
  path: string,
  rate: number,
  seconds: number,
): Promise<Measured> {
  const [before, deviceBefore] = [await wearOf(cistern), deviceBytes(path)];
  const startMs = performance.now();
  const ackMs = await trickle(cistern, rate, seconds);
  const tookS = (performance.now() - startMs) / 1000;
  const [deviceAfter, after] = [deviceBytes(path), await wearOf(cistern)];
  return {
    messages: ackMs.length,
    ownBytes: after.flashBytes - before.flashBytes,
    deviceBytes: deviceAfter - deviceBefore,
    budgetBytes: (after.budgetBytesPerDay * tookS) / DAY_S,
    windowMs: after.commitWindowMs,
    ackMs,
  };
}

/** Large messages, which nothing holds back, until an eighth of the bucket is left. */
async function drain(cistern: Cistern): Promise<void> {
  const client = await open(cistern.mqttPort, 'flood');
  for (;;) {
    const { bucketBytes, tokenBytes } = await wearOf(cistern);
    const excess = tokenBytes - bucketBytes / 8;
    if (excess <= 0) break;
    await publish(client, randomBytes(Math.min(LARGE_PAYLOAD_BYTES, Math.max(4096, excess))));
  }
  client.close();
}

function formatRow(rate: number, phase: string, measured: Measured): string {
  const { ackMs, budgetBytes, messages, ownBytes, windowMs } = measured;
  const at = (share: number): string => (ackMs[Math.floor(ackMs.length * share)] ?? 0).toFixed(1);
  const kib = (bytes: number): string => (bytes / 1024).toFixed(0);
  const cells = [
    `${rate}/s`,
    phase,
    messages,
    kib(ownBytes),
    kib(measured.deviceBytes),
    kib(budgetBytes),
    windowMs,
    at(0.5),
    at(0.99),
    at(0.9999),
  ];
  return `| ${cells.join(' | ')} |`;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    budget: { type: 'string', default: '1GiB/day' },
    rates: { type: 'string', default: '1,10,50' },
  },
});
const seconds = Number(values.seconds);
const image = new BlockImage({ imageMiB: 512, hostMiB: 1024 });
try {
  execFileSync('mount', ['-o', 'remount,noatime,commit=60', image.path]);
  process.stdout.write(
    `budget ${values.budget}, ${seconds} s each; ext4 on a loop device, commit=60; KiB; ms\n\n` +
      '| rate | bucket | messages | own | device | budget of that time | window | ack p50 | p99 | max |\n' +
      '|---|---|---|---|---|---|---|---|---|---|\n',
  );
  for (const rate of values.rates.split(',').map(Number)) {
    const dataDir = join(image.path, `rate-${rate}`);
    const toml = `anonymous = true\n[storage.wear]\nbudget = "${values.budget}"\n`;
    const cistern = await Cistern.start({ dataDir, size: '64MiB', toml });
    try {
      const full = await measure(cistern, image.path, rate, seconds);
      process.stdout.write(`${formatRow(rate, 'full', full)}\n`);
      await drain(cistern);
      const drained = await measure(cistern, image.path, rate, seconds);
      process.stdout.write(`${formatRow(rate, 'drained', drained)}\n`);
    } finally {
      await cistern.stop();
      execFileSync('rm', ['-rf', dataDir]);
    }
  }
} finally {
  image.dispose();
}
