// npm run build [-- --if-stale]: makes build/out/cistern, one executable for this machine's processor.
// --if-stale does nothing where the sources are those the file was made from.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { bundle } from './lib/bundle.ts';
import { hashInputs } from './lib/input-hash.ts';
import { makeExecutable } from './lib/single-executable.ts';
import { root } from './lib/step.ts';
import { targetFor } from './lib/target.ts';

const { values } = parseArgs({
  options: {
    'if-stale': { type: 'boolean', default: false },
    // Another program than the broker, to try the route itself.
    entry: { type: 'string', default: 'src/main.ts' },
    output: { type: 'string', default: 'build/out/cistern' },
  },
});

const output = `${root}/${values.output}`;
const stampPath = `${output}.inputs`;
const inputs = await hashInputs(values.entry);
const isFresh =
  existsSync(output) && existsSync(stampPath) && (await readFile(stampPath, 'utf8')) === inputs;

if (!(values['if-stale'] && isFresh)) {
  const startMs = performance.now();
  await mkdir(`${root}/build/out`, { recursive: true });
  const folder = await mkdtemp(`${root}/build/out/work-`);
  try {
    const bundlePath = `${folder}/cistern.cjs`;
    await bundle(values.entry, bundlePath);
    const temporary = `${folder}/cistern`;
    const target = await targetFor(process.arch);
    const remarks = await makeExecutable(target, bundlePath, temporary);
    // A rename leaves alone the file that a running broker was started from.
    await rename(temporary, output);
    await writeFile(stampPath, inputs);
    for (const remark of remarks) console.error(`note: ${remark}`);
    const megabytes = ((await stat(output)).size / 1e6).toFixed(1);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.error(`${values.output}: ${megabytes} MB for linux-${target.arch}, in ${seconds} s`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
