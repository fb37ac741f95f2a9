import { expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';

/** Starts and stops on the data of the gateway before, in a directory of this inode. */
function lives(type = 'ext4') {
  const clock = new SimClock();
  const volume = new SimDisk({ clock });
  const checkpoints = new MemoryCheckpoint();
  let seed = 0;
  return async (directoryId: string) => {
    const gateway = new SimCistern({ volume, checkpoints, clock, seed: ++seed });
    gateway.directoryId = directoryId;
    gateway.fileSystem = { ...gateway.fileSystem, type };
    await gateway.start();
    const node = gateway.running?.status().node;
    await gateway.stop();
    const told = gateway.logger.entries.filter(({ event }) => event === 'identity.new_lineage');
    return { lineage: node?.lineage, id: node?.id, told: told.map(({ fields }) => fields) };
  };
}

test('a copy of the data directory draws a new lineage once, and says why', async () => {
  const live = lives();
  const made = await live('1');
  expect(await live('1')).toEqual({ ...made, told: [] });
  const copy = await live('2');
  expect(copy.id).toBe(made.id);
  expect(copy.lineage).not.toBe(made.lineage);
  expect(copy.told).toMatchObject([{ reason: 'the data directory is a copy' }]);
  expect(await live('2')).toEqual({ ...copy, told: [] });
});

test('where inodes change by themselves they say nothing', async () => {
  const live = lives('9p');
  const made = await live('1');
  expect(await live('2')).toEqual({ ...made, told: [] });
});
