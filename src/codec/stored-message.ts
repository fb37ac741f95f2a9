import { CisternError } from '../base/errors.ts';
import type { Qos } from './control-packet.ts';
import { scanPublishProperties, withoutMessageExpiry } from './publish-properties.ts';

/**
 * What a ring record of a message holds beside topic and payload. The ring does not look into it.
 *
 *   attributes = ""                            QoS 0, nothing else
 *              / flags [expiry] [receipt] [properties]
 *   flags      = bits 0-1 QoS, 2 retain, 3 expiry follows, 4 receipt follows, 5 properties follow,
 *                6-7 zero
 *   expiry     = 4 bytes, big-endian: seconds after the record's time at which the message expires
 *   receipt    = packet identifier (2 bytes, big-endian), length (2 bytes, big-endian), client id
 *   properties = to the end: raw 5.0 PUBLISH properties without length, topic alias, subscription
 *                identifiers and message expiry
 */
const QOS_MASK = 0x03;
const RETAIN = 0x04;
const EXPIRY = 0x08;
const RECEIPT = 0x10;
const PROPERTIES = 0x20;
const UNKNOWN = 0xc0;

const EXPIRY_BYTES = 4;
const NO_BYTES = new Uint8Array(0);

/** Attributes without anything behind the flags, by flags; shared, so nobody may change them. */
const plainAttributes: readonly Uint8Array[] = Array.from({ length: 8 }, (_, flags) =>
  flags === 0 ? NO_BYTES : Uint8Array.of(flags),
);

/** Who sent a QoS 2 message and under which identifier, so that recovery knows it was received. */
export interface Receipt {
  readonly clientId: string;
  readonly packetId: number;
}

export interface MessageAttributes {
  readonly qos: Qos;
  readonly retain: boolean;
  /** Raw, without length and without message expiry; a view of what was decoded. */
  readonly properties: Uint8Array;
  readonly receipt?: Receipt;
  /** From the record's time on; the seconds left go out with the message [MQTT-3.3.2-6]. */
  readonly expirySeconds?: number;
}

/**
 * Encodes attributes into one buffer that is used again, for the hot path: the result is good until
 * the next call, and for a message with nothing but QoS and retain it is a shared constant. The
 * ring copies it within `append`.
 */
export class MessageAttributesEncoder {
  #scratch: Buffer = Buffer.alloc(256);
  readonly #scan = {
    topicAlias: 0,
    messageExpirySeconds: -1,
    payloadFormat: -1,
    subscriptionIds: 0,
  };

  /** `properties` are raw forwardable ones (`forwardableProperties`), a message expiry included. */
  encode(qos: Qos, retain: boolean, properties: Uint8Array, receipt?: Receipt): Uint8Array {
    let flags = qos | (retain ? RETAIN : 0);
    if (properties.length === 0 && receipt === undefined)
      return plainAttributes[flags] as Uint8Array;

    scanPublishProperties(properties, 0, properties.length, this.#scan);
    const expirySeconds = this.#scan.messageExpirySeconds;
    const kept = expirySeconds === -1 ? properties : withoutMessageExpiry(properties);
    const clientIdBytes = receipt === undefined ? 0 : Buffer.byteLength(receipt.clientId);
    const target = this.#room(1 + EXPIRY_BYTES + 4 + clientIdBytes + kept.length);
    let at = 1;
    if (expirySeconds !== -1) {
      flags |= EXPIRY;
      at = target.writeUInt32BE(expirySeconds, at);
    }
    if (receipt !== undefined) {
      flags |= RECEIPT;
      at = target.writeUInt16BE(receipt.packetId, at);
      at = target.writeUInt16BE(clientIdBytes, at);
      at += target.write(receipt.clientId, at);
    }
    if (kept.length > 0) {
      flags |= PROPERTIES;
      target.set(kept, at);
      at += kept.length;
    }
    target[0] = flags;
    return target.subarray(0, at);
  }

  #room(bytes: number): Buffer {
    if (this.#scratch.length < bytes) this.#scratch = Buffer.alloc(2 * bytes);
    return this.#scratch;
  }
}

/** As {@link MessageAttributesEncoder.encode}, into bytes of their own. */
export function encodeMessageAttributes(
  qos: Qos,
  retain: boolean,
  properties: Uint8Array,
  receipt?: Receipt,
): Uint8Array {
  const encoder = new MessageAttributesEncoder();
  return new Uint8Array(encoder.encode(qos, retain, properties, receipt));
}

/** Throws RING_DAMAGED for bytes that no version of this format wrote. */
export function decodeMessageAttributes(bytes: Uint8Array): MessageAttributes {
  if (bytes.length === 0) return { qos: 0, retain: false, properties: NO_BYTES };
  const flags = bytes[0] as number;
  const qos = flags & QOS_MASK;
  const isKnown = (flags & UNKNOWN) === 0 && qos !== 3;
  if (!isKnown) throw damaged(`flags 0x${flags.toString(16)}`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 1;
  const attributes: { -readonly [K in keyof MessageAttributes]: MessageAttributes[K] } = {
    qos: qos as Qos,
    retain: (flags & RETAIN) !== 0,
    properties: NO_BYTES,
  };
  if ((flags & EXPIRY) !== 0) {
    if (at + EXPIRY_BYTES > bytes.length) throw damaged('the expiry is cut off');
    attributes.expirySeconds = buffer.readUInt32BE(at);
    at += EXPIRY_BYTES;
  }
  if ((flags & RECEIPT) !== 0) {
    if (at + 4 > bytes.length) throw damaged('the receipt is cut off');
    const packetId = buffer.readUInt16BE(at);
    const end = at + 4 + buffer.readUInt16BE(at + 2);
    if (end > bytes.length) throw damaged('the client id is cut off');
    attributes.receipt = { packetId, clientId: buffer.toString('utf8', at + 4, end) };
    at = end;
  }
  if ((flags & PROPERTIES) !== 0) attributes.properties = bytes.subarray(at);
  else if (at !== bytes.length) throw damaged('bytes are left over');
  return attributes;
}

function damaged(what: string): CisternError {
  return new CisternError('RING_DAMAGED', `A stored message has attributes nobody wrote: ${what}.`);
}
