// npm test [-- fast|real]: everything a newcomer needs, the executable and Mosquitto included.
// The last line is `N passed, N failed`.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { runChild } from './lib/child.mjs';
import { ensureProgram } from './lib/debian.ts';
import { root } from './lib/step.ts';
import { FAST_ARGUMENTS, REAL_ARGUMENTS } from './lib/suites.ts';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface JsonReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly unknown[];
  }[];
}

const nothing: Counts = { passed: 0, failed: 0, skipped: 0 };

/** A file that could not be loaded has no tests to count, and counts as one failure. */
function countReport(report: JsonReport): Counts {
  const broken = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests,
  };
}

async function runVitest(args: readonly string[], folder: string, name: string): Promise<Counts> {
  const reportPath = `${folder}/${name}.json`;
  const exitCode = await runChild(
    `${root}/node_modules/.bin/vitest`,
    [...args, '--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`],
    { cwd: root },
  );
  const text = await readFile(reportPath, 'utf8').catch(() => undefined);
  if (text === undefined) return { ...nothing, failed: 1 };
  const counts = countReport(JSON.parse(text) as JsonReport);
  // An error outside any test, such as an unhandled rejection, shows only in the exit code.
  return exitCode === 0 || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

function add(one: Counts, other: Counts): Counts {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
  };
}

async function prepareReal(): Promise<void> {
  await ensureProgram('mosquitto', 'mosquitto');
  await ensureProgram('mosquitto_pub', 'mosquitto-clients');
  await ensureProgram('mkfs.xfs', 'xfsprogs');
  await ensureProgram('mkfs.ext4', 'e2fsprogs');
  await ensureProgram('spin', 'spin');
  await ensureProgram('gcc', 'gcc', 'libc6-dev');
  await ensureProgram('mkfs.btrfs', 'btrfs-progs');
  const build = [process.execPath, ['build/executable.ts', '--if-stale'], { cwd: root }] as const;
  if ((await runChild(...build)) !== 0) throw new Error('build/out/cistern could not be made');
}

async function runReal(folder: string): Promise<Counts> {
  try {
    await prepareReal();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return { ...nothing, failed: 1 };
  }
  return runVitest(REAL_ARGUMENTS, folder, 'real');
}

async function runAll(which: string | undefined): Promise<Counts> {
  const folder = await mkdtemp(`${root}/node_modules/.cistern-test-`);
  try {
    const fast = which === 'real' ? nothing : await runVitest(FAST_ARGUMENTS, folder, 'fast');
    const real = which === 'fast' ? nothing : await runReal(folder);
    return add(fast, real);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const which = process.argv[2];
if (which !== undefined && which !== 'fast' && which !== 'real') {
  console.error('usage: npm test [-- fast|real]');
  process.exitCode = 2;
} else {
  const { passed, failed, skipped } = await runAll(which);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}
