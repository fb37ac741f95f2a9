import { execFile } from 'node:child_process';
import { TestProcess } from '../support/child-process.ts';
import { waitFor } from '../support/wait-for.ts';

/** A pair of programs that publish and subscribe, with what comes before their options. */
export interface Tools {
  readonly pub: readonly [string, ...string[]];
  readonly sub: readonly [string, ...string[]];
}

export const MOSQUITTO_TOOLS: Tools = { pub: ['mosquitto_pub'], sub: ['mosquitto_sub'] };

export function cisternTools(executable: string): Tools {
  return { pub: [executable, 'pub'], sub: [executable, 'sub'] };
}

export type Protocol = 'mqttv311' | 'mqttv5';

/** retained, QoS, topic, payload: a line that no debug output looks like. */
const FORMAT = '> %r %q %t %p';

export interface ProgramResult {
  readonly code: number;
  readonly output: string;
}

/** One pair of programs against one broker. */
export class CommandLineClients {
  readonly #port: number;
  readonly #tools: Tools;
  readonly #protocol: Protocol;
  readonly #running: TestProcess[] = [];

  constructor(port: number, tools: Tools, protocol: Protocol) {
    this.#port = port;
    this.#tools = tools;
    this.#protocol = protocol;
  }

  /** Publishes and waits for the end. Fails with what it printed where that is not 0. */
  async publish(args: readonly string[], input = ''): Promise<void> {
    const [program, ...before] = this.#tools.pub;
    const result = await run(program, [...before, ...this.#common(), ...args], input);
    if (result.code !== 0) throw new Error(`pub ended with ${result.code}:\n${result.output}`);
  }

  /** A subscriber that runs; resolves when its subscription is acknowledged. */
  async subscribe(args: readonly string[]): Promise<RunningSubscriber> {
    const started = this.#start(args);
    await waitFor('the SUBACK', () => {
      if (!started.isRunning) throw new Error(`sub ended at once:\n${started.output()}`);
      return started.output().includes('received SUBACK');
    });
    return new RunningSubscriber(started);
  }

  /** Subscribes, leaving the session behind, and goes. */
  async subscribeAndLeave(args: readonly string[]): Promise<void> {
    const [program, ...before] = this.#tools.sub;
    const result = await run(program, [...before, ...this.#common(), '-E', ...args], '');
    if (result.code !== 0) throw new Error(`sub ended with ${result.code}:\n${result.output}`);
  }

  /** A subscriber that waits for no SUBACK: with a session, messages may come first. */
  resume(args: readonly string[]): RunningSubscriber {
    return new RunningSubscriber(this.#start(args));
  }

  /** Kills those that still run. */
  async stop(): Promise<void> {
    for (const started of this.#running.splice(0)) {
      started.resume();
      if (started.isRunning) await started.end('SIGKILL');
    }
  }

  #start(args: readonly string[]): TestProcess {
    const command = [...this.#tools.sub, ...this.#common(), '-d', '-F', FORMAT, ...args];
    // Behind a pipe the C library would keep what is printed until there are 4 KiB of it.
    const started = new TestProcess('stdbuf', ['-oL', ...command]);
    this.#running.push(started);
    return started;
  }

  #common(): readonly string[] {
    return ['-h', '127.0.0.1', '-p', `${this.#port}`, '-V', this.#protocol];
  }
}

/** A message as `retained QoS topic payload`, for comparing whole lists. */
export class RunningSubscriber {
  readonly process: TestProcess;

  constructor(process: TestProcess) {
    this.process = process;
  }

  get messages(): readonly string[] {
    return this.process.stdout.filter((line) => line.startsWith('> ')).map((line) => line.slice(2));
  }

  /** Waits for the count and returns them. Fails with what came instead. */
  async waitForMessages(count: number, timeoutMs = 10_000): Promise<readonly string[]> {
    await waitFor(`${count} messages`, () => this.messages.length >= count, timeoutMs).catch(
      (error: Error) => {
        throw new Error(`${error.message}; it printed:\n${this.process.output()}`);
      },
    );
    return this.messages;
  }
}

function run(program: string, args: readonly string[], input: string): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: 20_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, output: `${stdout}${stderr}` });
    });
    // One that does not read its input may have ended before.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
