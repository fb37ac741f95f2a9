import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import type { IClientOptions } from 'mqtt';
import type { Arguments } from './arguments.ts';

type Protocol = 'mqtt' | 'mqtts' | 'ws' | 'wss';

const DEFAULT_PORTS: Readonly<Record<Protocol, number>> = {
  mqtt: 1883,
  mqtts: 8883,
  ws: 80,
  wss: 443,
};
/** mosquitto_pub speaks TLS to this port even when no option asks for it. */
const TLS_PORT = 8883;
const TLS_OPTIONS = ['cafile', 'cert', 'key', 'insecure', 'tls-use-os-certs'] as const;

/** What `-L` says, taken apart. */
interface BrokerUrl {
  readonly protocol: Protocol;
  readonly host: string;
  readonly port: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Of a WebSocket, with the leading slash. */
  readonly path: string;
  /** Of MQTT over TCP: what is behind the host. */
  readonly topic: string | undefined;
}

/** Where to connect, and how; without a name and password. Fails with USAGE. */
export async function readEndpoint(args: Arguments): Promise<IClientOptions> {
  const url = readUrl(args);
  const port = args.number('port', { min: 1, max: 65_535 });
  const asksForTls = TLS_OPTIONS.some((option) => args.has(option));
  const protocol: Protocol = url?.protocol ?? (asksForTls || port === TLS_PORT ? 'mqtts' : 'mqtt');
  const isSecure = protocol === 'mqtts' || protocol === 'wss';
  if (asksForTls && !isSecure) {
    throw args.usageError(`${protocol}:// is without TLS: write ${protocol}s:// or no TLS option`);
  }
  const host = url?.host ?? args.text('host') ?? '127.0.0.1';
  return {
    protocol,
    host,
    // Without a URL the port is that of plain MQTT, as mosquitto_pub has it.
    port: url?.port ?? port ?? DEFAULT_PORTS.mqtt,
    ...(protocol === 'ws' || protocol === 'wss' ? { path: url?.path ?? '/' } : {}),
    ...(isSecure ? await readTls(args) : {}),
  };
}

/** User name, password and topic in `-L`, as far as they are there. Fails with USAGE. */
export function readUrl(args: Arguments): BrokerUrl | undefined {
  const text = args.text('url');
  if (text === undefined) return undefined;
  if (args.has('host') || args.has('port')) {
    throw args.usageError('-L names host and port: leave out -h and -p');
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const protocol = url?.protocol.slice(0, -1);
  if (url === undefined || !isProtocol(protocol) || url.hostname === '') {
    throw args.usageError(`-L takes mqtt://, mqtts://, ws:// or wss://HOST[:PORT], not "${text}"`);
  }
  const isWeb = protocol === 'ws' || protocol === 'wss';
  // A "#" is a wildcard here, and not the fragment of a page.
  const behind = decode(/^\w+:\/\/[^/]*\/?(.*)$/.exec(text)?.[1] ?? '');
  return {
    protocol,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? DEFAULT_PORTS[protocol] : Number(url.port),
    username: url.username === '' ? undefined : decode(url.username),
    password: url.password === '' ? undefined : decode(url.password),
    path: `${url.pathname}${url.search}`,
    topic: isWeb || behind === '' ? undefined : behind,
  };
}

function isProtocol(text: string | undefined): text is Protocol {
  return text !== undefined && Object.hasOwn(DEFAULT_PORTS, text);
}

function decode(text: string): string {
  return text.replace(/(%[0-9A-Fa-f]{2})+/g, (bytes) =>
    Buffer.from(bytes.replaceAll('%', ''), 'hex').toString(),
  );
}

async function readTls(args: Arguments): Promise<IClientOptions> {
  if (args.has('cert') !== args.has('key')) {
    throw args.usageError('--cert and --key go together');
  }
  const authority = await readPem(args, 'cafile');
  const own = {
    // Node trusts the authorities it was built with; here those of the system count too.
    ca: authority ?? [...getCACertificates('default'), ...getCACertificates('system')],
    ...(args.has('cert') ? { cert: await readPem(args, 'cert') } : {}),
    ...(args.has('key') ? { key: await readPem(args, 'key') } : {}),
    // As in mosquitto_pub, the name alone goes unchecked: who signed the certificate still counts.
    ...(args.has('insecure') ? { checkServerIdentity: () => undefined } : {}),
  } as IClientOptions;
  return { ...own, wsOptions: own as NonNullable<IClientOptions['wsOptions']> };
}

async function readPem(
  args: Arguments,
  option: 'cafile' | 'cert' | 'key',
): Promise<string | undefined> {
  const path = args.text(option);
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw args.usageError(`--${option}: ${path} cannot be read: ${reason}`);
  }
}
