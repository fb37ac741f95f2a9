import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openLmdbCheckpoint } from '../../../src/metadata/lmdb-checkpoint.ts';
import { structureFault } from '../../../src/metadata/lmdb-structure.ts';
import type { CheckpointStore } from '../../../src/metadata/types.ts';
import { openNodeVolume } from '../../../src/platform/node/volume.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimRandom } from '../../support/sim-random.ts';

let folder: string;
let store: CheckpointStore;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cistern-structure-'));
  const volume = await openNodeVolume(folder);
  store = await openLmdbCheckpoint({ path: folder, volume, logger: new MemoryLogger() });
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const content = (): Promise<Buffer> => readFile(join(folder, 'checkpoint.mdb'));

/** Entries of every size, some of which are replaced and deleted again; keys of every length. */
async function commitSome(random: SimRandom, sequence: number, replaceAll = false): Promise<void> {
  const puts = new Map<string, Uint8Array>();
  for (let n = random.below(random.pick([3, 50, 400])); n > 0; n -= 1) {
    const key = `key/${random.below(1500)}`.padEnd(random.chance(0.05) ? 1500 : random.below(80));
    puts.set(key, random.bytes(random.below(random.pick([50, 400, 9000]))));
  }
  const deletes = Array.from({ length: random.below(200) }, () => `key/${random.below(1500)}`);
  const change = { puts, deletes: deletes.filter((key) => !puts.has(key)) };
  await store.commit({ ringId: 'r', sequence, replaceAll, ...change });
}

test('a file that the library has written is sound, after each commit', async () => {
  const random = new SimRandom(1);
  for (let sequence = 1; sequence <= 60; sequence += 1) {
    await commitSome(random, sequence, random.chance(0.05));
    expect(structureFault(await content()), `commit ${sequence}`).toBeUndefined();
  }
});

test('no damage to it ends the process that opens, reads and writes it', async () => {
  const random = new SimRandom(2);
  for (let sequence = 1; sequence <= 15; sequence += 1) await commitSome(random, sequence);
  await store.close();
  const script = join(import.meta.dirname, 'open-damaged-checkpoints.ts');
  const workFolder = await mkdtemp(join(folder, 'damaged-'));
  const range = process.env['CISTERN_SEEDS'] ?? '1-60';
  const args = [script, join(folder, 'checkpoint.mdb'), workFolder, ...range.split('-')];
  const { failure, output } = await new Promise<{ failure: unknown; output: string }>((resolve) => {
    execFile(process.execPath, args, (error, stdout, stderr) =>
      resolve({ failure: error, output: `${stdout}${stderr}` }),
    );
  });
  expect(failure, output.split('\n').slice(-4).join('\n')).toBeNull();
  // Some damage hits what nobody needs; most of it has to be noticed.
  expect(Number(/set aside: (\d+)/.exec(output)?.[1])).toBeGreaterThan(20);
});
