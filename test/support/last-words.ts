import type { Cistern } from './executable.ts';

const LINES = 20;

/** Fails with the end of what the broker printed where it has died by itself. */
export function assertRunning(broker: Cistern): void {
  if (broker.isRunning) return;
  const printed = [...broker.stdout.slice(-5), ...broker.stderr.slice(-LINES)].join('\n');
  throw new Error(`the broker died; its last words:\n${printed}`);
}
