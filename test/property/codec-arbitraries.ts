import fc from 'fast-check';
import type {
  AckType,
  ControlPacket,
  ProtocolVersion,
  Qos,
  Subscription,
} from '../../src/codec/control-packet.ts';
import { noProperties, type Properties } from '../../src/codec/properties.ts';
import type { PublishProperties } from '../../src/codec/publish-properties.ts';

/** Any MQTT string: every code point but U+0000. */
export const text = fc
  .string({ unit: 'binary', maxLength: 12 })
  .map((value) => value.replaceAll('\0', ''));
const name = text.map((value) => value.replaceAll(/[+#]/g, '')).filter((value) => value !== '');
const filter = fc.oneof(name, fc.constantFrom('#', '+', 'a/+/b', '+/#', '$share/g/+/x'));
const binary = fc.uint8Array({ maxLength: 40 });
const uint32 = fc.nat({ max: 0xffff_ffff });
const positive16 = fc.integer({ min: 1, max: 0xffff });

export const packetId = positive16;
export const qos: fc.Arbitrary<Qos> = fc.constantFrom(0, 1, 2);

const userProperties = fc.array(fc.tuple(text, text), { maxLength: 4 });
const none = fc.constant<number[]>([]);
const identifier = fc.integer({ min: 1, max: 268_435_455 });

export const publishProperties: fc.Arbitrary<PublishProperties> = fc.record(
  {
    payloadFormat: fc.constantFrom(0, 1),
    messageExpirySeconds: uint32,
    topicAlias: positive16,
    responseTopic: name,
    correlationData: binary,
    contentType: text,
    userProperties,
    subscriptionIds: fc.array(identifier, { maxLength: 3 }),
  },
  { requiredKeys: ['userProperties', 'subscriptionIds'] },
);

export const noPublishProperties: PublishProperties = { userProperties: [], subscriptionIds: [] };

export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly packetId: number;
  readonly properties: PublishProperties;
}

export const message: fc.Arbitrary<Message> = fc.record({
  topic: name,
  payload: fc.oneof(
    { arbitrary: fc.uint8Array({ maxLength: 30 }), weight: 9 },
    { arbitrary: fc.uint8Array({ minLength: 100, maxLength: 200 }), weight: 1 },
  ),
  qos,
  retain: fc.boolean(),
  dup: fc.boolean(),
  packetId,
  properties: publishProperties,
});

export interface Ack {
  readonly type: AckType;
  readonly packetId: number;
  readonly reasonCode: number;
}

export const ack: fc.Arbitrary<Ack> = fc.oneof(
  fc.record({
    type: fc.constantFrom<AckType>(4, 5),
    packetId,
    reasonCode: fc.constantFrom(0, 0x10, 0x80, 0x87, 0x97),
  }),
  fc.record({
    type: fc.constantFrom<AckType>(6, 7),
    packetId,
    reasonCode: fc.constantFrom(0, 0x92),
  }),
);

const reasonAndUser = fc.record(
  { reasonString: text, userProperties, subscriptionIds: none },
  { requiredKeys: ['userProperties', 'subscriptionIds'] },
);

const connectProperties: fc.Arbitrary<Properties> = fc.record(
  {
    sessionExpirySeconds: uint32,
    receiveMaximum: positive16,
    maximumPacketBytes: fc.integer({ min: 1, max: 0xffff_ffff }),
    topicAliasMaximum: fc.nat({ max: 0xffff }),
    requestResponseInformation: fc.boolean(),
    requestProblemInformation: fc.boolean(),
    authenticationMethod: text,
    userProperties,
    subscriptionIds: none,
  },
  { requiredKeys: ['userProperties', 'subscriptionIds'] },
);

const willProperties: fc.Arbitrary<Properties> = fc.record(
  {
    willDelaySeconds: uint32,
    payloadFormat: fc.constantFrom(0, 1),
    messageExpirySeconds: uint32,
    contentType: text,
    responseTopic: name,
    correlationData: binary,
    userProperties,
    subscriptionIds: none,
  },
  { requiredKeys: ['userProperties', 'subscriptionIds'] },
);

const connackProperties: fc.Arbitrary<Properties> = fc.record(
  {
    sessionExpirySeconds: uint32,
    receiveMaximum: positive16,
    maximumQos: fc.constantFrom(0, 1),
    retainAvailable: fc.boolean(),
    maximumPacketBytes: fc.integer({ min: 1, max: 0xffff_ffff }),
    assignedClientId: text,
    topicAliasMaximum: fc.nat({ max: 0xffff }),
    wildcardAvailable: fc.boolean(),
    subscriptionIdsAvailable: fc.boolean(),
    sharedAvailable: fc.boolean(),
    serverKeepAliveSeconds: fc.nat({ max: 0xffff }),
    responseInformation: text,
    serverReference: text,
    reasonString: text,
    userProperties,
    subscriptionIds: none,
  },
  { requiredKeys: ['userProperties', 'subscriptionIds'] },
);

/** `properties` in 5.0, none below. */
function only5(
  version: ProtocolVersion,
  properties: fc.Arbitrary<Properties>,
): fc.Arbitrary<Properties> {
  return version === 5 ? properties : fc.constant(null).map(noProperties);
}

function subscription(version: ProtocolVersion): fc.Arbitrary<Subscription> {
  const options = fc.record({
    filter,
    qos,
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
    retainHandling: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
  });
  return options.map((one) => {
    if (version !== 5) {
      return { ...one, noLocal: false, retainAsPublished: false, retainHandling: 0 };
    }
    return one.filter.startsWith('$share/') ? { ...one, noLocal: false } : one;
  });
}

/** What a client may send behind its CONNECT, apart from PUBLISH and acks. */
export function clientControl(version: ProtocolVersion): fc.Arbitrary<ControlPacket> {
  const options: fc.Arbitrary<ControlPacket>[] = [
    fc.record({
      type: fc.constant('subscribe' as const),
      packetId,
      subscriptions: fc.array(subscription(version), { minLength: 1, maxLength: 3 }),
      properties: only5(
        version,
        fc.record({ userProperties, subscriptionIds: fc.array(identifier, { maxLength: 1 }) }),
      ),
    }),
    fc.record({
      type: fc.constant('unsubscribe' as const),
      packetId,
      filters: fc.array(filter, { minLength: 1, maxLength: 3 }),
      properties: only5(version, fc.record({ userProperties, subscriptionIds: none })),
    }),
    fc.constant({ type: 'pingreq' as const }),
    disconnect(version, [0, 4, 0x81, 0x93]),
  ];
  if (version === 5) options.push(auth());
  return fc.oneof(...options);
}

/** What a server may send behind its CONNACK, apart from PUBLISH and acks. */
export function serverControl(version: ProtocolVersion): fc.Arbitrary<ControlPacket> {
  const reasonCode = fc.constantFrom(0, 1, 2, 0x80);
  const options: fc.Arbitrary<ControlPacket>[] = [
    fc.record({
      type: fc.constant('connack' as const),
      sessionPresent: fc.boolean(),
      reasonCode: version === 5 ? fc.constantFrom(0, 0x84, 0x87) : fc.nat({ max: 5 }),
      properties: only5(version, connackProperties),
    }),
    fc.record({
      type: fc.constant('suback' as const),
      packetId,
      reasonCodes: fc.array(reasonCode, { minLength: 1, maxLength: 4 }),
      properties: only5(version, reasonAndUser),
    }),
    fc.record({
      type: fc.constant('unsuback' as const),
      packetId,
      reasonCodes:
        version === 5
          ? fc.array(fc.constantFrom(0, 0x11, 0x87), { minLength: 1, maxLength: 4 })
          : none,
      properties: only5(version, reasonAndUser),
    }),
    fc.constant({ type: 'pingresp' as const }),
  ];
  if (version === 5) options.push(disconnect(version, [0, 0x8b, 0x8e]), auth());
  return fc.oneof(...options);
}

function disconnect(
  version: ProtocolVersion,
  reasonCodes: readonly number[],
): fc.Arbitrary<ControlPacket> {
  return fc.record({
    type: fc.constant('disconnect' as const),
    reasonCode: version === 5 ? fc.constantFrom(...reasonCodes) : fc.constant(0),
    properties: only5(version, reasonAndUser),
  });
}

function auth(): fc.Arbitrary<ControlPacket> {
  return fc.record({
    type: fc.constant('auth' as const),
    reasonCode: fc.constantFrom(0x18, 0x19),
    properties: fc.record({
      authenticationMethod: text,
      authenticationData: binary,
      userProperties,
      subscriptionIds: none,
    }),
  });
}

/** A CONNECT with everything its version allows, at random. */
export function connect(version: ProtocolVersion): fc.Arbitrary<ControlPacket> {
  const will = fc.record({
    topic: name,
    payload: binary,
    qos,
    retain: fc.boolean(),
    properties: only5(version, willProperties),
  });
  const packet = fc.record(
    {
      type: fc.constant('connect' as const),
      protocolVersion: fc.constant(version),
      clientId: text,
      cleanStart: fc.boolean(),
      keepAliveSeconds: fc.nat({ max: 0xffff }),
      will,
      username: text,
      password: binary,
      properties: only5(version, connectProperties),
    },
    {
      requiredKeys: [
        'type',
        'protocolVersion',
        'clientId',
        'cleanStart',
        'keepAliveSeconds',
        'properties',
      ],
    },
  );
  return packet.map(({ password, ...others }) => {
    const isAllowed = version === 5 || others.username !== undefined;
    return password !== undefined && isAllowed ? { ...others, password } : others;
  });
}

export function plainConnect(version: ProtocolVersion): ControlPacket {
  return {
    type: 'connect',
    protocolVersion: version,
    clientId: '',
    cleanStart: true,
    keepAliveSeconds: 0,
    properties: noProperties(),
  };
}

export const plainConnack: ControlPacket = {
  type: 'connack',
  sessionPresent: false,
  reasonCode: 0,
  properties: noProperties(),
};
