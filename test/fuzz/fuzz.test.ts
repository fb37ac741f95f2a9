import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { runDecoderStorm } from './decoder-storm.ts';
import { keptSeeds } from './kept-seeds.ts';
import { Storm } from './storm.ts';

/** Batches of a few seconds each; `npm run fuzz` goes on from other seeds for as long as it is told. */
const BATCHES = 6;
const STORMS_A_BATCH = 100;
const DECODER_STORMS = 60;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapMb(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

test.each(keptSeeds())('$kind $seed passes, which once found: $found', async ({ kind, seed }) => {
  if (kind === 'storm') await Storm.run(seed);
  else runDecoderStorm(seed);
});

test('the decoder makes the same of broken streams however they are cut', () => {
  for (let seed = 1; seed <= DECODER_STORMS; seed += 1) runDecoderStorm(seed);
});

test.each(Array.from({ length: BATCHES }, (_, batch) => batch))(
  'wild clients neither stop, confuse nor eavesdrop on the broker, batch %i',
  async (batch) => {
    for (let index = 1; index <= STORMS_A_BATCH; index += 1) {
      await Storm.run(batch * STORMS_A_BATCH + index);
    }
  },
  60_000,
);

test('storms leave no memory behind', async () => {
  await Storm.run(1001);
  const before = heapMb();
  for (let seed = 1002; seed < 1008; seed += 1) await Storm.run(seed);
  // One broker with its ring in memory takes several MiB: six that stayed would show.
  expect(heapMb() - before).toBeLessThan(8);
}, 60_000);
