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
