// node build/with-node24.mjs SCRIPT [ARGUMENT ...]
//
// Runs one of the repository's TypeScript programs on Node 24, on a machine that may have only Node 20
// and no installed packages: it installs them first.
import { runChild } from './lib/child.mjs';
import { ensureInstalled, node24, root, toolEnvironment } from './lib/set-up.mjs';

ensureInstalled();
process.exitCode = await runChild(node24, process.argv.slice(2), {
  cwd: root,
  env: toolEnvironment(),
});
