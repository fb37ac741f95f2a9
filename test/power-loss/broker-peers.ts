import type { AckType } from '../../src/codec/control-packet.ts';
import type { SimCistern } from '../support/sim-cistern.ts';
import type { SimClient } from '../support/sim-client.ts';

const PUBACK = 4;
const PUBREC = 5;
const PUBREL = 6;
const PUBCOMP = 7;

interface Outgoing {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  released: boolean;
}

/**
 * A device with a store of its own: it keeps each message until the broker has let it forget, and
 * after a reconnect goes on where it was, as MQTT 4.4 says.
 */
export class StoringPublisher {
  readonly tried: Outgoing[] = [];
  readonly #open = new Map<number, Outgoing>();
  readonly #clientId: string;
  #client: SimClient | undefined;

  constructor(clientId: string) {
    this.#clientId = clientId;
  }

  get openMessages(): number {
    return this.#open.size;
  }

  connect(cistern: SimCistern): void {
    const client = cistern.client();
    client.autoAck = false;
    client.onAcked = (type, packetId) => this.#onAck(type, packetId);
    client.connect({ clientId: this.#clientId, cleanStart: false });
    this.#client = client;
    for (const [packetId, message] of this.#open) {
      if (message.released) client.ack(PUBREL, packetId);
      else this.#send(packetId, message, true);
    }
  }

  publish(topic: string, payload: string, qos: 1 | 2, retain = false): void {
    const message: Outgoing = { topic, payload, qos, retain, released: false };
    // The lowest free identifier, so that each is used again at once.
    let packetId = 1;
    while (this.#open.has(packetId)) packetId++;
    this.#open.set(packetId, message);
    this.tried.push(message);
    this.#send(packetId, message, false);
  }

  #send(packetId: number, { topic, payload, qos, retain }: Outgoing, dup: boolean): void {
    this.#client?.publish(topic, payload, { packetId, qos, retain, dup });
  }

  #onAck(type: AckType, packetId: number): void {
    const message = this.#open.get(packetId);
    if (message === undefined) return;
    if (type === PUBREC && message.qos === 2) {
      message.released = true;
      this.#client?.ack(PUBREL, packetId);
    } else if ((type === PUBACK && message.qos === 1) || (type === PUBCOMP && message.released)) {
      this.#open.delete(packetId);
    }
  }
}

/** A durable subscriber with a store of its own: QoS 2 messages reach its application once. */
export class StoringSubscriber {
  /** What reached the application, in order. */
  readonly delivered: { readonly topic: string; readonly payload: string; readonly qos: number }[] =
    [];
  readonly #open = new Set<number>();
  readonly #clientId: string;
  readonly #filter: string;
  subscribed = false;
  #client: SimClient | undefined;
  #seen = 0;
  #asked = false;

  constructor(clientId: string, filter: string) {
    this.#clientId = clientId;
    this.#filter = filter;
  }

  connect(cistern: SimCistern): void {
    const client = cistern.client();
    client.autoAck = false;
    client.onAcked = (type, packetId) => {
      if (type !== PUBREL) return;
      this.#open.delete(packetId);
      client.ack(PUBCOMP, packetId);
    };
    client.connect({ clientId: this.#clientId, cleanStart: false });
    this.#client = client;
    this.#seen = 0;
    this.#asked = false;
  }

  disconnect(): void {
    this.#client?.disconnect();
    this.#client = undefined;
  }

  /** Takes what has arrived since the last call. */
  work(): void {
    const client = this.#client;
    if (client === undefined) return;
    if (client.last('suback') !== undefined) this.subscribed = true;
    // Not before CONNACK: what is pipelined behind it would wait for the same commit.
    if (!this.subscribed && !this.#asked && client.last('connack') !== undefined) {
      this.#asked = true;
      client.subscribe(1, [this.#filter, 2]);
    }
    for (const { topic, payload, qos, packetId } of client.received.slice(this.#seen)) {
      this.#seen++;
      if (qos === 1) client.ack(PUBACK, packetId);
      if (qos === 2) client.ack(PUBREC, packetId);
      if (qos === 2 && this.#open.has(packetId)) continue;
      if (qos === 2) this.#open.add(packetId);
      this.delivered.push({ topic, payload, qos });
    }
  }
}
