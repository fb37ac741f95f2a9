import type { ProtocolVersion } from '../codec/control-packet.ts';
import { publishSize, writePublish } from '../codec/publish-encoder.ts';
import {
  concatProperties,
  encodeSubscriptionIds,
  withMessageExpiry,
  withoutMessageExpiry,
  withTopicAlias,
} from '../codec/publish-properties.ts';
import type { BrokerCounters } from './counters.ts';
import type { MessageExpiry } from './message-expiry.ts';
import type { Output } from './output.ts';
import type { Publication } from './publication.ts';
import { OutboundAliases } from './topic-aliases.ts';

/** What stands in the place of a topic that has an alias. */
const NO_TOPIC = Buffer.alloc(0);

/** Writes PUBLISH packets to one client, in the form and within the bounds that its CONNECT asked for. */
export class PublishWriter {
  version: ProtocolVersion = 4;
  /** Of the client; larger packets are not sent to it [MQTT-3.1.2-24]. */
  maxPacketBytes = Number.POSITIVE_INFINITY;
  readonly #output: Output;
  readonly #counters: BrokerCounters;
  readonly #expiry: MessageExpiry;
  /** Where the client takes topic aliases (5.0). */
  #aliases: OutboundAliases | undefined;

  constructor(output: Output, counters: BrokerCounters, expiry: MessageExpiry) {
    this.#output = output;
    this.#counters = counters;
    this.#expiry = expiry;
  }

  /** Topic Alias Maximum of the client's CONNECT. */
  takeAliases(maximum: number): void {
    if (maximum > 0) this.#aliases = new OutboundAliases(maximum);
  }

  /** False where the packet is larger than the client takes: nothing was written. */
  write(
    publication: Publication,
    qos: 0 | 1 | 2,
    retain: boolean,
    duplicate: boolean,
    packetId: number,
    subscriptionIds: readonly number[],
  ): boolean {
    const { topic, payloadLength } = publication;
    const { version } = this;
    const output = this.#output;
    let { bytes } = topic;
    let { properties } = publication;
    if (version === 5) {
      if (subscriptionIds.length > 0) {
        properties = concatProperties(properties, encodeSubscriptionIds(subscriptionIds));
      }
      if (publication.expirySeconds >= 0) properties = this.#aged(properties, publication);
      const alias = this.#aliases === undefined ? 0 : this.#aliases.known(topic);
      if (alias !== 0) {
        bytes = NO_TOPIC;
        properties = withTopicAlias(properties, alias);
      } else if (this.#aliases !== undefined) {
        properties = this.#tellAlias(this.#aliases, publication, properties);
      }
    }
    const size = publishSize(version, bytes.length, qos, properties.length, payloadLength);
    if (size > this.maxPacketBytes) return false;
    const at = output.reserve(size);
    writePublish(
      output.buffer,
      at,
      version,
      bytes,
      qos,
      retain,
      duplicate,
      packetId,
      properties,
      publication.buffer,
      publication.payloadStart,
      publication.payloadEnd,
    );
    const counters = this.#counters;
    counters.delivered++;
    counters.packetsSent++;
    counters.deliveredPayloadBytes += payloadLength;
    return true;
  }

  /** With the seconds of life that are left, for a message that waited [MQTT-3.3.2-6]. */
  #aged(properties: Uint8Array, publication: Publication): Uint8Array {
    const leftSeconds = Math.ceil(this.#expiry.leftMs(publication) / 1000);
    return withMessageExpiry(withoutMessageExpiry(properties), leftSeconds);
  }

  /** Gives the topic an alias where there is one, but only with a message that is sent for certain. */
  #tellAlias(
    aliases: OutboundAliases,
    { topic, payloadLength }: Publication,
    properties: Uint8Array,
  ): Uint8Array {
    const propertiesLength = properties.length + 3;
    const size = publishSize(5, topic.bytes.length, 2, propertiesLength, payloadLength);
    const alias = size <= this.maxPacketBytes ? aliases.give(topic) : 0;
    return alias === 0 ? properties : withTopicAlias(properties, alias);
  }
}
