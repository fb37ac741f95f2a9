import { expect, test } from 'vitest';
import { lossesOfNextStart } from '../../../src/app/next-start.ts';
import { planRing } from '../../../src/app/ring-plan.ts';
import { parseSize } from '../../../src/config/units.ts';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { nodeCompressor, nodeCrc32 } from '../../../src/platform/node/compression.ts';
import { readContents } from '../../../src/ring/contents.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { load } from '../config/load-toml.ts';

const KIB = 1024;
const storage = (size: string): string => `[storage]\nsize = "${size}"\nsegment = "64KiB"\n`;
const stream = (name: string): string => `[[stream]]\nname = "${name}"\ntopics = ["${name}/#"]\n`;

/** A data directory after a run that has published to these topics, 6 KiB each. */
async function dataAfter(toml: string, topics: readonly string[]) {
  const clock = new SimClock();
  const disk = new SimDisk({ clock });
  const checkpoints = new MemoryCheckpoint();
  const gateway = new SimCistern({ volume: disk, checkpoints, clock });
  await gateway.start(toml);
  const client = await gateway.connected({ clientId: 'c' });
  const payload = (index: number): string => noise(6 * KIB, index + 1);
  for (const [index, topic] of topics.entries()) {
    client.publish(topic, payload(index), { qos: 1, packetId: index + 1 });
    await gateway.settle();
  }
  await gateway.stop();
  disk.kill(1);
  const later = new SimClock({ startMs: clock.monotonicMs() + 1000 });
  return { disk: disk.reboot({ clock: later }), checkpoints: checkpoints.crash(), clock: later };
}

/** What does not compress. */
function noise(length: number, seed: number): string {
  let state = seed;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return String.fromCharCode(33 + (state >>> 24) / 3);
  }).join('');
}

/** What `cistern check` would say with this configuration. */
async function lossesWith(
  toml: string,
  { disk, clock }: { readonly disk: SimDisk; readonly clock: SimClock },
  foundSlots: number,
) {
  const { config } = await load(toml);
  const reading = readContents({
    volume: disk,
    segmentSizeBytes: config.storage.segmentSizeBytes,
    crc32: nodeCrc32,
    compressor: nodeCompressor,
    logger: new MemoryLogger(),
  });
  let isDone = false;
  void reading.finally(() => {
    isDone = true;
  });
  while (!isDone) await clock.advance(1);
  const contents = await reading;
  if (contents === undefined) throw new Error('no ring was found');
  const files = Array.from({ length: foundSlots }, (_, slot) => ({
    name: `slot-${String(slot).padStart(4, '0')}`,
    sizeBytes: 64 * KIB,
    allocatedBytes: 64 * KIB,
  }));
  return lossesOfNextStart(config, planRing(files, config.storage), contents);
}

test('a stream that is renamed is named with what it holds, before the start, and nothing is changed', async () => {
  const data = await dataAfter(storage('1MiB') + stream('a') + stream('b'), ['a/1', 'a/2']);
  expect(await lossesWith(storage('1MiB') + stream('c') + stream('b'), data, 16)).toMatchObject([
    {
      code: 'stream.not_configured',
      message:
        'The ring holds 2 records of the stream "a", which is not configured: no uplink sends ' +
        'that, and rotation takes it.',
    },
  ]);
  expect(await lossesWith(storage('1MiB') + stream('a'), data, 16)).toEqual([]);
});

test('a smaller ring: what does not fit is told, and the start lets go no more than that', async () => {
  const topics = Array.from({ length: 230 }, (_, index) => `a/${index}`);
  const data = await dataAfter(storage('2MiB') + stream('a'), topics);
  expect(await lossesWith(storage('2MiB') + stream('a'), data, 32)).toEqual([]);
  const losses = await lossesWith(storage('1MiB') + stream('a'), data, 32);
  const told = /^Of (.*) in the ring, about (.*) do not fit 1 MiB: the oldest/.exec(
    losses[0]?.message ?? '',
  );
  expect(losses).toMatchObject([{ code: 'storage.shrinks' }]);
  expect(losses[0]?.remedy).toContain('storage.size at "2MiB"');
  const toldBytes = parseSize(told?.[2] ?? '') ?? 0;
  expect(toldBytes).toBeGreaterThan(500 * KIB);

  const gateway = new SimCistern({ volume: data.disk, ...data });
  await gateway.start(storage('1MiB') + stream('a'));
  await gateway.settle(2_000);
  const [shrunk] = gateway.logger.entries.filter(({ event }) => event === 'ring.shrunk');
  const { bytesLetGo } = shrunk?.fields ?? {};
  expect(bytesLetGo).toBeLessThanOrEqual(1.01 * toldBytes);
  expect(bytesLetGo).toBeGreaterThan(toldBytes - 3 * 64 * KIB);
  await gateway.stop();
});
