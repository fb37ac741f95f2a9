// npm run check [-- STEP ...]: everything that needs no running server, in about a minute.
// Without a STEP all run, in this order; `static` stands for all but the tests.
import { stripVTControlCharacters } from 'node:util';
import { checkLayers } from './lib/layers.ts';
import { runSteps, runTool, type Step, toolStep } from './lib/step.ts';
import { FAST_ARGUMENTS } from './lib/suites.ts';

const LINTED = ['src', 'firmware-bridge', 'test', 'build'];

const STATIC_STEPS: readonly Step[] = [
  toolStep('format', 'biome', ['format', '--reporter=summary', '.']),
  toolStep('types', 'tsc', ['-p', '.']),
  toolStep('lint', 'oxlint', ['--type-aware', '--deny-warnings', ...LINTED]),
  { name: 'layers', run: checkLayers },
  toolStep('dead code', 'knip', ['--no-progress', '--no-config-hints']),
];

const TESTS: Step = {
  name: 'tests',
  run: async () => {
    const { exitCode, stdout, stderr } = await runTool('vitest', FAST_ARGUMENTS);
    const summary =
      /^\s*Tests\s+(.*)$/m.exec(stripVTControlCharacters(stdout))?.[1] ?? 'no summary';
    return { ok: exitCode === 0, output: stdout + stderr, note: summary };
  },
};

const STEPS: readonly Step[] = [...STATIC_STEPS, TESTS];

function chooseSteps(names: readonly string[]): readonly Step[] {
  if (names.length === 0) return STEPS;
  if (names.includes('static')) return STATIC_STEPS;
  return STEPS.filter(({ name }) => names.includes(name));
}

const steps = chooseSteps(process.argv.slice(2));
if (steps.length === 0) {
  console.error(`no such step; there are: ${STEPS.map(({ name }) => name).join(', ')}, static`);
  process.exitCode = 2;
} else {
  process.exitCode = (await runSteps(steps)) ? 0 : 1;
}
