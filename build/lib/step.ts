import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The repository's root, without a slash at the end. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** A step's output, shown only when the step fails. */
export interface Outcome {
  readonly ok: boolean;
  readonly output: string;
  /** A few words for the step's line, such as a count. */
  readonly note?: string;
}

/** One step of a check or a build: a name and what it does. */
export interface Step {
  readonly name: string;
  readonly run: () => Promise<Outcome>;
}

export interface ToolResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program of `node_modules/.bin` (or an absolute path) and collects what it prints. */
export async function runTool(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<ToolResult> {
  const path = command.includes('/') ? command : `${root}/node_modules/.bin/${command}`;
  const child = spawn(path, args, {
    cwd: options.cwd ?? root,
    env: {
      ...process.env,
      PATH: `${root}/node_modules/.bin:${process.env['PATH'] ?? ''}`,
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, stdout, stderr };
}

/** A step that is one program, which passes when the program exits with 0. */
export function toolStep(name: string, command: string, args: readonly string[]): Step {
  return {
    name,
    run: async () => {
      const { exitCode, stdout, stderr } = await runTool(command, args);
      return { ok: exitCode === 0, output: stdout + stderr };
    },
  };
}

/** Runs steps in order, one line each with its time; stops at the first that fails, showing why. */
export async function runSteps(steps: readonly Step[]): Promise<boolean> {
  for (const step of steps) {
    const startMs = performance.now();
    const outcome = await step.run();
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1).padStart(6);
    const note = outcome.note === undefined ? '' : `  ${outcome.note}`;
    console.log(`${outcome.ok ? 'ok  ' : 'FAIL'} ${step.name.padEnd(12)} ${seconds} s${note}`);
    if (!outcome.ok) {
      console.log(outcome.output.trimEnd());
      return false;
    }
  }
  return true;
}
