import type { CliIo } from '../../../src/cli/io.ts';
import { createNodeClock } from '../../../src/platform/node/clock.ts';

/** A process of a test: what it wrote, and its signals. */
export class TestIo implements CliIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly processId = 4711;
  readonly clock = createNodeClock();
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly exits: number[] = [];
  readonly #handlers: ((signal: string) => void)[] = [];
  readonly #hangupHandlers: (() => void)[] = [];
  readonly #out: Buffer[] = [];
  readonly #err: Buffer[] = [];

  constructor(options: { stdin?: readonly string[]; env?: Readonly<Record<string, string>> } = {}) {
    const chunks = options.stdin ?? [];
    this.stdin = (async function* () {
      for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk));
    })();
    this.env = options.env ?? {};
  }

  readonly stdout = {
    write: (text: string | Uint8Array) => this.#out.push(Buffer.from(text as string)),
  };

  readonly stderr = {
    write: (text: string | Uint8Array) => this.#err.push(Buffer.from(text as string)),
  };

  get out(): string {
    return Buffer.concat(this.#out).toString();
  }

  get err(): string {
    return Buffer.concat(this.#err).toString();
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void setTimeout(resolve, ms));
  }

  onSignal(fn: (signal: string) => void): void {
    this.#handlers.push(fn);
  }

  signal(name: string): void {
    for (const handler of this.#handlers) handler(name);
  }

  onHangup(fn: () => void): void {
    this.#hangupHandlers.push(fn);
  }

  hangUp(): void {
    for (const handler of this.#hangupHandlers) handler();
  }

  exitNow(code: number): void {
    this.exits.push(code);
  }
}
