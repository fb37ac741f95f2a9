import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TestProcess } from './child-process.ts';
import { freePort } from './free-port.ts';
import { waitFor } from './wait-for.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The path of build/out/cistern, which is built first where it is missing or older than the sources. */
export function executablePath(): string {
  execFileSync(join(root, 'node_modules/.bin/node'), ['build/executable.ts', '--if-stale'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return join(root, 'build/out/cistern');
}

export interface CisternOptions {
  /** Kept by `stop`; without it a temporary folder is made, and removed by `stop`. */
  readonly dataDir?: string;
  /** `[storage] size`; small, because the first start fills it with zeros. */
  readonly size?: string;
  /** `[storage] segment`. Default: the program's. */
  readonly segment?: string;
  /** More lines of `[storage]`. */
  readonly storage?: string;
  /** TOML after the listener, storage and admin sections: streams, uplinks, limits. */
  readonly toml?: string;
  /** A command that runs the one behind it as itself, such as `unshare`. */
  readonly wrapper?: readonly string[];
  /** More arguments for `cistern run`. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly mqttPort?: number;
  readonly adminPort?: number;
}

/** The packed broker as one test's own process, on loopback ports and a data folder of its own. */
export class Cistern {
  readonly mqttPort: number;
  readonly adminPort: number;
  readonly dataDir: string;
  readonly configPath: string;
  /** From starting the process to `/readyz`, of the latest start; includes this test's polling (5 ms). */
  startMs = 0;
  readonly #options: CisternOptions;
  readonly #program: string;
  readonly #folder: string;
  #process: TestProcess | undefined;

  private constructor(
    options: CisternOptions,
    folder: string,
    ports: { readonly mqtt: number; readonly admin: number },
  ) {
    this.#options = options;
    this.#program = executablePath();
    this.#folder = folder;
    this.mqttPort = ports.mqtt;
    this.adminPort = ports.admin;
    this.dataDir = options.dataDir ?? join(folder, 'data');
    this.configPath = join(folder, 'cistern.toml');
  }

  static async start(options: CisternOptions = {}): Promise<Cistern> {
    const folder = await mkdtemp(join(tmpdir(), 'cistern-test-'));
    const cistern = new Cistern(options, folder, {
      mqtt: options.mqttPort ?? (await freePort()),
      admin: options.adminPort ?? (await freePort()),
    });
    await writeFile(cistern.configPath, cistern.#configuration());
    try {
      await cistern.launch();
    } catch (error) {
      if (cistern.#process?.isRunning) await cistern.kill9();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    return cistern;
  }

  get pid(): number {
    return this.#running().pid;
  }

  get stdout(): readonly string[] {
    return this.#running().stdout;
  }

  get stderr(): readonly string[] {
    return this.#running().stderr;
  }

  get isRunning(): boolean {
    return this.#process?.isRunning ?? false;
  }

  /** Starts the process (again, after `kill9` or `shutDown`) and waits until it takes clients. */
  async launch(): Promise<void> {
    const startMs = performance.now();
    const { args = [], wrapper = [], env } = this.#options;
    const command = [...wrapper, this.#program, 'run', '--config', this.configPath, ...args];
    this.#process = new TestProcess(command[0] as string, command.slice(1), env);
    await this.waitReady();
    this.startMs = performance.now() - startMs;
  }

  /** Waits until `/readyz` says 200. Fails with the output where the process ends instead. */
  async waitReady(timeoutMs = 30_000): Promise<void> {
    const running = this.#running();
    const isReady = async (): Promise<boolean> => {
      if (!running.isRunning) {
        await running.exited();
        throw new Error(`the broker ended instead of starting:\n${running.output()}`);
      }
      const response = await fetch(`http://127.0.0.1:${this.adminPort}/readyz`).catch(
        () => undefined,
      );
      await response?.arrayBuffer();
      return response?.status === 200;
    };
    await waitFor(`/readyz; the broker said:\n${running.output()}`, isReady, timeoutMs);
  }

  /** The status document of `/api/v1/status`. */
  async status<Status>(): Promise<Status> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}/api/v1/status`);
    return (await response.json()) as Status;
  }

  /** SIGTERM, as systemd stops it; the data folder stays. Returns the exit code. */
  async shutDown(): Promise<number | NodeJS.Signals> {
    return this.#running().end('SIGTERM', 20_000);
  }

  /** The process is gone when this resolves; the page cache, unlike in a power cut, survives. */
  async kill9(): Promise<void> {
    await this.#running().end('SIGKILL');
  }

  /** Ends it if it runs, and removes what this test made. */
  async stop(): Promise<void> {
    if (this.isRunning) await this.shutDown();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #running(): TestProcess {
    if (this.#process === undefined) throw new Error('the broker was not started');
    return this.#process;
  }

  #configuration(): string {
    return [
      '[storage]',
      `path = ${JSON.stringify(this.dataDir)}`,
      `size = "${this.#options.size ?? '64MiB'}"`,
      ...(this.#options.segment === undefined ? [] : [`segment = "${this.#options.segment}"`]),
      this.#options.storage ?? '',
      '[admin]',
      `listen = "127.0.0.1:${this.adminPort}"`,
      '[[listener]]',
      `listen = "127.0.0.1:${this.mqttPort}"`,
      this.#options.toml ?? '',
      '',
    ].join('\n');
  }
}

export async function startCistern(options: CisternOptions = {}): Promise<Cistern> {
  return Cistern.start(options);
}
