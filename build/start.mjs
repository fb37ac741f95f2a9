// npm start [-- ARGUMENT ...]: installs and builds what is missing or out of date, then runs the broker.
import { runChild } from './lib/child.mjs';
import { ensureInstalled, node24, root, toolEnvironment } from './lib/set-up.mjs';

ensureInstalled();
const built = await runChild(node24, [`${root}/build/executable.ts`, '--if-stale'], {
  cwd: root,
  env: toolEnvironment(),
});
process.exitCode =
  built === 0
    ? await runChild(`${root}/build/out/cistern`, ['run', ...process.argv.slice(2)], { cwd: root })
    : built;
