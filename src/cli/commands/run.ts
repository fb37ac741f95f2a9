import { readFile } from 'node:fs/promises';
import { createNodeEnvironment } from '../../app/node-environment.ts';
import { startCistern, type RunningCistern } from '../../app/start.ts';
import { examineAuth } from '../../auth/examine-auth.ts';
import { isLoopback } from '../../base/address.ts';
import { formatIssue } from '../../config/issue.ts';
import { loadConfig } from '../../config/load.ts';
import type { Config } from '../../config/types.ts';
import { createLogger } from '../../platform/node/logger.ts';
import { readTokenKeys } from '../../platform/node/token-keys.ts';
import { examineTlsFiles } from '../../platform/node/tls-files.ts';
import type { Arguments } from '../arguments.ts';
import type { Command } from '../command.ts';
import { ExitCode } from '../exit-code.ts';
import type { CliIo } from '../io.ts';
import { createProgress } from '../progress.ts';
import { describeStart } from '../start-report.ts';
import { VERSION } from '../version.ts';

export const runCommand: Command = {
  spec: {
    name: 'run',
    summary: 'run the gateway until SIGTERM or Ctrl-C',
    usage: '[--config FILE] [--data DIR] [--listen ADDR] [--password-file FILE]',
    options: {
      config: { value: 'FILE', short: 'c', help: 'The configuration (TOML). Default: none.' },
      data: { value: 'DIR', help: 'Where the ring is kept. Default: ./cistern-data' },
      listen: {
        value: 'ADDR',
        help: 'Accept MQTT at this one address. Default: 127.0.0.1:1883',
      },
      'password-file': {
        value: 'FILE',
        help: 'Who may come in, and nobody else (cistern passwd makes it).',
      },
    },
    positionals: { min: 0, max: 0 },
    notes: [
      'Options win over the configuration. The first start fills the ring with zeros, once. Logs go\n' +
        'to standard error: text on a terminal, JSON lines elsewhere. A first signal commits, says\n' +
        'goodbye to the clients and ends with 0, or after 45 s with 1; a second one ends at once.',
      'SIGHUP reads certificates and other files that the configuration names again, and so does a\n' +
        'change of theirs, within seconds. The configuration itself is read at the start only.',
    ],
    examples: [
      { command: 'cistern run', why: 'a gateway on this machine alone' },
      {
        command: 'cistern run --config /etc/cistern/cistern.toml',
        why: 'as a service does',
      },
      {
        command: 'cistern run --data /tmp/try --listen 127.0.0.1:2883',
        why: 'a second one beside it (with another admin.listen in its configuration)',
      },
    ],
  },
  run: runGateway,
};

/** Less than service managers wait as a rule (systemd: 90 s). */
const STOP_LIMIT_MS = 45_000;
/** Signals that are closer together are one. */
const SAME_SIGNAL_MS = 300;

async function runGateway(args: Arguments, io: CliIo): Promise<ExitCode> {
  const readText = (path: string): Promise<string> => readFile(path, 'utf8');
  const { config, warnings } = await loadConfig({
    path: args.text('config'),
    overrides: {
      data: args.text('data'),
      listen: args.text('listen'),
      passwordFile: args.text('password-file'),
    },
    readText,
    secrets: { source: { readText, env: io.env }, uplinkFile: 'warning' },
    examineTls: examineTlsFiles,
    examineAuth: (auth) => examineAuth(auth, { readText, readTokenKeys }),
  });
  for (const warning of warnings) io.stdout.write(`${formatIssue(warning)}\n`);
  const logger = createLogger({ ...config.log, stream: io.stderr, clock: io.clock });
  const stopAsked = waitForSignal(io);
  // Taken from the first moment on: what it would do otherwise is end the process.
  let reload = (): void => undefined;
  io.onHangup(() => reload());
  const starting = startCistern(
    config,
    createNodeEnvironment({
      version: VERSION,
      logger,
      onProgress: createProgress('Making the ring', io.stdout),
    }),
  );
  // Nothing is acknowledged before the start is over, so one that is not wanted any more needs no
  // goodbye: a large ring may take minutes to make, and is gone on with at the next start.
  const running = await Promise.race([starting, stopAsked.then(() => undefined)]);
  if (running === undefined) {
    logger.info('app.stopped', { while: 'starting' });
    return ExitCode.ok;
  }
  io.stdout.write(startReport(config, running));
  logger.info('app.started', { version: VERSION, node: running.identity.nodeId });
  reload = () => void running.reload();
  const signal = await stopAsked;
  logger.info('app.stopping', { signal });
  io.clock.after(STOP_LIMIT_MS, () => {
    // A device that never answers would hold it for ever; what was acknowledged is on flash.
    logger.error('app.stop_failed', { error: 'The device did not answer in time.' });
    io.exitNow(ExitCode.operating);
  });
  await running.stop();
  logger.info('app.stopped');
  return ExitCode.ok;
}

function startReport(config: Config, running: RunningCistern): string {
  return describeStart({
    version: VERSION,
    nodeId: running.identity.nodeId,
    config,
    listeners: running.listeners,
    adminAddress: running.adminAddress,
    isLocalOnly: running.listeners.every(({ address }) => isLoopback(address)),
  });
}

/**
 * Resolves at the first signal, also when it comes during the start; the second ends the process, but
 * not at once: `timeout` and some shells send each twice, to the process and to its group.
 */
function waitForSignal(io: CliIo): Promise<string> {
  return new Promise((resolve) => {
    let askedMs = Infinity;
    io.onSignal((signal) => {
      const nowMs = io.clock.monotonicMs();
      if (nowMs - askedMs > SAME_SIGNAL_MS) io.exitNow(ExitCode.operating);
      askedMs = Math.min(askedMs, nowMs);
      resolve(signal);
    });
  });
}
