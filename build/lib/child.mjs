import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** A signal that comes again within this time is the same one, by another way. */
const ECHO_MS = 1000;

/**
 * Runs a program in the foreground and resolves with its exit code (128 + n where signal n ended it).
 *
 * A terminal sends Ctrl-C to every process in the foreground and npm passes on what it gets, so one
 * Ctrl-C would reach the broker two or three times; and a second one tells it to stop at once. So the
 * program has a process group of its own, and gets each signal once. A terminal that goes away
 * (SIGHUP) ends it as SIGTERM does.
 */
export function runChild(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options, detached: true });
    let lastMs = -Infinity;
    const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
      const handler = () => {
        const nowMs = performance.now();
        if (nowMs - lastMs > ECHO_MS) child.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
        lastMs = nowMs;
      };
      process.on(signal, handler);
      return [signal, handler];
    });
    const stopListening = () => {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    };
    child.once('error', (error) => {
      stopListening();
      reject(error);
    });
    child.once('exit', (code, signal) => {
      stopListening();
      resolve(code ?? 128 + (constants.signals[signal] ?? 0));
    });
  });
}
