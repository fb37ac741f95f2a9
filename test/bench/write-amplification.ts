/**
 * Device bytes a payload byte: the executable on an ext4 of its own (a loop device), its QoS 1
 * messages in bursts of which each is one commit, counted by the device's own sector counter.
 *
 *   sudo node test/bench/write-amplification.ts      (root, for the loop device)
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { encodePublish } from '../../src/codec/publish-encoder.ts';
import { Cistern } from '../support/executable.ts';
import { BlockImage } from '../system/block-image.ts';
import { Client } from './load/client.ts';

const PAYLOAD_BYTES = 200;
const SECTOR_BYTES = 512;
const TOPIC = Buffer.from('plant/line-3/sensor-17/temperature');
const NO_PROPERTIES = new Uint8Array(0);

type PayloadKind = 'random' | 'json';

interface Measured {
  readonly perCommit: number;
  readonly kind: PayloadKind;
  readonly payloadBytes: number;
  readonly deviceBytes: number;
  readonly flushesPerBurst: number;
}

function payload(kind: PayloadKind, number: number): Uint8Array {
  if (kind === 'random') return randomBytes(PAYLOAD_BYTES);
  const reading = {
    device: 'sensor-17',
    number,
    time: 1_790_000_000_000 + number * 1000,
    temperatureC: Math.round((20 + 5 * Math.sin(number / 50)) * 1000) / 1000,
    humidityPercent: Math.round((55 + 10 * Math.cos(number / 70)) * 100) / 100,
    vibrationMmS: Math.round(Math.abs(Math.sin(number / 3)) * 10_000) / 10_000,
    status: 'ok',
  };
  return Buffer.from(JSON.stringify(reading).padEnd(PAYLOAD_BYTES, ' ').slice(0, PAYLOAD_BYTES));
}

/** Sends `perCommit` messages in one write, waits for all acks, and so on; returns payload bytes. */
async function publishBursts(
  port: number,
  kind: PayloadKind,
  perCommit: number,
  bursts: number,
): Promise<number> {
  const client = await Client.open(port, `burst-${kind}-${perCommit}`, (error) => {
    throw error;
  });
  let number = 0;
  for (let burst = 0; burst < bursts; burst++) {
    const packets: Uint8Array[] = [];
    for (let i = 1; i <= perCommit; i++) {
      const body = payload(kind, number++);
      packets.push(encodePublish(4, TOPIC, 1, false, false, i, NO_PROPERTIES, body).bytes);
    }
    await new Promise<void>((resolve) => {
      let waiting = perCommit;
      client.handler = {
        onAck: () => {
          waiting--;
          if (waiting === 0) resolve();
        },
      };
      client.write(Buffer.concat(packets));
    });
  }
  client.close();
  return number * PAYLOAD_BYTES;
}

/** Everything the device was given to write so far, field 7 of its statistics (kernel: iostats). */
function deviceBytes(device: string, path: string): number {
  execFileSync('sync', ['-f', path]);
  const fields = readFileSync(`/sys/block/${device}/stat`, 'utf8').trim().split(/\s+/);
  return Number(fields[6]) * SECTOR_BYTES;
}

function deviceOf(path: string): string {
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((entry) => entry.split(' ')[1] === path);
  return basename(realpathSync(line?.split(' ')[0] ?? ''));
}

async function flushes(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/status`);
  const status = (await response.json()) as { wear: { flushes: number } };
  return status.wear.flushes;
}

async function measure(image: BlockImage, kind: PayloadKind, perCommit: number): Promise<Measured> {
  const dataDir = join(image.path, `${kind}-${perCommit}`);
  const cistern = await Cistern.start({ dataDir, size: '64MiB' });
  try {
    const bursts = Math.max(20, Math.min(500, Math.ceil(20_000 / perCommit)));
    await publishBursts(cistern.mqttPort, kind, perCommit, 5);
    const device = deviceOf(image.path);
    const [before, flushedBefore] = [
      deviceBytes(device, image.path),
      await flushes(cistern.adminPort),
    ];
    const payloadBytes = await publishBursts(cistern.mqttPort, kind, perCommit, bursts);
    const [after, flushedAfter] = [
      deviceBytes(device, image.path),
      await flushes(cistern.adminPort),
    ];
    return {
      perCommit,
      kind,
      payloadBytes,
      deviceBytes: after - before,
      flushesPerBurst: (flushedAfter - flushedBefore) / bursts,
    };
  } finally {
    await cistern.stop();
    execFileSync('rm', ['-rf', dataDir]);
  }
}

const image = new BlockImage({ imageMiB: 512, hostMiB: 1024 });
try {
  execFileSync('mount', ['-o', 'remount,noatime,commit=60', image.path]);
  process.stdout.write(
    `payload of ${PAYLOAD_BYTES} B; device bytes by the loop device's own counter\n\n`,
  );
  process.stdout.write('payload   messages a commit   device B / payload B   commits a burst\n');
  for (const kind of ['random', 'json'] as const) {
    for (const perCommit of [1, 10, 100, 1000]) {
      const found = await measure(image, kind, perCommit);
      const ratio = (found.deviceBytes / found.payloadBytes).toFixed(3);
      const row = [
        kind.padEnd(9),
        String(perCommit).padStart(17),
        ratio.padStart(22),
        found.flushesPerBurst.toFixed(2).padStart(17),
      ];
      process.stdout.write(`${row.join(' ')}\n`);
    }
  }
} finally {
  image.dispose();
}
