import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vitest/config';
import { MUTANTS } from './mutants.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Replaces the text of the mutant named by CISTERN_MUTANT while its file is being loaded, and makes
 * the file CISTERN_MUTANT_MARK, so that the runner knows it did.
 */
function mutate(): Plugin {
  const name = process.env['CISTERN_MUTANT'] ?? '';
  const mutant = MUTANTS.find((one) => one.name === name);
  if (name !== '' && mutant === undefined) throw new Error(`there is no mutant named ${name}`);
  return {
    name: 'cistern-mutant',
    enforce: 'pre',
    transform(code, id) {
      if (mutant === undefined || !id.endsWith(`/${mutant.file}`)) return undefined;
      writeFileSync(process.env['CISTERN_MUTANT_MARK'] ?? '/dev/null', mutant.name);
      return { code: code.replace(mutant.find, () => mutant.replace), map: null };
    },
  };
}

export default defineConfig({
  root,
  plugins: [mutate()],
  test: {
    include: ['test/**/*.test.ts'],
    // Vitest keeps transformed modules from run to run, and knows nothing of the mutant's name: with
    // the cache every mutant but the first would be the program as it is.
    fsModuleCache: false,
    bail: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
