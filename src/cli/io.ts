import type { SecretTerminal } from './ask-secret.ts';
import type { Clock } from '../platform/clock.ts';

/** A terminal, a pipe, or a test's list of texts. */
export interface TextOutput {
  write(text: string | Uint8Array): unknown;
  readonly isTTY?: boolean | undefined;
}

/** What a command may touch of the process. Handed in, so that a test runs it without one. */
export interface CliIo {
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Standard input where it is a terminal: somebody is there to be asked. */
  readonly terminal?: SecretTerminal | undefined;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly processId: number;
  readonly clock: Clock;
  /** Keeps the process alive while it waits, as `clock.after` does not. */
  sleep(ms: number): Promise<void>;
  /** Calls `fn` at each SIGINT and SIGTERM, instead of ending the process. */
  onSignal(fn: (signal: string) => void): void;
  /** Calls `fn` at each SIGHUP, instead of ending the process. */
  onHangup(fn: () => void): void;
  /** Ends the process at once, without a goodbye. */
  exitNow(code: number): void;
}
