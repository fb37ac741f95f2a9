import { ByteReader } from './byte-reader.ts';
import { uint32Bytes } from './field-bytes.ts';
import {
  encodeProperties,
  type Properties,
  PropertyHolder,
  readPropertySection,
} from './properties.ts';
import { malformed, protocolError } from './reason-codes.ts';
import { isMqttString } from './topic.ts';
import { variableIntegerSize, writeVariableInteger } from './variable-integer.ts';

/** The properties of a PUBLISH, 5.0 section 3.3.2.3. */
export type PublishProperties = Pick<
  Properties,
  | 'payloadFormat'
  | 'messageExpirySeconds'
  | 'topicAlias'
  | 'responseTopic'
  | 'correlationData'
  | 'userProperties'
  | 'subscriptionIds'
  | 'contentType'
>;

const PAYLOAD_FORMAT = 0x01;
const MESSAGE_EXPIRY = 0x02;
const CONTENT_TYPE = 0x03;
const RESPONSE_TOPIC = 0x08;
const CORRELATION_DATA = 0x09;
const SUBSCRIPTION_ID = 0x0b;
const TOPIC_ALIAS = 0x23;
const USER_PROPERTY = 0x26;

/**
 * Everything of a PUBLISH's properties, as objects. Throws ProtocolError for what is malformed,
 * repeated, unknown or out of range.
 */
export function parsePublishProperties(
  buffer: Uint8Array,
  start: number,
  end: number,
): PublishProperties {
  return readPropertySection(new ByteReader(buffer, start, end), PropertyHolder.publish);
}

/**
 * What a broker needs of a PUBLISH's properties, filled by {@link scanPublishProperties} without an
 * object per message: one is kept by whoever scans.
 */
export interface PublishPropertyScan {
  /** 0 where there is none. */
  topicAlias: number;
  /** -1 where there is none. */
  messageExpirySeconds: number;
  /** -1 where there is none. */
  payloadFormat: number;
  /** How many there are. A client must not send any [MQTT-3.3.4-6]. */
  subscriptionIds: number;
}

/** Validates the properties in bytes `start` to `end` and fills `scan`. Errors as when parsing. */
export function scanPublishProperties(
  buffer: Uint8Array,
  start: number,
  end: number,
  scan: PublishPropertyScan,
): void {
  scan.topicAlias = 0;
  scan.messageExpirySeconds = -1;
  scan.payloadFormat = -1;
  scan.subscriptionIds = 0;
  let seenText = 0;
  let at = start;
  while (at < end) {
    const id = buffer[at] as number;
    const next = propertyEnd(buffer, at, end);
    switch (id) {
      case PAYLOAD_FORMAT:
        if (scan.payloadFormat !== -1) throw protocolError('payloadFormat is there twice');
        scan.payloadFormat = buffer[at + 1] as number;
        if (scan.payloadFormat > 1) throw protocolError('payloadFormat is neither 0 nor 1');
        break;
      case MESSAGE_EXPIRY:
        if (scan.messageExpirySeconds !== -1) {
          throw protocolError('messageExpirySeconds is there twice');
        }
        scan.messageExpirySeconds =
          readUint16(buffer, at + 1) * 0x1_0000 + readUint16(buffer, at + 3);
        break;
      case TOPIC_ALIAS:
        if (scan.topicAlias !== 0) throw protocolError('topicAlias is there twice');
        scan.topicAlias = readUint16(buffer, at + 1);
        if (scan.topicAlias === 0) throw protocolError('topicAlias is 0');
        break;
      case SUBSCRIPTION_ID:
        if (buffer[at + 1] === 0) throw protocolError('a subscription identifier is 0');
        scan.subscriptionIds += 1;
        break;
      case USER_PROPERTY:
        checkUserProperty(buffer, at, next);
        break;
      default: {
        const bit = 1 << id;
        if ((seenText & bit) !== 0) throw protocolError(`property ${id} is there twice`);
        seenText |= bit;
        checkText(buffer, id, at + 3, next);
      }
    }
    at = next;
  }
}

function checkText(buffer: Uint8Array, id: number, start: number, end: number): void {
  if (id === CORRELATION_DATA) return;
  if (!isMqttString(buffer, start, end)) {
    throw malformed('a string is not well-formed UTF-8 or holds U+0000');
  }
  if (id !== RESPONSE_TOPIC) return;
  for (let at = start; at < end; at += 1) {
    // [MQTT-3.3.2-14]
    if (buffer[at] === 0x2b || buffer[at] === 0x23) {
      throw protocolError('a response topic holds a wildcard');
    }
  }
}

function checkUserProperty(buffer: Uint8Array, at: number, end: number): void {
  const nameEnd = at + 3 + readUint16(buffer, at + 1);
  if (!isMqttString(buffer, at + 3, nameEnd) || !isMqttString(buffer, nameEnd + 2, end)) {
    throw malformed('a user property is not well-formed UTF-8 or holds U+0000');
  }
}

/**
 * End of the property at `at`, all of it before `end`; throws where it is longer, or is none that a
 * PUBLISH may carry.
 */
function propertyEnd(buffer: Uint8Array, at: number, end: number): number {
  let next: number;
  switch (buffer[at]) {
    case PAYLOAD_FORMAT:
      next = at + 2;
      break;
    case TOPIC_ALIAS:
      next = at + 3;
      break;
    case MESSAGE_EXPIRY:
      next = at + 5;
      break;
    case SUBSCRIPTION_ID:
      next = variableIntegerEnd(buffer, at + 1, end);
      break;
    case CONTENT_TYPE:
    case RESPONSE_TOPIC:
    case CORRELATION_DATA:
      next = stringEnd(buffer, at + 1, end);
      break;
    case USER_PROPERTY:
      next = stringEnd(buffer, stringEnd(buffer, at + 1, end), end);
      break;
    default:
      // The slow path knows whether it is unknown (malformed) or another packet's (protocol error).
      parsePublishProperties(buffer, at, end);
      throw malformed(`there is no property ${buffer[at]}`);
  }
  if (next > end) throw malformed('a property is longer than its packet');
  return next;
}

function stringEnd(buffer: Uint8Array, at: number, end: number): number {
  if (at + 2 > end) throw malformed('a property is longer than its packet');
  return at + 2 + readUint16(buffer, at);
}

function variableIntegerEnd(buffer: Uint8Array, at: number, end: number): number {
  for (let i = at; i < at + 4 && i < end; i += 1) {
    const byte = buffer[i] as number;
    if (byte >= 0x80) continue;
    if (byte === 0 && i > at) throw malformed('a variable byte integer is not minimal');
    return i + 1;
  }
  throw malformed('a variable byte integer does not end');
}

function readUint16(buffer: Uint8Array, at: number): number {
  return ((buffer[at] as number) << 8) | (buffer[at + 1] as number);
}

/**
 * The property bytes that go to subscribers unaltered and in order ([MQTT-3.3.2-4], -15, -16, -17,
 * -18, -20): all but the topic alias and the subscription identifiers, which belong to one
 * connection. A view of `buffer` where neither is there, else a copy. The bytes must have passed
 * {@link scanPublishProperties} or {@link parsePublishProperties}.
 */
export function forwardableProperties(buffer: Uint8Array, start: number, end: number): Uint8Array {
  return without(buffer, start, end, TOPIC_ALIAS, SUBSCRIPTION_ID);
}

/** The property bytes without the message expiry; a view where there is none. */
export function withoutMessageExpiry(properties: Uint8Array): Uint8Array {
  return without(properties, 0, properties.length, MESSAGE_EXPIRY, MESSAGE_EXPIRY);
}

function without(
  buffer: Uint8Array,
  start: number,
  end: number,
  idA: number,
  idB: number,
): Uint8Array {
  let kept: Uint8Array | undefined;
  let length = 0;
  for (let at = start; at < end; ) {
    const next = propertyEnd(buffer, at, end);
    const drops = buffer[at] === idA || buffer[at] === idB;
    if (drops && kept === undefined) {
      kept = new Uint8Array(end - start - (next - at));
      length = at - start;
      kept.set(buffer.subarray(start, at));
    } else if (!drops && kept !== undefined) {
      kept.set(buffer.subarray(at, next), length);
      length += next - at;
    }
    at = next;
  }
  return kept === undefined ? buffer.subarray(start, end) : kept.subarray(0, length);
}

/**
 * `properties` (raw, without length) with the seconds of life left in front, as a stored message
 * goes out [MQTT-3.3.2-6]. `properties` must hold no message expiry.
 */
export function withMessageExpiry(properties: Uint8Array, seconds: number): Uint8Array {
  const result = new Uint8Array(5 + properties.length);
  result[0] = MESSAGE_EXPIRY;
  result.set(uint32Bytes(seconds), 1);
  result.set(properties, 5);
  return result;
}

/** `properties` (raw, without length) with a topic alias in front; they must hold none. */
export function withTopicAlias(properties: Uint8Array, alias: number): Uint8Array {
  const result = new Uint8Array(3 + properties.length);
  result[0] = TOPIC_ALIAS;
  result[1] = alias >>> 8;
  result[2] = alias & 0xff;
  result.set(properties, 3);
  return result;
}

/**
 * Subscription identifiers as raw properties, to be put beside a message's own [MQTT-3.3.4-3]; the
 * result depends on nothing else, so one may be kept per subscription.
 */
export function encodeSubscriptionIds(subscriptionIds: readonly number[]): Uint8Array {
  let length = 0;
  for (const id of subscriptionIds) length += 1 + variableIntegerSize(id);
  const result = new Uint8Array(length);
  let at = 0;
  for (const id of subscriptionIds) {
    result[at] = SUBSCRIPTION_ID;
    at = writeVariableInteger(result, at + 1, id);
  }
  return result;
}

/** Two runs of raw properties as one; the order among different properties means nothing. */
export function concatProperties(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second;
  if (second.length === 0) return first;
  const result = new Uint8Array(first.length + second.length);
  result.set(first);
  result.set(second, first.length);
  return result;
}

/** The raw property bytes, without their length; see {@link encodeProperties}. */
export function encodePublishProperties(properties: Partial<PublishProperties>): Uint8Array {
  return encodeProperties(properties);
}
