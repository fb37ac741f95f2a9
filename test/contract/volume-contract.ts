import { afterEach, describe, expect, test } from 'vitest';
import { CisternError, type ErrorCode } from '../../src/base/errors.ts';
import type { Volume } from '../../src/platform/volume.ts';

export interface VolumeUnderTest {
  readonly volume: Volume;
  dispose(): Promise<void>;
}

const PAGE_BYTES = 4096;

/** What every implementation of `Volume` promises while the power is on. */
export function describeVolume(name: string, make: () => Promise<VolumeUnderTest>): void {
  describe(`a volume: ${name}`, () => {
    const made: VolumeUnderTest[] = [];
    const emptyVolume = async (): Promise<Volume> => {
      const subject = await make();
      made.push(subject);
      return subject.volume;
    };
    afterEach(async () => {
      for (const subject of made.splice(0)) await subject.dispose();
    });

    describeDirectory(emptyVolume);
    describeFiles(emptyVolume);
    describeHandles(emptyVolume);
  });
}

function describeDirectory(emptyVolume: () => Promise<Volume>): void {
  test('an empty directory lists nothing', async () => {
    const volume = await emptyVolume();
    expect(await volume.list()).toEqual([]);
  });

  test('a created file is listed and empty', async () => {
    const volume = await emptyVolume();
    const file = await volume.create('slot-0000');
    expect(await file.size()).toBe(0);
    await file.close();
    await volume.syncDirectory();
    expect(await volume.list()).toEqual(['slot-0000']);
  });

  test('a name is created only once', async () => {
    const volume = await emptyVolume();
    const file = await volume.create('slot-0000');
    await file.write(0, bytes(8, 1));
    await file.close();
    await expectFailure(volume.create('slot-0000'), 'DEVICE_FAILED');
    expect((await contents(volume, 'slot-0000')).length).toBe(8);
  });

  test('a file that does not exist cannot be opened, renamed or removed', async () => {
    const volume = await emptyVolume();
    await expectFailure(volume.open('none', 'read'), 'DEVICE_FAILED');
    await expectFailure(volume.open('none', 'write'), 'DEVICE_FAILED');
    await expectFailure(volume.rename('none', 'other'), 'DEVICE_FAILED');
    await expectFailure(volume.remove('none'), 'DEVICE_FAILED');
    expect(await volume.list()).toEqual([]);
  });

  test('rename replaces the file that had the name', async () => {
    const volume = await emptyVolume();
    await store(volume, 'old', bytes(10, 1));
    await store(volume, 'new', bytes(20, 2));
    await volume.rename('new', 'old');
    await volume.syncDirectory();
    expect(await volume.list()).toEqual(['old']);
    expect(await contents(volume, 'old')).toEqual(bytes(20, 2));
  });

  test('a removed name can be created again and is empty', async () => {
    const volume = await emptyVolume();
    await store(volume, 'slot-0000', bytes(10, 1));
    await volume.remove('slot-0000');
    expect(await volume.list()).toEqual([]);
    await (await volume.create('slot-0000')).close();
    expect(await contents(volume, 'slot-0000')).toEqual(new Uint8Array(0));
  });
}

function describeFiles(emptyVolume: () => Promise<Volume>): void {
  for (const how of ['write', 'writeDurable'] as const) {
    test(`${how}: what was written is read back, by this handle and by others`, async () => {
      const volume = await emptyVolume();
      const writer = await volume.create('file');
      await writer[how](0, bytes(3 * PAGE_BYTES, 1));
      await writer[how](PAGE_BYTES, bytes(PAGE_BYTES, 9));
      const expected = bytes(3 * PAGE_BYTES, 1);
      expected.set(bytes(PAGE_BYTES, 9), PAGE_BYTES);
      const reader = await volume.open('file', 'read');
      for (const handle of [writer, reader]) {
        const target = new Uint8Array(3 * PAGE_BYTES);
        expect(await handle.read(0, target)).toBe(target.length);
        expect(target).toEqual(expected);
      }
      await writer.close();
      await reader.close();
    });

    test(`${how}: parts of a page leave the rest of it as it was`, async () => {
      const volume = await emptyVolume();
      const file = await volume.create('file');
      await file[how](0, bytes(PAGE_BYTES, 1));
      await file[how](700, bytes(1000, 5));
      await file.close();
      const expected = bytes(PAGE_BYTES, 1);
      expected.set(bytes(1000, 5), 700);
      expect(await contents(volume, 'file')).toEqual(expected);
    });

    test(`${how}: beyond the end extends the file, and the gap reads as zeros`, async () => {
      const volume = await emptyVolume();
      const file = await volume.create('file');
      await file[how](10_000, bytes(100, 3));
      expect(await file.size()).toBe(10_100);
      const gap = new Uint8Array(10_000).fill(7);
      expect(await file.read(0, gap)).toBe(10_000);
      expect(gap).toEqual(new Uint8Array(10_000));
      await file.close();
    });

    test(`${how}: 1 MiB in one call arrives whole`, async () => {
      const volume = await emptyVolume();
      const file = await volume.create('file');
      await file[how](0, bytes(2 ** 20, 4));
      await file.sync();
      await file.close();
      expect(Buffer.compare(await contents(volume, 'file'), bytes(2 ** 20, 4))).toBe(0);
    });
  }

  test('a read at the end of the file is short, and beyond it empty', async () => {
    const volume = await emptyVolume();
    await store(volume, 'file', bytes(1000, 1));
    const file = await volume.open('file', 'read');
    const target = new Uint8Array(600).fill(0xee);
    expect(await file.read(800, target)).toBe(200);
    expect(target.subarray(0, 200)).toEqual(bytes(1000, 1).subarray(800));
    expect(await file.read(1000, target)).toBe(0);
    expect(await file.read(5000, target)).toBe(0);
    await file.close();
  });

  test('a view into a larger buffer is written and filled without touching its neighbours', async () => {
    const volume = await emptyVolume();
    const file = await volume.create('file');
    const buffer = bytes(3000, 1);
    await file.writeDurable(0, buffer.subarray(1000, 2000));
    const target = new Uint8Array(3000).fill(0xee);
    expect(await file.read(0, target.subarray(500, 1500))).toBe(1000);
    expect(target.subarray(500, 1500)).toEqual(buffer.subarray(1000, 2000));
    expect(target[499]).toBe(0xee);
    expect(target[1500]).toBe(0xee);
    await file.close();
  });

  test('calls on several files at once do not disturb each other', async () => {
    const volume = await emptyVolume();
    const names = ['a', 'b', 'c', 'd'];
    await Promise.all(
      names.map(async (name, index) => {
        const file = await volume.create(name);
        for (let page = 0; page < 8; page += 1) {
          await file.writeDurable(page * PAGE_BYTES, bytes(PAGE_BYTES, index * 8 + page));
        }
        await file.close();
      }),
    );
    for (const [index, name] of names.entries()) {
      const found = await contents(volume, name);
      for (let page = 0; page < 8; page += 1) {
        expect(found.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)).toEqual(
          bytes(PAGE_BYTES, index * 8 + page),
        );
      }
    }
  });
}

function describeHandles(emptyVolume: () => Promise<Volume>): void {
  test('a handle for reading refuses to write, and the file stays as it was', async () => {
    const volume = await emptyVolume();
    await store(volume, 'file', bytes(100, 1));
    const file = await volume.open('file', 'read');
    await expectAnyFailure(file.write(0, bytes(100, 2)));
    await expectAnyFailure(file.writeDurable(0, bytes(100, 2)));
    await file.close();
    expect(await contents(volume, 'file')).toEqual(bytes(100, 1));
  });

  test('a closed handle refuses everything', async () => {
    const volume = await emptyVolume();
    const file = await volume.create('file');
    await file.close();
    await expectAnyFailure(file.write(0, bytes(10, 1)));
    await expectAnyFailure(file.writeDurable(0, bytes(10, 1)));
    await expectAnyFailure(file.read(0, new Uint8Array(10)));
    await expectAnyFailure(file.sync());
  });

  test('a file whose name was replaced can still be read through its open handle', async () => {
    const volume = await emptyVolume();
    await store(volume, 'file', bytes(100, 1));
    await store(volume, 'other', bytes(100, 2));
    const file = await volume.open('file', 'read');
    await volume.rename('other', 'file');
    const target = new Uint8Array(100);
    expect(await file.read(0, target)).toBe(100);
    expect(target).toEqual(bytes(100, 1));
    await file.close();
  });

  test('a handle follows its file when the name changes', async () => {
    const volume = await emptyVolume();
    const file = await volume.create('before');
    await volume.rename('before', 'after');
    await file.writeDurable(0, bytes(100, 1));
    await file.close();
    expect(await volume.list()).toEqual(['after']);
    expect(await contents(volume, 'after')).toEqual(bytes(100, 1));
  });
}

/** Bytes that differ from position to position and from seed to seed. */
function bytes(length: number, seed: number): Uint8Array {
  const result = new Uint8Array(length);
  for (let index = 0; index < length; index += 1) result[index] = (index * 31 + seed * 97) ^ seed;
  return result;
}

async function store(volume: Volume, name: string, data: Uint8Array): Promise<void> {
  const file = await volume.create(name);
  await file.write(0, data);
  await file.sync();
  await file.close();
}

async function contents(volume: Volume, name: string): Promise<Uint8Array> {
  const file = await volume.open(name, 'read');
  const data = new Uint8Array(await file.size());
  expect(await file.read(0, data)).toBe(data.length);
  await file.close();
  return data;
}

async function expectFailure(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CisternError);
  expect((error as CisternError).code).toBe(code);
}

async function expectAnyFailure(promise: Promise<unknown>): Promise<void> {
  await expect(promise).rejects.toBeInstanceOf(CisternError);
}
