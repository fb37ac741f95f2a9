import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const MODEL = fileURLToPath(new URL('ring.pml', import.meta.url));
const BOUNDS = ['-DSLOTS=5', '-DRECORDS=6', '-DCRASHES=4'];
const MEMORY_MIB = 4_000;
const run = promisify(execFile);

interface Verdict {
  readonly states: number;
  readonly errors: number;
  /** All states within the bounds were looked at. */
  readonly complete: boolean;
  readonly output: string;
}

/** Checks the model with spin; `broken` puts in one of its defects. */
async function check(broken?: string): Promise<Verdict> {
  const cwd = await mkdtemp(join(tmpdir(), 'cistern-model-'));
  try {
    await cp(MODEL, join(cwd, 'ring.pml'));
    const defect = broken === undefined ? [] : [`-D${broken}`];
    await run('spin', [...BOUNDS, ...defect, '-a', 'ring.pml'], { cwd });
    const flags = ['-O1', '-w', '-DSAFETY', '-DNOREDUCE', '-DCOLLAPSE', `-DMEMLIM=${MEMORY_MIB}`];
    await run('gcc', [...flags, '-o', 'pan', 'pan.c'], { cwd });
    const { stdout: output } = await run(join(cwd, 'pan'), ['-m100000', '-E'], { cwd });
    return {
      states: Number(/([0-9.e+]+) states, stored/.exec(output)?.[1]),
      errors: Number(/errors: (\d+)/.exec(output)?.[1]),
      complete: !/aborted|max search depth too small|Search not completed/.test(output),
      output,
    };
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}

const DEFECTS = [...new Set(readFileSync(MODEL, 'utf8').match(/\bBREAK_[A-Z_]{3,}/g))].sort();

describe('the model of the ring', { timeout: 120_000 }, () => {
  test('loses nothing that was acknowledged, in any order of steps within the bounds', async () => {
    const { states, errors, complete, output } = await check();
    expect(errors, output).toBe(0);
    expect(complete, output).toBe(true);
    expect(states).toBeGreaterThan(3_000_000);
  });

  test.each(DEFECTS)('%s is found', async (defect) => {
    const { errors, output } = await check(defect);
    expect(errors, output).toBe(1);
    expect(output).toContain('assertion violated');
  });
});
