import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLmdbCheckpoint } from '../../src/metadata/lmdb-checkpoint.ts';
import { MemoryCheckpoint } from '../../src/metadata/memory-checkpoint.ts';
import { ReopeningCheckpoint } from '../../src/metadata/reopening-checkpoint.ts';
import type { CheckpointStore } from '../../src/metadata/types.ts';
import { CisternError } from '../../src/base/errors.ts';
import type { Volume } from '../../src/platform/volume.ts';
import { openNodeVolume } from '../../src/platform/node/volume.ts';
import { MemoryLogger } from '../support/memory-logger.ts';
import { describeCheckpointStore } from './checkpoint-store-contract.ts';

async function openIn(path: string): Promise<CheckpointStore> {
  const volume = await openNodeVolume(path);
  return openLmdbCheckpoint({ path, volume, logger: new MemoryLogger() });
}

describeCheckpointStore('LMDB', async () => {
  const path = await mkdtemp(join(tmpdir(), 'cistern-checkpoint-'));
  return { open: () => openIn(path), remove: () => rm(path, { recursive: true }) };
});

describeCheckpointStore('LMDB, opened again where a commit failed', async () => {
  const path = await mkdtemp(join(tmpdir(), 'cistern-checkpoint-'));
  const open = () => ReopeningCheckpoint.open(() => openIn(path));
  return { open, remove: () => rm(path, { recursive: true }) };
});

describeCheckpointStore('memory', async () => {
  let store = new MemoryCheckpoint();
  let opened = false;
  return {
    async open() {
      if (opened) store = store.crash();
      opened = true;
      return store;
    },
    async remove() {},
  };
});

describe('a damaged LMDB checkpoint', () => {
  const put = { ringId: 'r1', sequence: 5, replaceAll: false, deletes: [] };
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'cistern-damaged-'));
    const store = await openIn(path);
    await store.commit({ ...put, puts: [['a', new Uint8Array(50_000).fill(0x61)]] });
    await store.close();
  });
  afterEach(() => rm(path, { recursive: true }));

  async function expectFresh(reason: RegExp): Promise<void> {
    const store = await openIn(path);
    expect(store.setAside).toMatch(reason);
    expect(store.load()).toBeUndefined();
    await store.commit({ ...put, puts: [['b', new Uint8Array(1)]] });
    await store.close();
    const again = await openIn(path);
    expect(again.setAside).toBeUndefined();
    expect([...(again.load()?.entries ?? [])]).toHaveLength(1);
    await again.close();
  }

  it('is set aside when the last start died while reading it', async () => {
    await writeFile(join(path, 'checkpoint.mdb-opening'), '');
    await expectFresh(/last start/);
    expect(await readdir(path)).toContain('checkpoint.mdb.damaged-1');
  });

  it('is set aside when it is not an LMDB file', async () => {
    await writeFile(join(path, 'checkpoint.mdb'), Buffer.alloc(100_000, 0x5a));
    await expectFresh(/could not be read/);
  });

  it('is set aside when it was cut off, before anything touches what is missing', async () => {
    await truncate(join(path, 'checkpoint.mdb'), 40_000);
    await expectFresh(/cut off/);
  });

  it('is set aside when one bit of a value is another, which LMDB does not notice', async () => {
    const file = join(path, 'checkpoint.mdb');
    const bytes = await readFile(file);
    const inValue = bytes.indexOf('a'.repeat(1000)) + 500;
    bytes[inValue] = 0x60;
    await writeFile(file, bytes);
    await expectFresh(/not what was written/);
  });

  it('is set aside when the device refuses to read a page of it', async () => {
    const volume = await openNodeVolume(path);
    const refusing: Volume = {
      list: () => volume.list(),
      create: (name) => volume.create(name),
      remove: (name) => volume.remove(name),
      rename: (from, to) => volume.rename(from, to),
      syncDirectory: () => volume.syncDirectory(),
      async open(name, mode) {
        const file = await volume.open(name, mode);
        file.read = () => Promise.reject(new CisternError('DEVICE_FAILED', 'EIO'));
        return file;
      },
    };
    const logger = new MemoryLogger();
    const store = await openLmdbCheckpoint({ path, volume: refusing, logger });
    expect(store.setAside).toContain('EIO');
    expect(store.load()).toBeUndefined();
    await store.close();
  });

  it('is replaced when it is an empty file', async () => {
    await truncate(join(path, 'checkpoint.mdb'), 0);
    const store = await openIn(path);
    expect(store.load()).toBeUndefined();
    await store.close();
  });

  it('keeps no more than two damaged files', async () => {
    for (let i = 0; i < 4; i += 1) {
      await writeFile(join(path, 'checkpoint.mdb-opening'), '');
      const store = await openIn(path);
      await store.close();
    }
    const names = (await readdir(path)).filter((name) => name.includes('damaged'));
    expect(names.toSorted()).toEqual(['checkpoint.mdb.damaged-3', 'checkpoint.mdb.damaged-4']);
  });

  it('leaves no marker after a good start', async () => {
    await (await openIn(path)).close();
    expect(await readdir(path)).not.toContain('checkpoint.mdb-opening');
  });
});

describe('the memory twin', () => {
  it('loses at a crash what its flush had not taken', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const store = new MemoryCheckpoint(() => promise);
    const committed = store.commit({
      ringId: 'r1',
      sequence: 1,
      replaceAll: false,
      puts: [['a', new Uint8Array(1)]],
      deletes: [],
    });
    const found = store.crash();
    resolve();
    await expect(committed).rejects.toMatchObject({ code: 'CLOSED' });
    expect(found.load()).toBeUndefined();
  });
});
