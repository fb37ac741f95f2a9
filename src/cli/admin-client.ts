import { readFile } from 'node:fs/promises';
import { isEveryHost, splitAddress } from '../base/address.ts';
import { CisternError } from '../base/errors.ts';
import { DEFAULT_ADMIN_LISTEN } from '../config/defaults.ts';
import { loadConfig } from '../config/load.ts';
import { address } from '../config/parsers.ts';
import { resolveSecret } from '../config/secret.ts';
import type { Arguments, CommandSpec } from './arguments.ts';
import type { CliIo } from './io.ts';

const ANSWER_TIMEOUT_MS = 5_000;

/** Options of each command that asks a running gateway. */
export const ADMIN_OPTIONS: CommandSpec['options'] = {
  admin: { value: 'ADDR', help: `Where it answers. Default: ${DEFAULT_ADMIN_LISTEN}` },
  config: { value: 'FILE', short: 'c', help: 'Take address and token from a configuration.' },
};

export const ADMIN_NOTE =
  'Without --config, a token is taken from the variable CISTERN_ADMIN_TOKEN.';

/** Where the admin server of a gateway is. */
export interface AdminTarget {
  /** `host:port`. */
  readonly address: string;
  readonly token: string | undefined;
}

/** By {@link ADMIN_OPTIONS} and the environment. */
export async function findAdmin(args: Arguments, io: CliIo): Promise<AdminTarget> {
  if (args.has('admin') && args.has('config')) {
    throw args.usageError('--admin and --config name the address twice');
  }
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

/** The text of `/api/v1/status`. Fails with ADMIN_UNREACHABLE. */
export async function fetchStatus({ address, token }: AdminTarget): Promise<string> {
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
