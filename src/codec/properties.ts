import type { ByteReader } from './byte-reader.ts';
import { binaryBytes, stringBytes, uint16Bytes, uint32Bytes } from './field-bytes.ts';
import { malformed, protocolError } from './reason-codes.ts';
import { variableIntegerBytes } from './variable-integer.ts';

/**
 * MQTT 5.0 properties (section 2.2.2.2). One type for all packets: which of them a packet may carry
 * is checked when it is read. Absent means absent, not the default.
 */
export interface Properties {
  payloadFormat?: number;
  messageExpirySeconds?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  sessionExpirySeconds?: number;
  assignedClientId?: string;
  serverKeepAliveSeconds?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  requestProblemInformation?: boolean;
  willDelaySeconds?: number;
  requestResponseInformation?: boolean;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumQos?: number;
  retainAvailable?: boolean;
  maximumPacketBytes?: number;
  wildcardAvailable?: boolean;
  subscriptionIdsAvailable?: boolean;
  sharedAvailable?: boolean;
  /** In the order they came in, names may repeat [MQTT-3.3.2-18]. */
  userProperties: [string, string][];
  subscriptionIds: number[];
}

type Kind = 'flag' | 'uint8' | 'uint16' | 'uint32' | 'string' | 'binary' | 'ids' | 'pairs';

/** Packets by the bit they have in a property's set. */
export const PropertyHolder = {
  connect: 1,
  connack: 2,
  publish: 4,
  will: 8,
  ack: 16,
  subscribe: 32,
  unsubscribe: 64,
  subscribeAck: 128,
  disconnect: 256,
  auth: 512,
} as const;

interface PropertyRule {
  readonly id: number;
  readonly name: keyof Properties;
  readonly kind: Kind;
  /** Union of {@link PropertyHolder}. */
  readonly holders: number;
}

const {
  connect,
  connack,
  publish,
  will,
  ack,
  subscribe,
  unsubscribe,
  subscribeAck,
  disconnect,
  auth,
} = PropertyHolder;
const anywhere =
  connect |
  connack |
  publish |
  will |
  ack |
  subscribe |
  unsubscribe |
  subscribeAck |
  disconnect |
  auth;

/** Table 2-4 of the specification. */
const rules: readonly PropertyRule[] = [
  { id: 0x01, name: 'payloadFormat', kind: 'uint8', holders: publish | will },
  { id: 0x02, name: 'messageExpirySeconds', kind: 'uint32', holders: publish | will },
  { id: 0x03, name: 'contentType', kind: 'string', holders: publish | will },
  { id: 0x08, name: 'responseTopic', kind: 'string', holders: publish | will },
  { id: 0x09, name: 'correlationData', kind: 'binary', holders: publish | will },
  { id: 0x0b, name: 'subscriptionIds', kind: 'ids', holders: publish | subscribe },
  {
    id: 0x11,
    name: 'sessionExpirySeconds',
    kind: 'uint32',
    holders: connect | connack | disconnect,
  },
  { id: 0x12, name: 'assignedClientId', kind: 'string', holders: connack },
  { id: 0x13, name: 'serverKeepAliveSeconds', kind: 'uint16', holders: connack },
  { id: 0x15, name: 'authenticationMethod', kind: 'string', holders: connect | connack | auth },
  { id: 0x16, name: 'authenticationData', kind: 'binary', holders: connect | connack | auth },
  { id: 0x17, name: 'requestProblemInformation', kind: 'flag', holders: connect },
  { id: 0x18, name: 'willDelaySeconds', kind: 'uint32', holders: will },
  { id: 0x19, name: 'requestResponseInformation', kind: 'flag', holders: connect },
  { id: 0x1a, name: 'responseInformation', kind: 'string', holders: connack },
  { id: 0x1c, name: 'serverReference', kind: 'string', holders: connack | disconnect },
  {
    id: 0x1f,
    name: 'reasonString',
    kind: 'string',
    holders: connack | ack | subscribeAck | disconnect | auth,
  },
  { id: 0x21, name: 'receiveMaximum', kind: 'uint16', holders: connect | connack },
  { id: 0x22, name: 'topicAliasMaximum', kind: 'uint16', holders: connect | connack },
  { id: 0x23, name: 'topicAlias', kind: 'uint16', holders: publish },
  { id: 0x24, name: 'maximumQos', kind: 'uint8', holders: connack },
  { id: 0x25, name: 'retainAvailable', kind: 'flag', holders: connack },
  { id: 0x26, name: 'userProperties', kind: 'pairs', holders: anywhere },
  { id: 0x27, name: 'maximumPacketBytes', kind: 'uint32', holders: connect | connack },
  { id: 0x28, name: 'wildcardAvailable', kind: 'flag', holders: connack },
  { id: 0x29, name: 'subscriptionIdsAvailable', kind: 'flag', holders: connack },
  { id: 0x2a, name: 'sharedAvailable', kind: 'flag', holders: connack },
];

const rulesById: readonly (PropertyRule | undefined)[] = Array.from({ length: 0x2b }, (_, id) =>
  rules.find((rule) => rule.id === id),
);

/** What a packet without properties has. */
export function noProperties(): Properties {
  return { userProperties: [], subscriptionIds: [] };
}

/**
 * Reads a property length and the properties behind it. `holder` is one of {@link PropertyHolder}.
 */
export function readProperties(reader: ByteReader, holder: number): Properties {
  return readPropertySection(reader.section(reader.variableInteger()), holder);
}

/** Reads properties to the end of `section`. */
export function readPropertySection(section: ByteReader, holder: number): Properties {
  const properties = noProperties();
  const seen = new Set<number>();
  while (!section.atEnd) {
    // An identifier is a variable byte integer, all of today's fit in one byte.
    const id = section.variableInteger();
    const rule = rulesById[id];
    if (rule === undefined) throw malformed(`there is no property ${id}`);
    if ((rule.holders & holder) === 0) throw protocolError(`${rule.name} is not allowed here`);
    const repeats = rule.kind === 'pairs' || (rule.kind === 'ids' && holder === publish);
    if (seen.has(id) && !repeats) throw protocolError(`${rule.name} is there twice`);
    seen.add(id);
    readValue(section, rule, properties);
  }
  if (
    properties.authenticationData !== undefined &&
    properties.authenticationMethod === undefined
  ) {
    throw protocolError('authentication data without a method');
  }
  return properties;
}

function readValue(section: ByteReader, rule: PropertyRule, properties: Properties): void {
  switch (rule.kind) {
    case 'pairs':
      properties.userProperties.push([section.string(), section.string()]);
      return;
    case 'ids': {
      const id = section.variableInteger();
      if (id === 0) throw protocolError('a subscription identifier is 0');
      properties.subscriptionIds.push(id);
      return;
    }
    case 'flag': {
      const value = section.uint8();
      if (value > 1) throw protocolError(`${rule.name} is neither 0 nor 1`);
      Object.assign(properties, { [rule.name]: value === 1 });
      return;
    }
    default: {
      const value = readScalar(section, rule.kind);
      checkScalar(rule.name, value);
      Object.assign(properties, { [rule.name]: value });
    }
  }
}

function readScalar(
  section: ByteReader,
  kind: 'uint8' | 'uint16' | 'uint32' | 'string' | 'binary',
): number | string | Uint8Array {
  switch (kind) {
    case 'uint8':
      return section.uint8();
    case 'uint16':
      return section.uint16();
    case 'uint32':
      return section.uint32();
    case 'string':
      return section.string();
    case 'binary':
      return section.binary();
  }
}

/** Values that section 2.2.2 and its neighbours call a protocol error. */
function checkScalar(name: keyof Properties, value: number | string | Uint8Array): void {
  const zeroForbidden =
    name === 'receiveMaximum' || name === 'maximumPacketBytes' || name === 'topicAlias';
  if (zeroForbidden && value === 0) throw protocolError(`${name} is 0`);
  const bitOnly = name === 'payloadFormat' || name === 'maximumQos';
  if (bitOnly && (value as number) > 1) throw protocolError(`${name} is neither 0 nor 1`);
  if (name === 'responseTopic' && /[+#]/.test(value as string)) {
    // [MQTT-3.3.2-14]
    throw protocolError('a response topic holds a wildcard');
  }
}

/**
 * The raw bytes of properties, without their length, in the order of their identifiers. Strings
 * must be well-formed and below 64 KiB, numbers in range: whoever sends them has made them.
 */
export function encodeProperties(properties: Partial<Properties>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { id, name, kind } of rules) {
    const value = properties[name];
    if (value === undefined) continue;
    for (const bytes of valueBytes(kind, value)) parts.push(Uint8Array.of(id), bytes);
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** The bytes of each occurrence of a property. `value` has the type that `kind` stands for. */
function valueBytes(kind: Kind, value: NonNullable<Properties[keyof Properties]>): Uint8Array[] {
  switch (kind) {
    case 'flag':
      return [Uint8Array.of(value === true ? 1 : 0)];
    case 'uint8':
      return [Uint8Array.of(value as number)];
    case 'uint16':
      return [uint16Bytes(value as number)];
    case 'uint32':
      return [uint32Bytes(value as number)];
    case 'string':
      return [stringBytes(value as string)];
    case 'binary':
      return [binaryBytes(value as Uint8Array)];
    case 'ids':
      return (value as number[]).map(variableIntegerBytes);
    case 'pairs':
      return (value as [string, string][]).map(([name, text]) =>
        Buffer.concat([stringBytes(name), stringBytes(text)]),
      );
  }
}
