import { describe, expect, test } from 'vitest';
import { describePlace, examinePlace } from '../../../src/app/data-place.ts';
import { STORAGE_DEFAULTS } from '../../../src/config/defaults.ts';
import type { StorageConfig } from '../../../src/config/types.ts';
import type { DiskSurvey, FileFacts, FileSystemFacts } from '../../../src/platform/disk-survey.ts';

const MIB = 2 ** 20;
const ROOMY = 2 ** 40;

/** A ring of 64 MiB in the place that a configuration names. */
const NAMED: StorageConfig = { ...STORAGE_DEFAULTS, path: '/var/lib/cistern', sizeBytes: 64 * MIB };

function world(
  facts: Partial<FileSystemFacts>,
  ring: readonly FileFacts[] = [],
  state: readonly FileFacts[] = [],
): DiskSurvey {
  const ext4 = { type: 'ext4', mountPoint: '/var', options: [], freeBytes: ROOMY };
  return {
    fileSystemOf: async () => ({ ...ext4, ...facts }),
    refusalOf: async () => undefined,
    filesIn: async (path) => (path.endsWith('/ring') ? ring : state),
    stopCopyOnWrite: async () => true,
  };
}

function slots(count: number, sizeBytes = 4 * MIB, allocatedBytes = sizeBytes): FileFacts[] {
  return Array.from({ length: count }, (_, slot) => ({
    name: `slot-${String(slot).padStart(4, '0')}`,
    sizeBytes,
    allocatedBytes,
  }));
}

describe('file systems by name', () => {
  test.each(['ext4', 'xfs', 'f2fs', 'ext3', 'unheard-of'])('%s is fine', async (type) => {
    const { refusal, warnings } = await examinePlace(NAMED, world({ type }));
    expect([refusal, warnings]).toEqual([undefined, []]);
  });

  test.each(['nfs', 'nfs4', 'cifs', 'smb3', 'fuse.sshfs'])('%s is refused', async (type) => {
    const { refusal } = await examinePlace({ ...NAMED, allowCow: true }, world({ type }));
    expect(refusal?.code).toBe('DATA_UNSUITABLE');
    expect(refusal?.message).toContain(`on ${type} (/var), a file system of another machine`);
    expect(refusal?.remedy).toContain('local');
  });

  test.each([
    ['tmpfs', 'storage.volatile'],
    ['ramfs', 'storage.volatile'],
    ['overlay', 'storage.container_layer'],
    ['9p', 'storage.flush_unproven'],
    ['fuse.grpcfuse', 'storage.flush_unproven'],
    ['vfat', 'storage.no_journal'],
    ['exfat', 'storage.no_journal'],
    ['ext2', 'storage.no_journal'],
  ])('%s is allowed with a warning, %s', async (type, code) => {
    const { refusal, warnings } = await examinePlace(NAMED, world({ type }));
    expect([refusal, warnings.map((each) => each.code)]).toEqual([undefined, [code]]);
    expect(warnings[0]?.message).toContain(`The ring is on ${type} (/var), `);
  });

  test.each([
    ['ext4', 'nobarrier'],
    ['f2fs', 'fsync_mode=nobarrier'],
  ])('%s mounted with %s is allowed with a warning', async (type, option) => {
    const place = await examinePlace(NAMED, world({ type, options: ['rw', option] }));
    expect(place.refusal).toBeUndefined();
    expect(place.warnings).toMatchObject([{ code: 'storage.no_barrier' }]);
    expect(place.warnings[0]?.message).toContain(option);
  });

  test.each(['btrfs', 'zfs', 'bcachefs'])(
    '%s is refused where it is configured, unless allow_cow is; a trial run goes on',
    async (type) => {
      const { refusal } = await examinePlace(NAMED, world({ type }));
      expect(refusal).toMatchObject({ code: 'DATA_UNSUITABLE' });
      expect(refusal?.remedy).toContain('allow_cow = true');
      for (const storage of [{ ...NAMED, allowCow: true }, STORAGE_DEFAULTS]) {
        const place = await examinePlace(storage, world({ type }));
        expect(place).toMatchObject({ refusal: undefined, copiesOnWrite: true });
        expect(place.warnings).toMatchObject([{ code: 'storage.copy_on_write' }]);
      }
    },
  );

  test('where the system does not tell, nothing is refused', async () => {
    const disks = { ...world({}), fileSystemOf: async () => undefined };
    expect(await examinePlace(NAMED, disks)).toMatchObject({ refusal: undefined, warnings: [] });
  });
});

describe('room', () => {
  const refusalWith = async (freeBytes: number, ring?: FileFacts[], state?: FileFacts[]) =>
    (await examinePlace(NAMED, world({ freeBytes }, ring, state))).refusal;

  test('a ring that does not fit is refused with both numbers and a size that would', async () => {
    const refusal = await refusalWith(50 * MIB);
    expect(refusal?.code).toBe('DEVICE_FULL');
    expect(refusal?.message).toBe(
      "The ring of 64 MiB does not fit: it needs 64 MiB, and 16 MiB for the broker's state, and " +
        '/var has 50 MiB free.',
    );
    expect(refusal?.remedy).toBe('Make room there, or choose another storage.path.');
    const nearly = await refusalWith(80 * MIB - 1);
    expect(nearly?.remedy).toMatch(/^Make room there/);
    expect(await refusalWith(80 * MIB)).toBeUndefined();
  });

  test('the size that the remedy names is accepted, and no larger one', async () => {
    const sizeBytes = 1024 * MIB;
    for (const freeBytes of [300 * MIB, 900 * MIB]) {
      const disks = world({ freeBytes });
      const { refusal } = await examinePlace({ ...NAMED, sizeBytes }, disks);
      const most = Number(/storage\.size to "(\d+)MiB"/.exec(refusal?.remedy ?? '')?.[1]) * MIB;
      const fits = async (bytes: number) =>
        (await examinePlace({ ...NAMED, sizeBytes: bytes }, disks)).refusal === undefined;
      expect([most > 0, await fits(most), await fits(most + 4 * MIB)]).toEqual([true, true, false]);
    }
  });

  test('what the ring has already is not asked for again, holes are', async () => {
    expect(await refusalWith(48 * MIB, slots(8))).toBeUndefined();
    expect((await refusalWith(48 * MIB - 1, slots(8)))?.message).toContain('another 32 MiB');
    const lastCutShort = [...slots(7), { ...slots(8)[7]!, sizeBytes: MIB, allocatedBytes: MIB }];
    expect(await refusalWith(51 * MIB, lastCutShort)).toBeUndefined();
    expect((await refusalWith(51 * MIB - 1, lastCutShort))?.message).toContain('another 35 MiB');
    expect(await refusalWith(79 * MIB, slots(8, 4 * MIB, 0))).toMatchObject({
      code: 'DEVICE_FULL',
    });
  });

  test("what the broker's state takes already is not asked for again", async () => {
    const state = [{ name: 'data.mdb', sizeBytes: 12 * MIB, allocatedBytes: 12 * MIB }];
    expect(await refusalWith(68 * MIB, [], state)).toBeUndefined();
    expect(await refusalWith(68 * MIB - 1, [], state)).toBeDefined();
  });

  test('a ring that is made starts on a full disk; where it has holes, that is said', async () => {
    expect(await refusalWith(0, slots(16))).toBeUndefined();
    const { refusal, warnings } = await examinePlace(
      NAMED,
      world({ freeBytes: MIB }, slots(16, 4 * MIB, 0)),
    );
    expect([refusal, warnings.map(({ code }) => code)]).toEqual([undefined, ['storage.holes']]);
    expect(warnings[0]?.message).toContain('64 MiB must still be given');
  });
});

describe('what the next start does with the files', () => {
  const said = async (ring: readonly FileFacts[]) =>
    describePlace(await examinePlace(NAMED, world({ freeBytes: 256 * MIB }, ring)), NAMED);

  test.each([
    [0, 'the next start makes the ring, 64 MiB'],
    [16, 'the ring is there, 64 MiB'],
    [12, 'there are 48 MiB of a ring; the next start makes it 64 MiB'],
    [24, 'the ring has 96 MiB; the next start shrinks it to 64 MiB'],
  ])('with %s slots: %s', async (count, text) => {
    expect(await said(slots(count))).toContain(
      `/var/lib/cistern/ring, on ext4 (/var) with 256 MiB free: ${text}`,
    );
  });

  test('segments of another size are refused, those of a making that was cut short are not', async () => {
    for (const size of [MIB, 8 * MIB]) {
      const { refusal } = await examinePlace(NAMED, world({}, slots(16, size)));
      expect(refusal).toMatchObject({ code: 'CONFIG_INVALID' });
      expect(refusal?.remedy).toContain(`Set storage.segment to "${size / MIB}MiB"`);
    }
    const cutShort = [...slots(3), { ...slots(4)[3]!, sizeBytes: MIB }];
    expect((await examinePlace(NAMED, world({}, cutShort))).refusal).toBeUndefined();
  });
});
