import { formatIsoTime } from '../base/iso-time.ts';

/** A message as `sub` prints it. */
export interface ShownMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  readonly retain: boolean;
  /** 0 for QoS 0. */
  readonly packetId: number;
  /** When it came, milliseconds since 1970. */
  readonly wallMs: number;
  readonly properties: ShownProperties;
}

export interface ShownProperties {
  readonly payloadFormatIndicator?: boolean | undefined;
  readonly messageExpiryInterval?: number | undefined;
  readonly contentType?: string | undefined;
  readonly responseTopic?: string | undefined;
  readonly correlationData?: Uint8Array | undefined;
  readonly topicAlias?: number | undefined;
  readonly subscriptionIdentifier?: number | readonly number[] | undefined;
  readonly userProperties?: Readonly<Record<string, string | readonly string[]>> | undefined;
}

const LITERALS: ReadonlyMap<string, string> = new Map([
  ['\\', '\\'],
  ['0', '\0'],
  ['a', '\u0007'],
  ['e', '\u001b'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
]);

type Field = (message: ShownMessage) => string | Buffer;

const FIELDS: ReadonlyMap<string, Field> = new Map<string, Field>([
  ['%', () => '%'],
  ['t', ({ topic }) => topic],
  ['p', ({ payload }) => payload],
  ['x', ({ payload }) => payload.toString('hex')],
  ['X', ({ payload }) => payload.toString('hex').toUpperCase()],
  ['l', ({ payload }) => String(payload.length)],
  ['q', ({ qos }) => String(qos)],
  ['r', ({ retain }) => (retain ? '1' : '0')],
  ['m', ({ packetId }) => String(packetId)],
  ['I', ({ wallMs }) => formatIsoTime(wallMs)],
  ['U', ({ wallMs }) => (wallMs / 1000).toFixed(3)],
  ['j', (message) => toJson(message, message.payload.toString())],
  ['J', (message) => toJson(message, parsePayload(message.payload))],
  ['A', ({ properties }) => text(properties.topicAlias)],
  ['C', ({ properties }) => text(properties.contentType)],
  ['D', ({ properties }) => Buffer.from(properties.correlationData ?? [])],
  ['E', ({ properties }) => text(properties.messageExpiryInterval)],
  ['F', ({ properties }) => (properties.payloadFormatIndicator === true ? '1' : '')],
  ['P', ({ properties }) => userPropertyList(properties).join(' ')],
  ['R', ({ properties }) => text(properties.responseTopic)],
  ['S', ({ properties }) => text(properties.subscriptionIdentifier)],
]);

/**
 * Reads the format of `sub -F`, as that of mosquitto_sub: `%t` topic, `%p` payload, `%q` QoS, … and
 * `\n`. Returns undefined and nothing else where the format has a field that does not exist.
 */
export function compileFormat(format: string): ((message: ShownMessage) => Buffer) | undefined {
  const parts: (string | Field)[] = [];
  for (let at = 0; at < format.length; at++) {
    const char = format.charAt(at);
    if (char === '%') {
      at++;
      const field = FIELDS.get(format.charAt(at));
      if (!field) return undefined;
      parts.push(field);
    } else if (char === '\\' && LITERALS.has(format.charAt(at + 1))) {
      at++;
      parts.push(LITERALS.get(format.charAt(at)) ?? '');
    } else {
      parts.push(char);
    }
  }
  return (message) =>
    Buffer.concat(
      parts.map((part) => {
        const value = typeof part === 'string' ? part : part(message);
        return typeof value === 'string' ? Buffer.from(value) : value;
      }),
    );
}

function text(value: string | number | readonly number[] | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'object' ? value.join(' ') : String(value);
}

function userPropertyList({ userProperties = {} }: ShownProperties): string[] {
  return Object.entries(userProperties).flatMap(([name, values]) =>
    (typeof values === 'string' ? [values] : values).map((value) => `${name}:${value}`),
  );
}

/** The payload as a value where it is JSON, as text where it is not. */
function parsePayload(payload: Buffer): unknown {
  const source = payload.toString();
  try {
    return JSON.parse(source);
  } catch (error) {
    if (error instanceof SyntaxError) return source;
    throw error;
  }
}

function toJson(message: ShownMessage, payload: unknown): string {
  const { wallMs, topic, qos, retain, packetId, properties } = message;
  return JSON.stringify({
    tst: formatIsoTime(wallMs),
    topic,
    qos,
    retain: retain ? 1 : 0,
    payloadlen: message.payload.length,
    ...(packetId === 0 ? {} : { mid: packetId }),
    ...jsonProperties(properties),
    payload,
  });
}

function jsonProperties(properties: ShownProperties): Record<string, unknown> {
  const found: Record<string, unknown> = {
    'payload-format-indicator': properties.payloadFormatIndicator === true ? 1 : undefined,
    'message-expiry-interval': properties.messageExpiryInterval,
    'content-type': properties.contentType,
    'response-topic': properties.responseTopic,
    'correlation-data':
      properties.correlationData && Buffer.from(properties.correlationData).toString(),
    'subscription-identifier': properties.subscriptionIdentifier,
    'user-properties': properties.userProperties,
  };
  const told = Object.entries(found).filter(([, value]) => value !== undefined);
  return told.length === 0 ? {} : { properties: Object.fromEntries(told) };
}
