import type { Status } from '../../admin/status.ts';
import {
  ADMIN_NOTE,
  ADMIN_OPTIONS,
  type AdminTarget,
  fetchStatus,
  findAdmin,
} from '../admin-client.ts';
import type { Arguments } from '../arguments.ts';
import type { Command } from '../command.ts';
import { ExitCode } from '../exit-code.ts';
import type { CliIo } from '../io.ts';
import { formatStatus } from '../status-text.ts';

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
      ...ADMIN_OPTIONS,
    },
    positionals: { min: 0, max: 0 },
    notes: [ADMIN_NOTE],
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

async function showStatus(args: Arguments, io: CliIo): Promise<ExitCode> {
  const target = await findAdmin(args, io);
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

async function render(args: Arguments, target: AdminTarget): Promise<string> {
  const text = await fetchStatus(target);
  if (args.has('json')) return text;
  return formatStatus(JSON.parse(text) as Status);
}
