import mqtt from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import { CisternError } from '../base/errors.ts';
import type { Arguments } from './arguments.ts';
import { readEndpoint, readUrl } from './client-endpoint.ts';
import { describeConnectFailure, describeError } from './connect-failure.ts';
import type { PacketProperties } from './client-properties.ts';
import { readProperties } from './client-properties.ts';
import type { CliIo } from './io.ts';

export type Qos = 0 | 1 | 2;

export const QOS_CHOICES: ReadonlyMap<string, Qos> = new Map([
  ['0', 0],
  ['1', 1],
  ['2', 2],
]);

const VERSIONS: ReadonlyMap<string, 3 | 4 | 5> = new Map([
  ['mqttv5', 5],
  ['5', 5],
  ['mqttv311', 4],
  ['311', 4],
  ['3.1.1', 4],
  ['mqttv31', 3],
  ['31', 3],
]);

const CONNECT_TIMEOUT_MS = 10_000;
/** Session expiry that stands for "for ever" (3.1.2.11.2). */
const NEVER_EXPIRES = 0xffff_ffff;

/** Where and as whom to connect, read from the options. Fails with USAGE. */
export async function readClientOptions(args: Arguments, io: CliIo): Promise<IClientOptions> {
  const protocolVersion = args.choice('protocol-version', VERSIONS) ?? 4;
  const isPersistent = args.has('disable-clean-session');
  const clientId = readClientId(args, io);
  if (isPersistent && clientId === undefined) {
    throw args.usageError('-c keeps the session of a client id: give it with -i');
  }
  const url = readUrl(args);
  const password = args.text('pw') ?? url?.password;
  const username = args.text('username') ?? url?.username;
  // MQTT-3.1.2-22: below 5.0 a password needs a user name.
  if (password !== undefined && username === undefined && protocolVersion !== 5) {
    throw args.usageError('-P needs a user name, given with -u');
  }
  if (protocolVersion !== 5 && (args.has('property') || args.has('session-expiry-interval'))) {
    throw args.usageError('-D and -x are of MQTT 5.0: add -V mqttv5');
  }
  const will = readWill(args);
  const connect = connectProperties(args, isPersistent);
  return {
    ...(await readEndpoint(args)),
    clientId: clientId ?? `cistern-${io.processId}-${Math.floor(io.clock.wallMs()).toString(36)}`,
    protocolVersion,
    protocolId: protocolVersion === 3 ? 'MQIsdp' : 'MQTT',
    clean: !isPersistent,
    keepalive: args.number('keepalive', { min: 0, max: 65_535 }) ?? 60,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    manualConnect: true,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(will === undefined ? {} : { will }),
    ...(protocolVersion === 5 ? { properties: connect } : {}),
  };
}

function readClientId(args: Arguments, io: CliIo): string | undefined {
  const prefix = args.text('id-prefix');
  return args.text('id') ?? (prefix === undefined ? undefined : `${prefix}${io.processId}`);
}

function connectProperties(
  args: Arguments,
  isPersistent: boolean,
): NonNullable<IClientOptions['properties']> {
  const seconds = args.number('session-expiry-interval', { min: -1, max: NEVER_EXPIRES });
  const kept = seconds === -1 ? NEVER_EXPIRES : (seconds ?? (isPersistent ? NEVER_EXPIRES : 0));
  return { sessionExpiryInterval: kept, ...toPacket(readProperties(args).get('connect')) };
}

function readWill(args: Arguments): IClientOptions['will'] | undefined {
  const topic = args.text('will-topic');
  if (topic === undefined) {
    for (const option of ['will-payload', 'will-qos', 'will-retain']) {
      if (args.has(option)) throw args.usageError(`--${option} needs --will-topic`);
    }
    return undefined;
  }
  const properties = readProperties(args).get('will');
  return {
    topic,
    payload: Buffer.from(args.text('will-payload') ?? ''),
    qos: args.choice('will-qos', QOS_CHOICES) ?? 0,
    retain: args.has('will-retain'),
    ...(properties === undefined ? {} : { properties: toPacket(properties) }),
  };
}

/** As MQTT.js takes them. */
export function toPacket(properties: PacketProperties | undefined): Record<string, unknown> {
  if (properties === undefined) return {};
  const { values, userProperties } = properties;
  const hasUserProperties = Object.keys(userProperties).length > 0;
  return hasUserProperties ? { ...values, userProperties } : { ...values };
}

/**
 * Connects, once `prepare` has set its handlers: the first message of a kept session may follow the
 * CONNACK at once. Fails with BROKER_UNREACHABLE or BROKER_REFUSED.
 */
export async function openClient(
  options: IClientOptions,
  args: Arguments,
  io: CliIo,
  prepare: (client: MqttClient) => void = () => undefined,
): Promise<MqttClient> {
  const client = mqtt.connect(options);
  // Later errors come with the close that follows them, or with the call that failed.
  client.on('error', (error) => debug(args, io, `error: ${describeError(error)}`));
  client.on('packetsend', (packet) => debug(args, io, `sending ${packet.cmd.toUpperCase()}`));
  client.on('packetreceive', (packet) => debug(args, io, `received ${packet.cmd.toUpperCase()}`));
  prepare(client);
  const where = `${options.host}:${options.port}`;
  await new Promise<void>((resolve, reject) => {
    let failure: unknown;
    const onError = (error: unknown): void => {
      failure = error;
      // Neither closes the socket by itself.
      if (isRefusal(error) || isProtocolFault(error, client)) onClose();
    };
    const onClose = (): void => {
      reject(connectError(failure, where, options));
      client.end(true);
    };
    client.once('connect', () => {
      client.off('close', onClose);
      client.off('error', onError);
      resolve();
    });
    client.on('error', onError);
    client.once('close', onClose);
    client.connect();
  });
  return client;
}

function debug(args: Arguments, io: CliIo, text: string): void {
  if (args.has('debug')) io.stderr.write(`${text}\n`);
}

function isRefusal(error: unknown): error is Error & { code: number } {
  return error instanceof Error && 'code' in error && typeof error.code === 'number';
}

/** MQTT.js has met a packet that it cannot read, and reads on; it closes the socket at other errors. */
function isProtocolFault(error: unknown, client: MqttClient): error is Error {
  return error instanceof Error && !('code' in error) && !client.stream.destroyed;
}

/**
 * Ends the connection and rejects when the broker sends what MQTT.js cannot read: an answer that came
 * with it would be waited for in vain.
 */
export function untilProtocolFault(client: MqttClient): Promise<never> {
  const fault = new Promise<never>((_, reject) => {
    client.on('error', (error) => {
      if (!isProtocolFault(error, client)) return;
      const message = `The broker sent what is not MQTT as we speak it: ${error.message}.`;
      reject(new CisternError('BROKER_UNREACHABLE', message, { cause: error }));
      client.end(true);
    });
  });
  // It is awaited only beside what it can interrupt.
  fault.catch(() => undefined);
  return fault;
}

function connectError(cause: unknown, where: string, options: IClientOptions): CisternError {
  if (isRefusal(cause)) {
    return new CisternError(
      'BROKER_REFUSED',
      `The broker at ${where} refused the connection: ${cause.message} (code ${cause.code}).`,
      { cause, remedy: 'Check user name (-u), password (-P), client id (-i) and version (-V).' },
    );
  }
  const isSecure = options.protocol === 'mqtts' || options.protocol === 'wss';
  const { message, remedy } = describeConnectFailure(cause, where, isSecure);
  return new CisternError('BROKER_UNREACHABLE', message, { cause, remedy });
}

/** Says goodbye, and waits until it is sent; over a broken connection there is nothing to wait for. */
export function closeClient(client: MqttClient, properties?: PacketProperties): Promise<void> {
  return new Promise((resolve) => {
    const options = properties === undefined ? {} : { properties: toPacket(properties) };
    client.end(!client.connected, options, () => resolve());
  });
}
