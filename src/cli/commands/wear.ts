import type { Status } from '../../admin/status.ts';
import { ADMIN_NOTE, ADMIN_OPTIONS, fetchStatus, findAdmin } from '../admin-client.ts';
import type { Command } from '../command.ts';
import { ExitCode } from '../exit-code.ts';
import { formatWear } from '../wear-text.ts';

export const wearCommand: Command = {
  spec: {
    name: 'wear',
    summary: 'show what a running gateway writes to flash, and how long that may last',
    usage: '[--json] [--admin ADDR | --config FILE]',
    options: {
      json: { help: 'Print the part "wear" of /api/v1/status as it is.' },
      ...ADMIN_OPTIONS,
    },
    positionals: { min: 0, max: 0 },
    notes: [
      'Counters begin with the process, but for the laps of the ring. The budget is that of\n' +
        '[storage.wear]; years are told where that section gives an endurance, or an eMMC its wear.',
      ADMIN_NOTE,
    ],
    examples: [
      { command: 'cistern wear', why: 'the gateway on this machine' },
      { command: 'cistern wear --json | jq .yearsLeft', why: 'one figure, for a script' },
    ],
  },
  async run(args, io) {
    const text = await fetchStatus(await findAdmin(args, io));
    const status = JSON.parse(text) as Status;
    io.stdout.write(
      args.has('json') ? `${JSON.stringify(status.wear, undefined, 2)}\n` : formatWear(status),
    );
    return ExitCode.ok;
  },
};
