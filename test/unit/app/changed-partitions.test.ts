import { expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';

const withPartitions = (count: number): string =>
  `[[stream]]\nname = "a"\ntopics = ["a/#"]\npartitions = ${count}\n`;

test('another count of partitions begins a new generation; the old one stays until it is empty', async () => {
  let clock = new SimClock();
  let disk = new SimDisk({ clock });
  const checkpoints = new MemoryCheckpoint();
  const seen: unknown[] = [];
  for (const count of [2, 2, 4, 2]) {
    const cistern = new SimCistern({ volume: disk, checkpoints, clock });
    await cistern.start(withPartitions(count));
    const client = await cistern.connected({ clientId: 'c' });
    for (let n = 1; n <= 40; n++) client.publish(`a/${n}`, 'x', { qos: 1, packetId: n });
    await cistern.settle();
    const [stream] = cistern.running?.status().streams ?? [];
    seen.push(stream?.partitions.map(({ id }) => id));
    expect(stream?.partitions.reduce((sum, { tailOffset }) => sum + tailOffset, 0)).toBe(
      40 * seen.length,
    );
    await cistern.stop();
    clock = new SimClock({ startMs: clock.monotonicMs() + 1000 });
    disk.kill(1);
    disk = disk.reboot({ clock });
  }
  const [first, again, more, fewer] = [
    [0, 1],
    [0, 1],
    [0, 1, 3, 4, 5, 6],
    [0, 1, 3, 4, 5, 6, 8, 9],
  ];
  expect(seen).toEqual([first, again, more, fewer]);
});
