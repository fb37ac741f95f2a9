// npm run fuzz [-- --seconds 600] [--seed N]: storms of seeds from N on, until the time is over or one
// fails. Its seed is printed and kept in kept-seeds.json, which every test run replays.
import { parseArgs } from 'node:util';
import { runDecoderStorm } from './decoder-storm.ts';
import { keepSeed, type KeptSeed } from './kept-seeds.ts';
import { Storm } from './storm.ts';

const REPORT_INTERVAL_MS = 10_000;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
  },
});

async function runOne(kind: KeptSeed['kind'], seed: number): Promise<void> {
  if (kind === 'storm') await Storm.run(seed);
  else runDecoderStorm(seed);
}

async function passes(kind: KeptSeed['kind'], seed: number): Promise<boolean> {
  try {
    await runOne(kind, seed);
    return true;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(message);
    keepSeed({ kind, seed, found: message.split('\n')[0] ?? '' });
    console.error(`\n${kind} seed ${seed} failed; it is kept in test/fuzz/kept-seeds.json`);
    return false;
  }
}

const firstSeed = Number(values.seed);
const endMs = performance.now() + Number(values.seconds) * 1000;
if (!Number.isSafeInteger(firstSeed) || !Number.isFinite(endMs)) {
  console.error('usage: npm run fuzz -- [--seconds SECONDS] [--seed NUMBER]');
  process.exit(2);
}
console.log(`seeds from ${firstSeed} on, for ${values.seconds} s`);
let seed = firstSeed;
let reportMs = performance.now() + REPORT_INTERVAL_MS;
while (performance.now() < endMs) {
  const passed = (await passes('decoder', seed)) && (await passes('storm', seed));
  if (!passed) process.exit(1);
  seed += 1;
  if (performance.now() < reportMs) continue;
  reportMs += REPORT_INTERVAL_MS;
  const heapMb = Math.round(process.memoryUsage().heapUsed / 2 ** 20);
  console.log(`${seed - firstSeed} seeds, heap ${heapMb} MB`);
}
console.log(`${seed - firstSeed} seeds passed`);
// What storms that were killed left behind waits for ever, as a killed process does.
process.exit(0);
