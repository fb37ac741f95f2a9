/**
 * Runs the power-loss suites once as they are and once for each mutant, and demands that they pass
 * as they are and that every mutant makes a test fail. Names of mutants may be given as arguments.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MUTANTS, type Mutant } from './mutants.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Report {
  /** The mutated text was loaded by a test. */
  readonly isApplied: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

interface Outcome {
  readonly good: boolean;
  readonly text: string;
}

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  const mutants = MUTANTS.filter((one) => wanted.length === 0 || wanted.includes(one.name));
  for (const name of wanted) {
    if (!MUTANTS.some((one) => one.name === name)) throw new Error(`no mutant is named ${name}`);
  }
  const drifted = (await Promise.all(mutants.map(driftOf))).filter((text) => text !== undefined);
  for (const text of drifted) process.stdout.write(`DRIFTED  ${text}\n`);
  if (drifted.length > 0) {
    process.exitCode = 1;
    return;
  }
  const before = await sourcesOf(mutants);
  let bad = 0;
  if (wanted.length === 0) {
    for (const suite of new Set(MUTANTS.map((one) => one.suite))) {
      bad += await report(`as it is: ${suite}`, () => judgeUnchanged(suite));
    }
  }
  for (const mutant of mutants) bad += await report(mutant.name, () => judge(mutant));
  // A test that fails because someone is editing the file proves nothing about the mutant.
  if ((await sourcesOf(mutants)) !== before) {
    process.stdout.write('CHANGED  the sources changed while the mutants ran\n');
    bad += 1;
  }
  process.stdout.write(`${mutants.length} mutants, ${bad} not as they must be\n`);
  process.exitCode = bad === 0 ? 0 : 1;
}

async function sourcesOf(mutants: readonly Mutant[]): Promise<string> {
  const folders = [...new Set(mutants.map((one) => dirname(one.file)))].sort();
  const texts: string[] = [];
  for (const folder of folders) {
    for (const name of (await readdir(join(root, folder))).sort()) {
      if (name.endsWith('.ts')) texts.push(await readFile(join(root, folder, name), 'utf8'));
    }
  }
  return texts.join('\0');
}

async function driftOf(mutant: Mutant): Promise<string | undefined> {
  const source = await readFile(join(root, mutant.file), 'utf8').catch(() => '');
  const count = source.split(mutant.find).length - 1;
  if (count === 1) return undefined;
  return `${mutant.name}: its text occurs ${count} times in ${mutant.file}`;
}

async function report(name: string, judgement: () => Promise<Outcome>): Promise<number> {
  const start = performance.now();
  const { good, text } = await judgement();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  process.stdout.write(`${good ? 'ok  ' : 'BAD '} ${seconds.padStart(5)} s  ${name}: ${text}\n`);
  return good ? 0 : 1;
}

async function judgeUnchanged(suite: string): Promise<Outcome> {
  const result = await runSuite(suite, undefined);
  const good = result.numFailedTests === 0 && result.numPassedTests > 0;
  return { good, text: good ? `${result.numPassedTests} tests pass` : `fails: ${whyOf(result)}` };
}

async function judge(mutant: Mutant): Promise<Outcome> {
  const result = await runSuite(mutant.suite, mutant.name);
  // A mutant that does not even load proves nothing, so a failed test is asked for, not a failed run.
  const good = result.isApplied && result.numFailedTests > 0;
  if (!result.isApplied) return { good, text: `was not applied; ${whyOf(result)}` };
  return { good, text: good ? `dies: ${whyOf(result)}` : `SURVIVES ${whyOf(result)}` };
}

async function runSuite(suite: string, mutant: string | undefined): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'cistern-mutant-'));
  try {
    const output = join(folder, 'report.json');
    const mark = join(folder, 'applied');
    const parameters = [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      suite,
      '--config',
      join(root, 'test/power-loss/vitest.mutants.config.ts'),
      '--reporter=json',
      `--outputFile=${output}`,
    ];
    await new Promise<void>((resolve, reject) => {
      const child = spawn(process.execPath, parameters, {
        cwd: root,
        env: { ...process.env, CISTERN_MUTANT: mutant ?? '', CISTERN_MUTANT_MARK: mark },
        stdio: 'ignore',
      });
      child.once('error', reject);
      child.once('exit', () => resolve());
    });
    const result = JSON.parse(await readFile(output, 'utf8')) as Omit<Report, 'isApplied'>;
    return { ...result, isApplied: existsSync(mark) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function whyOf(result: Report): string {
  for (const file of result.testResults) {
    for (const one of file.assertionResults) {
      if (one.status !== 'failed') continue;
      const reason = (one.failureMessages[0] ?? '').split('\n')[0] ?? '';
      return `${one.fullName}: ${reason}`.slice(0, 200);
    }
    if (file.message !== '') return (file.message.split('\n')[0] ?? '').slice(0, 200);
  }
  return '';
}

await main();
