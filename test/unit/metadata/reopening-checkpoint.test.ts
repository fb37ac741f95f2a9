import { expect, test } from 'vitest';
import { CisternError } from '../../../src/base/errors.ts';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { ReopeningCheckpoint } from '../../../src/metadata/reopening-checkpoint.ts';
import type { CheckpointChange } from '../../../src/metadata/types.ts';

/** A device, and the file on it as each opening finds it. */
class Device {
  fails = false;
  file = this.#fresh();

  #fresh(): MemoryCheckpoint {
    return new MemoryCheckpoint(async () => {
      if (this.fails) throw new CisternError('DEVICE_FAILED', 'no');
    });
  }

  loseFile(): void {
    this.file = this.#fresh();
  }

  /** As after a crash: what was flushed, under a handle that is of use again. */
  readonly open = async (): Promise<MemoryCheckpoint> => {
    if (this.fails) throw new CisternError('DEVICE_FAILED', 'cannot open');
    this.file = this.file.crash();
    return this.file;
  };
}

function change(sequence: number, key: string, replaceAll = false): CheckpointChange {
  const puts: [string, Uint8Array][] = [[key, new Uint8Array(1)]];
  return { ringId: 'r', sequence, replaceAll, puts, deletes: [] };
}

test('after a commit that failed it is opened again, as soon as the device lets it be', async () => {
  const device = new Device();
  const store = await ReopeningCheckpoint.open(device.open);
  await store.commit(change(1, 'a'));
  device.fails = true;
  for (let n = 0; n < 3; n++) {
    await expect(store.commit(change(2, 'b'))).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
  }
  device.fails = false;
  await store.commit(change(2, 'b'));
  const keys = [...(store.load()?.entries ?? [])].map(([key]) => key);
  expect(keys).toEqual(['a', 'b']);
});

test('where it was lost with that write, a commit that does not hold everything is refused', async () => {
  const device = new Device();
  const store = await ReopeningCheckpoint.open(device.open);
  await store.commit(change(1, 'a'));
  device.fails = true;
  await expect(store.commit(change(2, 'b'))).rejects.toThrow('no');
  device.loseFile();
  device.fails = false;
  await expect(store.commit(change(2, 'b'))).rejects.toThrow('was lost');
  expect(store.isEmpty).toBe(true);
  await store.commit(change(2, 'all', true));
  expect(store.isEmpty).toBe(false);
  expect(store.load()?.sequence).toBe(2);
});
