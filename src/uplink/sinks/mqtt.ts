import { connect, type IClientOptions, type IClientPublishOptions, type MqttClient } from 'mqtt';
import { CisternError } from '../../base/errors.ts';
import { AckReasonFilter } from '../../codec/ack-reason-filter.ts';
import { isValidTopicNameText } from '../../codec/topic.ts';
import type { MqttTargetConfig } from '../../config/types.ts';
import type { Clock } from '../../platform/clock.ts';
import type { LinkListener, SendOutcome, Sink, SinkLink, UplinkRecord } from '../sink.ts';
import { Template } from '../template.ts';

export type MqttSinkConfig = Pick<
  MqttTargetConfig,
  'url' | 'version' | 'qos' | 'topic' | 'retain' | 'keepAliveMs'
>;

export interface Credentials {
  readonly username: string | undefined;
  readonly password: string | undefined;
}

export interface MqttSinkOptions {
  readonly config: MqttSinkConfig;
  /** The same at each start, and on no other gateway. */
  readonly clientId: string;
  readonly nodeId: string;
  readonly clock: Clock;
  /** Read anew at each attempt, so that a rotated password needs no restart. */
  readonly credentials: () => Promise<Credentials>;
}

/** Records without an ack at most, where the peer allows more or (3.1.1) cannot say. */
const WINDOW_RECORDS_MAX = { 4: 100, 5: 1000 } as const;
const RECEIVE_MAXIMUM_DEFAULT = 65_535;
/** MQTT.js gives up on its own after 30 s; the forwarder is sooner, so this is a last resort. */
const CONNECT_TIMEOUT_MS = 60_000;
const DEFAULT_PORT = 1883;
/** A peer that does not close within this time after our DISCONNECT is left without waiting. */
const GOODBYE_MS = 200;
/** [MQTT-3.14.1-1]; in 5.0 without a reason it is a normal disconnection (3.14.2.1). */
const DISCONNECT_PACKET = Uint8Array.of(0xe0, 0);

/** What a negative ack of 5.0 (section 2.4) means. Whatever is not listed is the destination's. */
const POISON_REASONS: ReadonlySet<number> = new Set([0x90, 0x95, 0x99]);
/** Reasons of a DISCONNECT that may be about the record that the peer has just read. */
const ENDING_REASONS: ReadonlySet<number> = new Set([
  0x80, 0x81, 0x82, 0x83, 0x90, 0x95, 0x99, 0x9a, 0x9b,
]);
/** How a socket tells that the peer has closed while more was on its way to it. */
const CLOSED_BY_PEER: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE']);
const QUOTA_EXCEEDED = 0x97;
const NO_MATCHING_SUBSCRIBERS = 0x10;

/** CONNACK codes that pass by themselves: the server is busy, not against us. */
const PASSING_REASONS: ReadonlySet<number> = new Set([0x03, 0x88, 0x89, 0x97, 0x9f]);

const REASONS: ReadonlyMap<number, string> = new Map([
  [0x01, 'unacceptable protocol version'],
  [0x02, 'client identifier rejected'],
  [0x03, 'server unavailable'],
  [0x04, 'bad user name or password'],
  [0x05, 'not authorised'],
  [0x80, 'unspecified error'],
  [0x81, 'malformed packet'],
  [0x82, 'protocol error'],
  [0x83, 'implementation specific error'],
  [0x84, 'unsupported protocol version'],
  [0x85, 'client identifier not valid'],
  [0x86, 'bad user name or password'],
  [0x87, 'not authorised'],
  [0x88, 'server unavailable'],
  [0x89, 'server busy'],
  [0x8a, 'banned'],
  [0x8b, 'server shutting down'],
  [0x8d, 'keep alive timeout'],
  [0x8e, 'session taken over (another client has the same client_id)'],
  [0x90, 'topic name invalid'],
  [0x93, 'receive maximum exceeded'],
  [0x95, 'packet too large'],
  [0x96, 'message rate too high'],
  [0x97, 'quota exceeded'],
  [0x98, 'administrative action'],
  [0x99, 'payload format invalid'],
  [0x9a, 'retain not supported'],
  [0x9b, 'QoS not supported'],
  [0x9c, 'use another server'],
  [0x9d, 'server moved'],
  [0x9f, 'connection rate exceeded'],
]);

/** Another MQTT broker: 5.0 or 3.1.1, QoS 1 or 2, at least once (2: once while a link lasts). */
export class MqttSink implements Sink {
  readonly type = 'mqtt';
  readonly prefersBatches = false;
  readonly #options: MqttSinkOptions;
  readonly #template: Template;

  /** Throws CONFIG_INVALID for a topic template that cannot be understood. */
  constructor(options: MqttSinkOptions) {
    this.#options = options;
    this.#template = new Template(options.config.topic, options.nodeId);
  }

  async connect(listener: LinkListener, signal: AbortSignal): Promise<SinkLink> {
    const { config, clientId, credentials } = this.#options;
    const { username, password } = await credentials();
    if (signal.aborted) throw givenUp(config.url);
    const client = connect(connectOptions(config, clientId, username, password));
    return new Promise((resolve, reject) => {
      const link = new MqttLink(client, this.#options, this.#template, listener, {
        onUp: () => resolve(link),
        onFailed: reject,
      });
      signal.addEventListener('abort', () => link.abandon(), { once: true });
    });
  }
}

function connectOptions(
  config: MqttSinkConfig,
  clientId: string,
  username: string | undefined,
  password: string | undefined,
): IClientOptions {
  // Handed over in parts: MQTT.js would take a URL apart with an API that Node warns of.
  const { hostname, port } = new URL(config.url);
  // The ring is the queue and the forwarder retries: everything of that kind in MQTT.js is off.
  return {
    protocol: 'mqtt',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? DEFAULT_PORT : Number(port),
    protocolVersion: config.version,
    clientId,
    clean: true,
    keepalive: Math.round(config.keepAliveMs / 1000),
    reconnectPeriod: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    queueQoSZero: false,
    resubscribe: false,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
}

/** Properties of a CONNACK that bound what may be sent. */
interface Limits {
  windowRecords: number;
  packetBytesMax: number;
  qos: 1 | 2;
  mayRetain: boolean;
}

/** Told once, whichever comes first. */
interface Attempt {
  readonly onUp: () => void;
  readonly onFailed: (error: CisternError) => void;
}

class MqttLink implements SinkLink {
  readonly #client: MqttClient;
  readonly #options: MqttSinkOptions;
  readonly #template: Template;
  readonly #listener: LinkListener;
  readonly #attempt: Attempt;
  readonly #limits: Limits;
  readonly #acks = new AckReasonFilter();
  #phase: 'connecting' | 'up' | 'closed' = 'connecting';
  #outstanding = 0;
  #fault: CisternError | undefined;
  /** What `onClosed` says; a close without any fault is the peer's. */
  #isEndedByPeer = true;

  constructor(
    client: MqttClient,
    options: MqttSinkOptions,
    template: Template,
    listener: LinkListener,
    attempt: Attempt,
  ) {
    this.#client = client;
    this.#options = options;
    this.#template = template;
    this.#listener = listener;
    this.#attempt = attempt;
    const { version, qos } = options.config;
    this.#limits = {
      windowRecords: WINDOW_RECORDS_MAX[version],
      packetBytesMax: Infinity,
      qos,
      mayRetain: true,
    };
    client.once('connect', (packet) => this.#onConnack(packet.properties));
    if (version === 5) {
      // Before MQTT.js, which reads what the stream is piped into.
      client.stream.prependListener('data', (chunk: Buffer) => this.#acks.rewrite(chunk));
    }
    client.on('error', (error) => this.#onError(error));
    // MQTT.js passes on only some of the socket's errors; the others would be a bare "closed".
    client.stream.on('error', (error) => this.#onError(error));
    client.on('disconnect', ({ reasonCode }) => {
      const message = `The upstream ended the connection: ${reasonText(reasonCode ?? 0)}.`;
      const error = new CisternError('UPSTREAM_UNREACHABLE', message);
      this.#noteFault(error, ENDING_REASONS.has(reasonCode ?? 0));
    });
    client.on('close', () => this.#onClose());
  }

  get room(): number {
    return this.#phase === 'up' ? Math.max(0, this.#limits.windowRecords - this.#outstanding) : 0;
  }

  send(records: readonly UplinkRecord[]): void {
    // MQTT.js writes a packet in several pieces; corked, a batch is a few system calls.
    const { stream } = this.#client;
    stream.cork();
    for (const record of records) this.#publish(record);
    stream.uncork();
  }

  async close(): Promise<void> {
    // MQTT.js waits for its socket's end, which comes once: after that it would wait for ever.
    if (this.#phase === 'closed') return;
    const wasUp = this.#phase === 'up';
    this.#phase = 'closed';
    if (wasUp) await this.#sayGoodbye();
    if (this.#client.stream.closed) {
      this.#client.end(true);
      return;
    }
    await new Promise<void>((resolve) => {
      this.#client.end(true, () => resolve());
    });
  }

  /** MQTT.js would hold its DISCONNECT back until all that is in flight was acknowledged. */
  #sayGoodbye(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(GOODBYE_MS, resolve);
      this.#client.stream.once('close', () => {
        timer.cancel();
        resolve();
      });
      this.#client.stream.end(DISCONNECT_PACKET);
    });
  }

  /** The attempt is not wanted any more. */
  abandon(): void {
    if (this.#phase !== 'connecting') return;
    this.#phase = 'closed';
    this.#client.end(true);
    this.#attempt.onFailed(givenUp(this.#options.config.url));
  }

  #onConnack(
    properties:
      | {
          receiveMaximum?: number;
          maximumPacketSize?: number;
          maximumQoS?: number;
          retainAvailable?: boolean;
        }
      | undefined,
  ): void {
    if (this.#phase !== 'connecting') return;
    // No more QoS 1 and 2 messages without an ack than the peer said it takes [MQTT-3.3.4-9].
    const receiveMaximum = properties?.receiveMaximum ?? RECEIVE_MAXIMUM_DEFAULT;
    this.#limits.windowRecords = Math.min(this.#limits.windowRecords, receiveMaximum);
    // [MQTT-3.2.2-15]: no packet larger than the peer takes.
    this.#limits.packetBytesMax = properties?.maximumPacketSize ?? Infinity;
    // [MQTT-3.2.2-14]: no retained message where the peer has none.
    this.#limits.mayRetain = properties?.retainAvailable ?? true;
    const maximumQos = properties?.maximumQoS ?? 2;
    if (maximumQos === 0) {
      this.#noteFault(refusal('it takes QoS 0 only, which acknowledges nothing'));
      this.#client.end(true);
      return;
    }
    // [MQTT-3.2.2-11]: no higher QoS than the peer takes.
    if (maximumQos === 1) this.#limits.qos = 1;
    this.#phase = 'up';
    this.#attempt.onUp();
  }

  #onError(error: Error): void {
    const { url } = this.#options.config;
    if (this.#client.stream.destroyed) {
      this.#noteFault(faultOf(error, url), CLOSED_BY_PEER.has(codeNameOf(error)));
      return;
    }
    // MQTT.js goes on after a packet that it cannot read, and has lost what came with it: whatever
    // was acknowledged there would be waited for in vain.
    const isRefusal = this.#phase === 'connecting' && codeOf(error) !== undefined;
    this.#noteFault(isRefusal ? faultOf(error, url) : protocolFault(error), !isRefusal);
    // What came before that packet is handled in this turn.
    this.#options.clock.atTurnEnd(() => {
      if (this.#phase !== 'closed') this.#client.end(true);
    });
  }

  /** The first fault is the cause; what follows it is noise. */
  #noteFault(error: CisternError, isEndedByPeer = false): void {
    if (this.#fault !== undefined) return;
    this.#fault = error;
    this.#isEndedByPeer = isEndedByPeer;
  }

  #onClose(): void {
    const { phase, fault } = { phase: this.#phase, fault: this.#fault };
    if (phase === 'closed') return;
    this.#phase = 'closed';
    const error =
      fault ?? new CisternError('UPSTREAM_UNREACHABLE', 'The upstream closed the connection.');
    // Frees what MQTT.js holds for the records in flight.
    this.#client.end(true);
    if (phase === 'connecting') this.#attempt.onFailed(error);
    else this.#listener.onClosed(error, this.#isEndedByPeer);
  }

  #publish(record: UplinkRecord): void {
    this.#outstanding += 1;
    const topic = legalTopic(this.#template.render(record));
    const options = this.#publishOptions(record);
    const fault = this.#faultOf(topic, record, options);
    if (fault !== undefined) {
      this.#options.clock.atTurnEnd(() => this.#settle(record, { kind: 'poison', message: fault }));
      return;
    }
    const { payload } = record;
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    this.#client.publish(topic, bytes, options, (error, packet) => {
      if (error === undefined || error === null) this.#settle(record, ACKNOWLEDGED);
      else this.#onPublishError(record, topic, error, packet?.messageId);
    });
  }

  #onPublishError(
    record: UplinkRecord,
    topic: string,
    error: Error,
    packetId: number | undefined,
  ): void {
    const told = codeOf(error);
    // Without a code the connection ended, which `close` tells; the record stays in doubt.
    if (told === undefined) return;
    const code = (packetId === undefined ? undefined : this.#acks.take(packetId)) ?? told;
    // The forwarder names the topic that the record has here.
    const where = topic === record.topic ? '' : ` to ${topic}`;
    const message = `The upstream refused a message${where}: ${reasonText(code)}.`;
    if (code === NO_MATCHING_SUBSCRIBERS) this.#settle(record, ACKNOWLEDGED);
    else if (POISON_REASONS.has(code)) this.#settle(record, { kind: 'poison', message });
    else if (code === QUOTA_EXCEEDED) this.#settle(record, { kind: 'throttled', message });
    else this.#settle(record, { kind: 'refused', message });
  }

  #settle(record: UplinkRecord, outcome: SendOutcome): void {
    if (this.#phase !== 'up') return;
    const hadRoom = this.room > 0;
    this.#outstanding -= 1;
    this.#listener.onSettled(record, outcome);
    if (!hadRoom) this.#listener.onRoom();
  }

  #publishOptions(record: UplinkRecord): IClientPublishOptions {
    const { retain } = this.#options.config;
    const wanted = retain === 'keep' ? record.retain : retain;
    const options: IClientPublishOptions = {
      qos: this.#limits.qos,
      retain: wanted && this.#limits.mayRetain,
    };
    if (this.#options.config.version === 5) options.properties = this.#properties(record);
    return options;
  }

  #properties(record: UplinkRecord): NonNullable<IClientPublishOptions['properties']> {
    const userProperties: Record<string, string | string[]> = {};
    for (const [name, value] of record.userProperties) {
      const known = userProperties[name];
      if (known === undefined) userProperties[name] = value;
      else if (typeof known === 'string') userProperties[name] = [known, value];
      else known.push(value);
    }
    userProperties['cistern.origin'] = record.origin;
    userProperties['cistern.time'] = String(record.eventTimeMs);
    if (!record.isTimeKnown) userProperties['cistern.time_trusted'] = 'false';
    const properties: NonNullable<IClientPublishOptions['properties']> = { userProperties };
    const { contentType, payloadFormat, responseTopic, correlationData, expiryLeftMs } = record;
    if (contentType !== undefined) properties.contentType = contentType;
    if (payloadFormat !== undefined) properties.payloadFormatIndicator = payloadFormat === 1;
    if (responseTopic !== undefined) properties.responseTopic = responseTopic;
    if (correlationData !== undefined) properties.correlationData = Buffer.from(correlationData);
    if (expiryLeftMs !== undefined) {
      properties.messageExpiryInterval = Math.max(1, Math.ceil(expiryLeftMs / 1000));
    }
    return properties;
  }

  /** Why this peer can never take the record, if so. */
  #faultOf(
    topic: string,
    record: UplinkRecord,
    options: IClientPublishOptions,
  ): string | undefined {
    if (!isValidTopicNameText(topic)) return 'Its upstream topic would not be a legal one.';
    const { packetBytesMax } = this.#limits;
    if (packetBytesMax === Infinity) return undefined;
    const bytes = packetBytes(topic, record, options);
    if (bytes <= packetBytesMax) return undefined;
    return `It takes ${bytes} bytes as a packet, and the upstream takes at most ${packetBytesMax}.`;
  }
}

const ACKNOWLEDGED: SendOutcome = { kind: 'acknowledged' };

/** What a template makes of user properties and topics need not be legal in a topic name. */
function legalTopic(topic: string): string {
  return /[+#\0]/.test(topic) ? topic.replaceAll(/[+#\0]/g, '_') : topic;
}

/** Size of the PUBLISH on the wire. */
function packetBytes(topic: string, record: UplinkRecord, options: IClientPublishOptions): number {
  const propertyBytes = propertiesBytes(options.properties);
  const remaining = 2 + Buffer.byteLength(topic) + 2 + propertyBytes + record.payload.length;
  return 1 + variableIntegerBytes(remaining) + remaining;
}

function propertiesBytes(properties: IClientPublishOptions['properties']): number {
  if (properties === undefined) return 0;
  const stringBytes = (text: string): number => 2 + Buffer.byteLength(text);
  let bytes = 0;
  for (const [name, values] of Object.entries(properties.userProperties ?? {})) {
    const list: readonly string[] = typeof values === 'string' ? [values] : values;
    for (const value of list) bytes += 1 + stringBytes(name) + stringBytes(value);
  }
  if (properties.contentType !== undefined) bytes += 1 + stringBytes(properties.contentType);
  if (properties.responseTopic !== undefined) bytes += 1 + stringBytes(properties.responseTopic);
  if (properties.correlationData !== undefined) bytes += 3 + properties.correlationData.length;
  if (properties.payloadFormatIndicator !== undefined) bytes += 2;
  if (properties.messageExpiryInterval !== undefined) bytes += 5;
  return variableIntegerBytes(bytes) + bytes;
}

function variableIntegerBytes(value: number): number {
  if (value < 128) return 1;
  if (value < 16_384) return 2;
  return value < 2_097_152 ? 3 : 4;
}

function reasonText(code: number): string {
  return `${REASONS.get(code) ?? 'no reason given'} (0x${code.toString(16).padStart(2, '0')})`;
}

function refusal(what: string): CisternError {
  return new CisternError('UPSTREAM_REFUSED', `The upstream refused the connection: ${what}.`);
}

function givenUp(url: string): CisternError {
  return new CisternError('UPSTREAM_UNREACHABLE', `The attempt to reach ${url} was given up.`);
}

function codeOf(error: Error): number | undefined {
  const code = codeNameOf(error);
  return typeof code === 'number' ? code : undefined;
}

/** Such as ECONNRESET. */
function codeNameOf(error: Error): unknown {
  return (error as { code?: unknown }).code;
}

/** A host name with several addresses fails with an error for each, and no message of its own. */
function messageOf(error: Error): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  if (error.message === '' && first instanceof Error) return first.message;
  return error.message;
}

function protocolFault(error: Error): CisternError {
  const message = `The upstream sent what is not MQTT as we speak it: ${error.message}.`;
  return new CisternError('UPSTREAM_UNREACHABLE', message, { cause: error });
}

/** A negative CONNACK has a number as its code, a socket's error a name such as ECONNREFUSED. */
function faultOf(error: Error, url: string): CisternError {
  const code = codeOf(error);
  if (code !== undefined && !PASSING_REASONS.has(code)) return refusal(reasonText(code));
  const why = code === undefined ? messageOf(error) : reasonText(code);
  const message = `The upstream ${url} cannot be reached: ${why}.`;
  return new CisternError('UPSTREAM_UNREACHABLE', message, { cause: error });
}
