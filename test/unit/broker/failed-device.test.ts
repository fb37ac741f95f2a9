import { expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';

test('a stop ends although the device takes no writes any more, and acknowledges nothing that is not on it', async () => {
  const clock = new SimClock();
  const disk = new SimDisk({ clock });
  const cistern = new SimCistern({ volume: disk, checkpoints: new MemoryCheckpoint(), clock });
  await cistern.start();
  const client = await cistern.connected({ clientId: 'c', cleanStart: false });
  disk.failAt(disk.operations + 1, 'EIO', true);
  client.publish('t', 'not on flash', { qos: 1, packetId: 1 });
  await cistern.settle(1);
  const stopped = cistern.stop();
  await cistern.settle(100);
  await stopped;
  expect(client.acks).toEqual([]);
});
