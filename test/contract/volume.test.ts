import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openNodeVolume } from '../../src/platform/node/volume.ts';
import { SimClock } from '../support/sim-clock.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { describeVolume } from './volume-contract.ts';

describeVolume('the simulated disk', async () => ({
  volume: new SimDisk({ seed: 7 }),
  dispose: async () => undefined,
}));

describeVolume('the simulated disk on a simulated clock', async () => {
  const clock = new SimClock();
  let disposed = false;
  const run = async (): Promise<void> => {
    while (!disposed) await clock.advance(1);
  };
  const running = run();
  return {
    volume: new SimDisk({ seed: 7, clock }),
    dispose: async () => {
      disposed = true;
      await running;
    },
  };
});

describeVolume('a folder of the file system', async () => {
  const path = await mkdtemp(join(tmpdir(), 'cistern-volume-'));
  return {
    volume: await openNodeVolume(path),
    dispose: () => rm(path, { recursive: true, force: true }),
  };
});
