import { setTimeout as delay } from 'node:timers/promises';
import { cli } from './cli/main.ts';
import { createNodeClock } from './platform/node/clock.ts';

// `cistern sub | head -1` closes our output early: then there is nobody left to tell anything.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
// A log that cannot be written is no reason to stop taking measurements.
process.stderr.on('error', () => undefined);

/** Not a top-level await: the executable is one CommonJS bundle, which has none. */
async function start(): Promise<void> {
  // Should a command ever wait for something that cannot come any more, Node ends by itself: as failed.
  process.exitCode = 1;
  const code = await cli(process.argv.slice(2), {
    stdin: process.stdin,
    terminal: process.stdin.isTTY ? process.stdin : undefined,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    processId: process.pid,
    clock: createNodeClock(),
    sleep: (ms) => delay(ms),
    onSignal(fn) {
      for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, fn);
    },
    onHangup: (fn) => void process.on('SIGHUP', fn),
    exitNow: (exitCode) => process.exit(exitCode),
  });
  // What a pipe has not taken yet would be lost: on Linux, too, writing to one does not wait.
  await new Promise<void>((resolve) => void process.stdout.write('', () => resolve()));
  process.exit(code);
}

// A rejection is a programmer error: Node prints it and ends with 1, and the ring recovers.
void start();
