import { expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { SimRandom } from '../../support/sim-random.ts';

const STREAMS =
  '[[stream]]\nname = "kept"\ntopics = ["k/#"]\nquota = "64KiB"\nmin_qos = 1\n' +
  '[[stream]]\nname = "rest"\ntopics = ["r/#"]\n';

test('a value that was removed is not retained again by the copy that its stream keeps', async () => {
  const clock = new SimClock();
  const disk = new SimDisk({ clock });
  const cistern = new SimCistern({ volume: disk, checkpoints: new MemoryCheckpoint(), clock });
  await cistern.start(STREAMS);
  const client = await cistern.connected({ clientId: 'c' });
  client.publish('k/removed', 'old', { qos: 1, packetId: 1, retain: true });
  client.publish('k/there', 'still', { qos: 1, packetId: 2, retain: true });
  await cistern.settle();
  // Below the stream's QoS, so it is not in the stream, and is let go with the segment.
  client.publish('k/removed', '', { qos: 0, retain: true });
  const random = new SimRandom(7);
  for (let n = 1; n <= 300; n++) {
    client.publish('r/1', random.bytes(8_000), { qos: 1, packetId: 10 + n });
    if (n % 10 === 0) await cistern.settle();
  }
  await cistern.stop();
  disk.kill(1);
  const later = new SimClock({ startMs: clock.monotonicMs() + 1000 });
  const again = new SimCistern({
    volume: disk.reboot({ clock: later }),
    checkpoints: new MemoryCheckpoint(),
    clock: later,
  });
  await again.start(STREAMS);
  expect(again.running?.status().streams[0]?.partitions[0]).toMatchObject({ headOffset: 0 });
  const reader = await again.connected({ clientId: 'reader' });
  reader.subscribe(1, ['#', 1]);
  await again.settle();
  expect(reader.received.map(({ topic }) => topic)).toEqual(['k/there']);
  await again.stop();
});
