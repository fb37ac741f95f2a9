import type { Arguments, CommandSpec } from './arguments.ts';
import type { ExitCode } from './exit-code.ts';
import type { CliIo } from './io.ts';

export interface Command {
  readonly spec: CommandSpec;
  /** Fails with a {@link CisternError}, which the caller prints. */
  run(args: Arguments, io: CliIo): Promise<ExitCode>;
}
