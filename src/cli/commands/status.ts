import { readFile } from 'node:fs/promises';
import type { Status } from '../../admin/status.ts';
import { CisternError } from '../../base/errors.ts';
import { isEveryHost, splitAddress } from '../../base/address.ts';
import { DEFAULT_ADMIN_LISTEN } from '../../config/defaults.ts';
import { loadConfig } from '../../config/load.ts';
import { address } from '../../config/parsers.ts';
import { resolveSecret } from '../../config/secret.ts';
import type { Arguments } from '../arguments.ts';
import type { Command } from '../command.ts';
import { ExitCode } from '../exit-code.ts';
import type { CliIo } from '../io.ts';
import { formatStatus } from '../status-text.ts';

const ANSWER_TIMEOUT_MS = 5_000;
const WATCH_EVERY_MS = 2_000;
/** Cursor to the top left, and what is below it is cleared. */
const HOME_AND_CLEAR = '\u001b[H\u001b[J';

export const statusCommand: Command = {
  spec: {
    name: 'status',
    summary: 'show what a running gateway does',
    usage: '[--json] [--watch] [--admin ADDR | --config FILE]',
    options: {
      json: { help: 'Print the document of /api/v1/status as it is.' },
      watch: { help: 'Print again every 2 seconds, until Ctrl-C.' },
      admin: { value: 'ADDR', help: `Where it answers. Default: ${DEFAULT_ADMIN_LISTEN}` },
      config: { value: 'FILE', short: 'c', help: 'Take address and token from a configuration.' },
    },
    positionals: { min: 0, max: 0 },
    notes: ['Without --config, a token is taken from the variable CISTERN_ADMIN_TOKEN.'],
    examples: [
      { command: 'cistern status', why: 'the gateway on this machine' },
      { command: 'cistern status --watch', why: 'see a backlog drain' },
      {
        command: "cistern status --json | jq '.uplinks[0].backlogRecords'",
        why: 'one figure, for a script',
      },
    ],
  },
  run: showStatus,
};

interface Target {
  /** `host:port`. */
  readonly address: string;
  readonly token: string | undefined;
}

async function showStatus(args: Arguments, io: CliIo): Promise<ExitCode> {
  if (args.has('admin') && args.has('config')) {
    throw args.usageError('--admin and --config name the address twice');
  }
  const target = await findTarget(args, io);
  if (!args.has('watch')) {
    io.stdout.write(await render(args, target));
    return ExitCode.ok;
  }
  let isStopped = false;
  const stopped = new Promise<void>((resolve) => {
    io.onSignal(() => {
      isStopped = true;
      resolve();
    });
  });
  const clear = io.stdout.isTTY === true && !args.has('json') ? HOME_AND_CLEAR : '';
  while (!isStopped) {
    io.stdout.write(clear + (await render(args, target)));
    await Promise.race([stopped, io.sleep(WATCH_EVERY_MS)]);
  }
  return ExitCode.ok;
}

async function findTarget(args: Arguments, io: CliIo): Promise<Target> {
  const readText = (path: string): Promise<string> => readFile(path, 'utf8');
  const path = args.text('config');
  if (path === undefined) {
    const admin = args.text('admin') ?? DEFAULT_ADMIN_LISTEN;
    if (!address(admin).ok) {
      throw args.usageError(
        `--admin takes HOST:PORT, such as ${DEFAULT_ADMIN_LISTEN}, not "${admin}"`,
      );
    }
    return { address: reachable(admin), token: io.env['CISTERN_ADMIN_TOKEN'] };
  }
  const { config } = await loadConfig({ path, readText });
  const { listen, token } = config.admin;
  return {
    address: reachable(listen),
    token: token && (await resolveSecret(token, { readText, env: io.env })),
  };
}

/** A gateway that listens on every address is asked on this machine's own. */
function reachable(listen: string): string {
  const { host, port } = splitAddress(listen) ?? { host: '', port: 0 };
  return isEveryHost(host) ? `127.0.0.1:${port}` : listen;
}

async function render(args: Arguments, target: Target): Promise<string> {
  const text = await fetchStatus(target);
  if (args.has('json')) return text;
  return formatStatus(JSON.parse(text) as Status);
}

async function fetchStatus({ address, token }: Target): Promise<string> {
  const url = `http://${address}/api/v1/status`;
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    text = await response.text();
  } catch (cause) {
    throw new CisternError('ADMIN_UNREACHABLE', `No gateway answers at ${address}.`, {
      cause,
      remedy: 'Start one with "cistern run", or name its address with --admin or --config.',
    });
  }
  if (response.status === 401) {
    throw new CisternError('ADMIN_UNREACHABLE', `The gateway at ${address} asks for its token.`, {
      remedy: 'Give --config with its configuration, or set CISTERN_ADMIN_TOKEN.',
    });
  }
  if (!response.ok || !/^application\/json\b/.test(response.headers.get('content-type') ?? '')) {
    throw new CisternError(
      'ADMIN_UNREACHABLE',
      `What answers at ${address} is not a Cistern gateway (HTTP ${response.status}).`,
      { remedy: 'Name the address of its admin server with --admin.' },
    );
  }
  return text;
}
