import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkLayers } from '../../build/lib/layers.ts';
import { runTool } from '../../build/lib/step.ts';
import { root } from './sources.ts';

/** One file a rule, each breaking it once. A rule that a new release renamed would be silent. */
const BROKEN: readonly (readonly [rule: string, path: string, text: string])[] = [
  ['no-restricted-globals', 'src/ring/clock.ts', 'export const now = (): number => Date.now();'],
  ['no-restricted-globals', 'src/uplink/timer.ts', 'setTimeout(() => undefined, 5);'],
  ['no-restricted-globals', 'src/broker/env.ts', 'export const home = process.env;'],
  ['no-restricted-properties', 'src/broker/dice.ts', 'export const dice = Math.random();'],
  [
    'no-floating-promises',
    'src/broker/floating.ts',
    'async function save(): Promise<void> {}\nexport function run(): void {\n  save();\n}',
  ],
  [
    'switch-exhaustiveness-check',
    'src/session/state.ts',
    "export function name(state: 'open' | 'shut'): number {\n  switch (state) {\n    case 'open':\n" +
      '      return 1;\n  }\n  return 0;\n}',
  ],
  ['no-explicit-any', 'src/codec/any.ts', 'export const anything: any = 1;'],
  ['no-default-export', 'src/codec/default.ts', 'export default 1;'],
  [
    'no-empty',
    'src/codec/empty.ts',
    'export function f(): void {\n  try {\n    f();\n  } catch {}\n}',
  ],
];

describe('a rule that is broken on purpose', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cistern-canary-'));
  let report = '';

  beforeAll(async () => {
    copyFileSync(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
    copyFileSync(join(root, 'tsconfig.json'), join(folder, 'tsconfig.json'));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    for (const [, path, text] of BROKEN) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), `${text}\n`);
    }
    const args = ['--type-aware', '--format', 'unix', 'src'];
    const { stdout } = await runTool('oxlint', args, { cwd: folder });
    report = stdout;
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(BROKEN)('is reported: %s in %s', (rule, path) => {
    const lines = report.split('\n').filter((line) => line.includes(path));
    expect(lines.join('\n')).toContain(rule);
  });

  test('is reported by the layers check, which sees every module', async () => {
    const outcome = await checkLayers();
    expect(outcome.output).toBe('');
    expect(outcome.ok).toBe(true);
  });
});
