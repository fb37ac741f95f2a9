import { expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import type { FileSystemFacts } from '../../../src/platform/disk-survey.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';

function cisternOn(facts: Partial<FileSystemFacts>) {
  const clock = new SimClock();
  const disk = new SimDisk({ clock });
  const cistern = new SimCistern({ volume: disk, checkpoints: new MemoryCheckpoint(), clock });
  cistern.fileSystem = { ...cistern.fileSystem, ...facts };
  return { cistern, disk };
}

const codes = (cistern: SimCistern): string[] | undefined =>
  cistern.running?.status().alarms.map(({ code }) => code);

test.each([
  [{ type: 'nfs4' }, 'DATA_UNSUITABLE'],
  [{ type: 'btrfs' }, 'DATA_UNSUITABLE'],
  [{ freeBytes: 2 ** 20 }, 'DEVICE_FULL'],
])('a place with %j stops the start before anything is made', async (facts, code) => {
  const { cistern, disk } = cisternOn(facts);
  const toml = '[storage]\npath = "/data"\nsize = "1MiB"\nsegment = "64KiB"\n';
  await expect(cistern.start(toml)).rejects.toMatchObject({ code });
  expect(await cistern.clock.runUntil(disk.list())).toEqual([]);
});

test('what is doubtful about the place is logged with its remedy, and an alarm for as long as it runs', async () => {
  const { cistern } = cisternOn({ type: 'tmpfs' });
  await cistern.start();
  const logged = cistern.logger.atLeast('warn').filter(({ event }) => event === 'storage.volatile');
  expect(logged).toMatchObject([{ fields: { remedy: expect.stringMatching(/^Keep /) } }]);
  await cistern.settle(60_000);
  expect(codes(cistern)).toEqual(['storage.volatile']);
  await cistern.stop();
  const { cistern: sound } = cisternOn({ type: 'ext4' });
  await sound.start();
  expect(codes(sound)).toEqual([]);
  await sound.stop();
});
