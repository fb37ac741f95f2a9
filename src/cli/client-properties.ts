import type { Arguments } from './arguments.ts';

/** The packets that `-D` can name, of those that we send. */
export type PropertyCommand =
  | 'connect'
  | 'publish'
  | 'subscribe'
  | 'unsubscribe'
  | 'disconnect'
  | 'will';

type Kind = 'number' | 'text' | 'bytes' | 'flag';

interface Known {
  /** As MQTT.js calls it. */
  readonly name: string;
  readonly kind: Kind;
  readonly commands: readonly PropertyCommand[];
}

const MESSAGE: readonly PropertyCommand[] = ['publish', 'will'];

/** By the names that mosquitto gives them, which are those of the specification (2.2.2.2). */
const PROPERTIES: ReadonlyMap<string, Known> = new Map<string, Known>([
  ['payload-format-indicator', { name: 'payloadFormatIndicator', kind: 'flag', commands: MESSAGE }],
  ['message-expiry-interval', { name: 'messageExpiryInterval', kind: 'number', commands: MESSAGE }],
  ['content-type', { name: 'contentType', kind: 'text', commands: MESSAGE }],
  ['response-topic', { name: 'responseTopic', kind: 'text', commands: MESSAGE }],
  ['correlation-data', { name: 'correlationData', kind: 'bytes', commands: MESSAGE }],
  ['topic-alias', { name: 'topicAlias', kind: 'number', commands: ['publish'] }],
  ['will-delay-interval', { name: 'willDelayInterval', kind: 'number', commands: ['will'] }],
  [
    'session-expiry-interval',
    { name: 'sessionExpiryInterval', kind: 'number', commands: ['connect', 'disconnect'] },
  ],
  ['receive-maximum', { name: 'receiveMaximum', kind: 'number', commands: ['connect'] }],
  ['maximum-packet-size', { name: 'maximumPacketSize', kind: 'number', commands: ['connect'] }],
  ['topic-alias-maximum', { name: 'topicAliasMaximum', kind: 'number', commands: ['connect'] }],
  [
    'request-response-information',
    { name: 'requestResponseInformation', kind: 'flag', commands: ['connect'] },
  ],
  [
    'request-problem-information',
    { name: 'requestProblemInformation', kind: 'flag', commands: ['connect'] },
  ],
  [
    'subscription-identifier',
    { name: 'subscriptionIdentifier', kind: 'number', commands: ['subscribe'] },
  ],
]);

const COMMANDS: readonly PropertyCommand[] = [
  'connect',
  'publish',
  'subscribe',
  'unsubscribe',
  'disconnect',
  'will',
];

export type PropertyValue = string | number | boolean | Buffer;

export interface PacketProperties {
  readonly values: Readonly<Record<string, PropertyValue>>;
  /** A name may be there more than once, in order. */
  readonly userProperties: Readonly<Record<string, string[]>>;
}

/** The properties given with `-D`, by packet. Fails with USAGE. */
export function readProperties(args: Arguments): ReadonlyMap<PropertyCommand, PacketProperties> {
  const found = new Map<
    PropertyCommand,
    { values: Record<string, PropertyValue>; userProperties: Record<string, string[]> }
  >();
  for (const text of args.texts('property')) {
    const [commandText = '', name = '', value = '', userValue = ''] = text.split('\0');
    const command = COMMANDS.find((each) => each === commandText);
    if (command === undefined) {
      throw args.usageError(`-D takes one of ${COMMANDS.join(', ')}, not "${commandText}"`);
    }
    const properties = found.get(command) ?? { values: {}, userProperties: {} };
    found.set(command, properties);
    if (name === 'user-property') {
      properties.userProperties[value] = [...(properties.userProperties[value] ?? []), userValue];
      continue;
    }
    const known = PROPERTIES.get(name);
    if (!known?.commands.includes(command)) {
      throw args.usageError(`-D ${command} has no property "${name}"`);
    }
    properties.values[known.name] = convert(known.kind, name, value, args);
  }
  return found;
}

function convert(kind: Kind, name: string, value: string, args: Arguments): PropertyValue {
  switch (kind) {
    case 'text':
      return value;
    case 'bytes':
      return Buffer.from(value);
    case 'flag':
      if (value === '0' || value === '1') return value === '1';
      throw args.usageError(`-D ${name} takes 0 or 1, not "${value}"`);
    case 'number':
      if (/^\d{1,10}$/.test(value) && Number(value) <= 0xffff_ffff) return Number(value);
      throw args.usageError(`-D ${name} takes a number up to 4294967295, not "${value}"`);
  }
}
