// npm run sim [-- --seed N] [--hours H] [--seeds COUNT]: simulated days of seeds from N on. The first
// that fails is named, and replayed by the same command; keep it in day.test.ts.
import { parseArgs } from 'node:util';
import { Day } from './day.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    seeds: { type: 'string', default: '1' },
    hours: { type: 'string', default: '24' },
  },
});
const [first, count, hours] = [values.seed, values.seeds, values.hours].map(Number);
if (
  first === undefined ||
  count === undefined ||
  hours === undefined ||
  !(first + count + hours >= 0)
) {
  console.error('usage: npm run sim -- [--seed NUMBER] [--seeds COUNT] [--hours HOURS]');
  process.exit(2);
}
for (let seed = first; seed < first + count; seed += 1) {
  const startMs = performance.now();
  try {
    const report = await Day.run(seed, hours);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`seed ${seed}: ${hours} h in ${seconds} s; ${JSON.stringify(report)}`);
  } catch (error) {
    console.error(error);
    console.error(`replay: npm run sim -- --seed ${seed} --hours ${hours}`);
    process.exit(1);
  }
}
// What was killed waits for ever, as a killed process does.
process.exit(0);
