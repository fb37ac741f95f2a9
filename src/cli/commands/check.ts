import { readFile } from 'node:fs/promises';
import {
  type DataPlace,
  describePlace,
  examinePlace,
  type PlaceWarning,
} from '../../app/data-place.ts';
import { lossesOfNextStart } from '../../app/next-start.ts';
import { costOf, describeCost } from '../../config/cost.ts';
import { examineAuth } from '../../auth/examine-auth.ts';
import { describeConfig } from '../../config/describe.ts';
import { formatIssue } from '../../config/issue.ts';
import { loadConfig } from '../../config/load.ts';
import { takeEverything } from '../../config/stream-rules.ts';
import type { Config } from '../../config/types.ts';
import { nodeCompressor, nodeCrc32 } from '../../platform/node/compression.ts';
import { createNodeDiskSurvey } from '../../platform/node/disk-survey.ts';
import { examineTlsFiles } from '../../platform/node/tls-files.ts';
import { readTokenKeys } from '../../platform/node/token-keys.ts';
import { openNodeVolume } from '../../platform/node/volume.ts';
import type { Logger } from '../../platform/logger.ts';
import { readContents } from '../../ring/contents.ts';
import type { Command } from '../command.ts';
import { ExitCode } from '../exit-code.ts';
import type { CliIo } from '../io.ts';

const readText = (path: string): Promise<string> => readFile(path, 'utf8');

/** No error: to keep some topics only may be just what is wanted. */
const UNOWNED =
  '\n# What no [[stream]] takes is acknowledged, passed on to clients with a subscription or a session,\n' +
  '# and kept as a retained message where it is one. No uplink sends it. A last [[stream]] with\n' +
  '# topics = ["#"] would take it.\n';

export const checkCommand: Command = {
  spec: {
    name: 'check',
    summary: 'check a configuration, and print what it means and costs',
    usage: '[--config FILE] [--data DIR]',
    options: {
      config: { value: 'FILE', short: 'c', help: 'The configuration (TOML). Default: none.' },
      data: { value: 'DIR', help: 'Where the ring is kept. Default: ./cistern-data' },
    },
    positionals: { min: 0, max: 0 },
    notes: [
      'Prints the effective configuration as TOML, with what it costs as comments. Errors name\n' +
        'file, line, key and remedy, all at once; warnings do not change the exit code. Secrets are\n' +
        'looked for where the configuration says: run it as the user and with the environment of the\n' +
        'gateway. It looks into the data directory, too, and at what that is on, makes and changes\n' +
        'nothing, and says what the next start would let go.\n' +
        'Exit code: 0 it can be run, 3 it has errors, 4 the data directory cannot be used.',
    ],
    examples: [
      { command: 'cistern check --config /etc/cistern/cistern.toml', why: 'before a restart' },
      { command: 'cistern check', why: 'what holds without a configuration' },
    ],
  },
  async run(args, io) {
    const { config, warnings } = await loadConfig({
      path: args.text('config'),
      overrides: { data: args.text('data') },
      readText,
      secrets: { source: { readText, env: io.env }, uplinkFile: 'error' },
      examineTls: examineTlsFiles,
      examineAuth: (auth) => examineAuth(auth, { readText, readTokenKeys }),
    });
    io.stdout.write(describeConfig(config));
    const cost = describeCost(costOf(config)).map((line) => `# ${line}\n`);
    io.stdout.write(`\n# What it costs:\n${cost.join('')}`);
    if (!takeEverything(config.streams)) io.stdout.write(UNOWNED);
    for (const warning of warnings) io.stderr.write(`${formatIssue(warning)}\n`);
    const place = await examinePlace(config.storage, createNodeDiskSurvey());
    io.stdout.write(`\n# Where it is:\n# ${describePlace(place, config.storage)}\n`);
    warn(io, place.warnings);
    if (place.refusal !== undefined) throw place.refusal;
    warn(io, await lossesIn(place, config));
    return ExitCode.ok;
  },
};

function warn(io: CliIo, warnings: readonly PlaceWarning[]): void {
  for (const { code, message, remedy } of warnings) {
    io.stderr.write(`warning: ${code}: ${message}\n    ${remedy}\n`);
  }
}

/** Of a ring that is there; opening a volume would make what is not. */
async function lossesIn(
  { ringPath, plan }: DataPlace,
  config: Config,
): Promise<readonly PlaceWarning[]> {
  if (plan.kind === 'makes') return [];
  const contents = await readContents({
    volume: await openNodeVolume(ringPath),
    segmentSizeBytes: config.storage.segmentSizeBytes,
    crc32: nodeCrc32,
    compressor: nodeCompressor,
    logger: SILENT,
  });
  return contents === undefined ? [] : lossesOfNextStart(config, plan, contents);
}

/** The start logs damage, and `log verify` names it; here it is not asked for. */
const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};
