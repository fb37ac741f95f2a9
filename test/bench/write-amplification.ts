/**
 * Device bytes a payload byte, by the device's own counter: Cistern beside LMDB, SQLite and LevelDB,
 * each run on a fresh ext4 of its own (a loop device, so this needs root). See README.md here.
 *
 *   sudo npm run bench:flash [-- --seconds 20] [--stores Cistern,LMDB] [--payloads json] [--batches 1,100]
 */
import { parseArgs } from 'node:util';
import { cisternKind } from './flash/cistern-store.ts';
import { aims, type Measured, ratioOf, ratioTable } from './flash/comparison.ts';
import { databases } from './flash/databases.ts';
import { FILE_SYSTEM, LoopDisk, MOUNT_OPTIONS } from './flash/loop-disk.ts';
import type { StoreKind } from './flash/store.ts';
import { type Message, type PayloadKind, Telemetry } from './flash/telemetry.ts';

const PAYLOADS: readonly PayloadKind[] = ['json', 'senml', 'random'];
const SEED = 1;
/** Enough that LevelDB compacts, SQLite checkpoints and the ring turns where commits are large. */
const MAX_PAYLOAD_BYTES = 96e6;
const WARM_UP_COMMITS = 5;

interface Options {
  readonly stores: readonly StoreKind[];
  readonly payloads: readonly PayloadKind[];
  readonly batches: readonly number[];
  /** A run ends after so long, or after MAX_PAYLOAD_BYTES. */
  readonly seconds: number;
}

async function measure(
  kind: StoreKind,
  payload: PayloadKind,
  batch: number,
  seconds: number,
): Promise<Measured> {
  const disk = new LoopDisk();
  try {
    const store = await kind.open(disk.path);
    const telemetry = new Telemetry(payload, SEED);
    const take = (): Message[] => Array.from({ length: batch }, () => telemetry.next());
    for (let n = 0; n < WARM_UP_COMMITS; n++) await store.commit(take());
    const before = disk.written();
    const commitsBefore = await store.commits?.();
    const startMs = performance.now();
    let payloadBytes = 0;
    let calls = 0;
    while (payloadBytes < MAX_PAYLOAD_BYTES && performance.now() - startMs < 1000 * seconds) {
      const messages = take();
      await store.commit(messages);
      for (const message of messages) payloadBytes += message.payload.length;
      calls++;
    }
    const tookSeconds = (performance.now() - startMs) / 1000;
    const commitsAfter = await store.commits?.();
    // Merges and checkpoints that are still to be done, as far as closing does them, are counted.
    await store.close();
    const after = disk.written();
    return {
      store: kind.name,
      payload,
      batch,
      payloadBytes,
      deviceBytes: after.bytes - before.bytes,
      flushes: after.flushes - before.flushes,
      calls,
      commits:
        commitsAfter === undefined || commitsBefore === undefined
          ? calls
          : commitsAfter - commitsBefore,
      seconds: tookSeconds,
    };
  } finally {
    disk.dispose();
  }
}

function optionsFrom(parameters: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...parameters],
    options: {
      stores: { type: 'string' },
      payloads: { type: 'string', default: PAYLOADS.join(',') },
      batches: { type: 'string', default: '1,10,100,1000' },
      seconds: { type: 'string', default: '20' },
    },
  });
  const kinds = [cisternKind, ...databases];
  const wanted = values.stores?.toLowerCase().split(',');
  return {
    stores: kinds.filter(({ name }) => wanted?.includes(name.toLowerCase()) ?? true),
    payloads: PAYLOADS.filter((kind) => values.payloads.split(',').includes(kind)),
    batches: values.batches.split(',').map(Number),
    seconds: Number(values.seconds),
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function sayRun(run: Measured): void {
  const parts = [
    run.payload.padEnd(6),
    String(run.batch).padStart(5),
    run.store.padEnd(8),
    `${ratioOf(run).toFixed(3).padStart(8)} device B/payload B`,
    `${(run.payloadBytes / 1e6).toFixed(1).padStart(5)} MB of payload in ${run.seconds.toFixed(1)} s`,
    `${(run.commits / run.calls).toFixed(2)} commits a call`,
    `${(run.flushes / run.commits).toFixed(2)} flushes a commit`,
  ];
  say(parts.join('  '));
}

const { stores, payloads, batches, seconds } = optionsFrom(process.argv.slice(2));
say(`${FILE_SYSTEM}, mounted ${MOUNT_OPTIONS}; a run ends after ${seconds} s or 96 MB of payload`);
for (const kind of stores) say(`- ${kind.name}: ${kind.describe()}`);
say('');
const runs: Measured[] = [];
for (const payload of payloads) {
  for (const batch of batches) {
    for (const kind of stores) {
      const run = await measure(kind, payload, batch, seconds);
      runs.push(run);
      sayRun(run);
    }
  }
}
say('');
say(ratioTable(runs));
for (const { text, holds } of aims(runs)) {
  say(`${holds ? 'holds' : 'DOES NOT HOLD'}: ${text}`);
  if (!holds) process.exitCode = 1;
}
