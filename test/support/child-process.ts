import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A program under test: what it printed so far, and ways to end it. */
export class TestProcess {
  /** Lines of standard output and of standard error, without the line ends, as they come. */
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  constructor(command: string, args: readonly string[], env?: NodeJS.ProcessEnv) {
    this.#child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    collectLines(this.#child.stdout, this.stdout);
    collectLines(this.#child.stderr, this.stderr);
    this.#closed = once(this.#child, 'close');
    // A program that cannot be started at all; `exited` then rejects for whoever waits.
    this.#closed.catch((error: Error) => this.stderr.push(error.message));
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the process did not start');
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves with the exit code, or the name of the signal that ended it, once its output is in. */
  async exited(): Promise<number | NodeJS.Signals> {
    await this.#closed;
    return this.#child.exitCode ?? this.#child.signalCode ?? -1;
  }

  /** Sends `signal` and waits for the end; after `timeoutMs` the process is killed and this fails. */
  async end(signal: NodeJS.Signals, timeoutMs = 10_000): Promise<number | NodeJS.Signals> {
    if (this.isRunning) this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    const result = await this.exited();
    clearTimeout(timer);
    if (result === 'SIGKILL' && signal !== 'SIGKILL') {
      throw new Error(`did not end within ${timeoutMs} ms of ${signal}:\n${this.output()}`);
    }
    return result;
  }

  /** Stops it in its tracks, and lets it go on: a peer that is there and does not answer. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  output(): string {
    return [...this.stdout, ...this.stderr].join('\n');
  }
}

function collectLines(stream: NodeJS.ReadableStream | null, lines: string[]): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  stream?.on('end', () => {
    if (rest !== '') lines.push(rest);
  });
}
