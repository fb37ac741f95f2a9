import { expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';

/** Publishes `topics` under the first configuration, then starts with the second: what is warned of. */
async function warningsAfter(before: string, topics: readonly string[], after: string) {
  const clock = new SimClock();
  const disk = new SimDisk({ clock });
  const checkpoints = new MemoryCheckpoint();
  const first = new SimCistern({ volume: disk, checkpoints, clock });
  await first.start(before);
  const client = await first.connected({ clientId: 'c' });
  topics.forEach((topic, index) => client.publish(topic, 'x', { qos: 1, packetId: index + 1 }));
  await first.settle();
  await first.stop();
  disk.kill(1);
  const later = new SimClock({ startMs: clock.monotonicMs() + 1000 });
  const second = new SimCistern({
    volume: disk.reboot({ clock: later }),
    checkpoints: checkpoints.crash(),
    clock: later,
  });
  await second.start(after);
  await second.stop();
  return second.logger.entries
    .filter(({ event, level }) => event === 'stream.not_configured' && level === 'warn')
    .map(({ fields: { stream, records } }) => ({ stream, records }));
}

const stream = (name: string, partitions = 1): string =>
  `[[stream]]\nname = "${name}"\ntopics = ["${name}/#"]\npartitions = ${partitions}\n`;

test('a start names each stream that is not configured any more, and what it holds', async () => {
  const topics = ['a/1', 'a/2', 'a/3', 'b/1', 'c/1'];
  const before = stream('a', 2) + stream('b') + stream('c') + stream('empty');
  expect(await warningsAfter(before, topics, stream('b'))).toEqual([
    { stream: 'a', records: 3 },
    { stream: 'c', records: 1 },
  ]);
});

test('and none that is', async () => {
  expect(await warningsAfter(stream('a', 2), ['a/1'], stream('b') + stream('a'))).toEqual([]);
});
