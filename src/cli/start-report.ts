import { isLoopback, splitAddress } from '../base/address.ts';
import { DEFAULT_ADMIN_LISTEN, STORAGE_DEFAULTS } from '../config/defaults.ts';
import type { Config, UplinkConfig } from '../config/types.ts';
import { describeSize } from '../config/units.ts';

export interface StartFacts {
  readonly version: string;
  readonly nodeId: string;
  readonly config: Config;
  /** With the ports really bound. */
  readonly listeners: readonly { readonly protocol: string; readonly address: string }[];
  readonly adminAddress: string;
  readonly isLocalOnly: boolean;
}

/** What somebody wants to know who has just started a gateway: where everything is. */
export function describeStart(facts: StartFacts): string {
  const { config, listeners } = facts;
  const line = (what: string, text: string): string => `  ${what.padEnd(9)}${text}`;
  const lines = [
    `Cistern ${facts.version} runs as ${facts.nodeId}.`,
    line('data', `${config.storage.path}, a ring of ${describeSize(config.storage.sizeBytes)}`),
    ...listeners.map(({ protocol, address }) =>
      line(protocol, isLoopback(address) ? `${address} (this machine only)` : address),
    ),
    line('admin', `http://${facts.adminAddress}/api/v1/status (or: ${statusCommandFor(facts)})`),
    ...config.streams.map(({ name, topics }) => line('stream', `${name}: ${topics.join(' ')}`)),
    ...(config.uplinks.length === 0
      ? [line('uplink', 'none: messages stay in the ring')]
      : config.uplinks.map((uplink) => line('uplink', describeUplink(uplink)))),
    ...howToOpen(facts),
  ];
  return `${lines.join('\n')}\n`;
}

/** What somebody types beside the gateway, in the directory in which it was started. */
function statusCommandFor({ config, adminAddress }: StartFacts): string {
  const { listen, token } = config.admin;
  // A port of 0 in the file is whichever was free.
  if (splitAddress(listen)?.port === 0) return `cistern status --admin ${adminAddress}`;
  const isDefault = listen === DEFAULT_ADMIN_LISTEN && token === undefined;
  if (isDefault || config.file === undefined) return 'cistern status';
  return `cistern status --config ${shellWord(config.file)}`;
}

function describeUplink({ name, streams, target }: UplinkConfig): string {
  const where = target.type === 'mqtt' ? target.url : target.type;
  return `${name}: ${streams.join(', ')} to ${where}`;
}

/** Only where there is no configuration yet: one who wrote one knows where its listeners are. */
function howToOpen({ config, listeners, isLocalOnly }: StartFacts): string[] {
  const [first] = listeners;
  if (!isLocalOnly || config.file !== undefined || first === undefined) return [];
  const port = splitAddress(first.address)?.port ?? '';
  const { path } = config.storage;
  const data = path === STORAGE_DEFAULTS.path ? '' : ` --data ${shellWord(path)}`;
  return [
    '',
    'To open it to your network, to those who know a password, stop it and run these two commands:',
    '  cistern passwd passwords me',
    `  cistern run --listen 0.0.0.0:${port} --password-file passwords${data}`,
  ];
}

function shellWord(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
