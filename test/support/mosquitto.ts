import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureProgram } from '../../build/lib/debian.ts';
import { TestProcess } from './child-process.ts';
import { freePort } from './free-port.ts';
import { accepts, waitFor } from './wait-for.ts';

export interface MosquittoOptions {
  /** A free one where it is not given. */
  readonly port?: number;
  /**
   * Lines for mosquitto.conf after the listener's. `allow_anonymous true` is there unless a line
   * sets it; a line with `{folder}` gets the path of the server's own folder.
   */
  readonly config?: readonly string[];
  /** Files to write into the server's folder first, such as a password file. */
  readonly files?: Readonly<Record<string, string>>;
}

/** A Mosquitto of one test, on loopback, with its own folder; `stop` removes both. */
export class Mosquitto {
  readonly port: number;
  readonly folder: string;
  readonly #program: string;
  #process: TestProcess;

  private constructor(program: string, port: number, folder: string, process: TestProcess) {
    this.#program = program;
    this.port = port;
    this.folder = folder;
    this.#process = process;
  }

  static async start(options: MosquittoOptions = {}): Promise<Mosquitto> {
    const program = await ensureProgram('mosquitto', 'mosquitto');
    const port = options.port ?? (await freePort());
    const folder = await mkdtemp(join(tmpdir(), 'cistern-mosquitto-'));
    const lines = (options.config ?? []).map((line) => line.replaceAll('{folder}', folder));
    const anonymous = lines.some((line) => line.startsWith('allow_anonymous'))
      ? []
      : ['allow_anonymous true'];
    // As root, Mosquitto would become the user `mosquitto`, who cannot write the folder.
    const fixed = [`listener ${port} 127.0.0.1`, 'user root', 'log_dest stderr'];
    await writeFile(
      join(folder, 'mosquitto.conf'),
      [...fixed, ...anonymous, ...lines, ''].join('\n'),
    );
    for (const [name, text] of Object.entries(options.files ?? {})) {
      await writeFile(join(folder, name), text, { mode: 0o600 });
    }
    const server = new Mosquitto(program, port, folder, launch(program, folder));
    try {
      await server.#waitUntilReady();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** What it logged, a line each. */
  get log(): readonly string[] {
    return this.#process.stderr;
  }

  /** Ends it cleanly (with `persistence true` it writes its state) and removes its folder. */
  async stop(): Promise<void> {
    await this.#process.end('SIGTERM');
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Ends it cleanly and keeps its folder, for `restart`. */
  async shutDown(): Promise<void> {
    await this.#process.end('SIGTERM');
  }

  /** kill -9. The folder stays, for `restart`. */
  async kill(): Promise<void> {
    await this.#process.end('SIGKILL');
  }

  /** Starts it again on the same port and folder, killing it first where it still runs. */
  async restart(): Promise<void> {
    if (this.#process.isRunning) await this.kill();
    this.#process = launch(this.#program, this.folder);
    await this.#waitUntilReady();
  }

  /** Stops answering while its sockets stay open, and goes on again. */
  pause(): void {
    this.#process.pause();
  }

  resume(): void {
    this.#process.resume();
  }

  async #waitUntilReady(): Promise<void> {
    await waitFor(`Mosquitto on port ${this.port}`, async () => {
      if (!this.#process.isRunning) {
        throw new Error(`Mosquitto ended at once:\n${this.#process.output()}`);
      }
      return accepts(this.port);
    });
  }
}

function launch(program: string, folder: string): TestProcess {
  return new TestProcess(program, ['-c', join(folder, 'mosquitto.conf')]);
}

export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  return Mosquitto.start(options);
}
