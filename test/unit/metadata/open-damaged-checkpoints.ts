/**
 * A process of its own, because what it looks for would end it with a signal: damages a checkpoint
 * in one way for each seed, opens it, reads all of it, writes to it, closes it.
 *
 * Arguments: a sound checkpoint file, a directory to work in, the first seed, and the one after the last.
 * Prints each seed before its turn, and at the end how many of the files were set aside.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openLmdbCheckpoint } from '../../../src/metadata/lmdb-checkpoint.ts';
import { openNodeVolume } from '../../../src/platform/node/volume.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimRandom } from '../../support/sim-random.ts';

const PAGE_BYTES = 4096;
const [source = '', folder = '', from = '', to = ''] = process.argv.slice(2);
const sound = readFileSync(source);

function damaged(seed: number): Buffer {
  const random = new SimRandom(seed);
  const bytes = Buffer.from(sound);
  const pages = bytes.length / PAGE_BYTES;
  for (let times = 1 + random.below(3); times > 0; times -= 1) {
    // The first two pages lead to all others, so they have more than their share.
    const at = PAGE_BYTES * (random.chance(0.25) ? random.below(2) : random.below(pages));
    const from = PAGE_BYTES * random.below(pages);
    const flipped = at + random.below(random.pick([64, 160, PAGE_BYTES]));
    random.pick([
      () => bytes.set(random.bytes(PAGE_BYTES), at),
      () => bytes.fill(0, at, at + PAGE_BYTES),
      () => bytes.set(random.bytes(512), at + 512 * random.below(8)),
      () => sound.copy(bytes, at, from, from + PAGE_BYTES),
      () => bytes.writeUInt8((bytes[flipped] as number) ^ (1 << random.below(8)), flipped),
      () => bytes.writeUInt8(random.below(256), flipped),
    ])();
  }
  return bytes;
}

async function openAndUse(path: string): Promise<boolean> {
  const volume = await openNodeVolume(path);
  const store = await openLmdbCheckpoint({ path, volume, logger: new MemoryLogger() });
  const keys = [...(store.load()?.entries ?? [])].map(([key]) => key);
  if (keys.includes('')) throw new Error('a key was read that nobody has written');
  const puts = new Map<string, Uint8Array>();
  for (let n = 0; n < 80; n += 1) puts.set(`new/${n}`, new Uint8Array(n % 9 === 0 ? 9000 : 300));
  for (const replaceAll of [false, false, true]) {
    await store.commit({ ringId: 'r', sequence: 1000, replaceAll, puts, deletes: ['key/1100'] });
  }
  await store.close();
  return store.setAside !== undefined;
}

let setAside = 0;
for (let seed = Number(from); seed < Number(to); seed += 1) {
  writeSync(1, `${seed}\n`);
  const path = join(folder, 'damaged');
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path);
  writeFileSync(join(path, 'checkpoint.mdb'), damaged(seed));
  if (await openAndUse(path)) setAside += 1;
}
writeSync(1, `set aside: ${setAside}\n`);
