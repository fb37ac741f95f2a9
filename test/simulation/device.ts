import { NEVER_EXPIRES } from '../../src/broker/session-registry.ts';
import type { AckType, ProtocolVersion, Qos } from '../../src/codec/control-packet.ts';
import { noProperties } from '../../src/codec/properties.ts';
import type { SimCistern } from '../support/sim-cistern.ts';
import type { SimClient } from '../support/sim-client.ts';
import type { SimRandom } from '../support/sim-random.ts';

const PUBACK = 4;
const PUBREC = 5;
const PUBREL = 6;
const PUBCOMP = 7;
const FIRST_REFUSAL = 0x80;

/** A message as its publisher remembers it until the broker lets it forget. */
interface Open {
  readonly text: string;
  readonly number: number;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  released: boolean;
  sends: number;
}

/** More than this a device does not keep for later. */
const OPEN_MAX = 20;

/**
 * A device with a store of its own, which numbers what it publishes from 0 on and goes on after each
 * reconnect where it was, as MQTT 4.4 says. Its will names the connection that it is of.
 */
export class Device {
  readonly name: string;
  /** First level of its topics, by which a stream owns them. */
  readonly family: string;
  /** By number, each message that was ever handed to the network. */
  readonly tried = new Map<number, { readonly qos: Qos; readonly retain: boolean }>();
  /** Those the broker took: PUBACK, or PUBREC. */
  readonly acknowledged = new Set<number>();
  /** Those that it said it would not take, at the only time that they were sent. */
  readonly refused = new Set<number>();
  /** Those that were sent more than once. */
  readonly repeated = new Set<number>();
  /** The last number that was acknowledged as a retained value; -1 for none. */
  retained = -1;
  connections = 0;
  readonly #version: ProtocolVersion;
  readonly #open = new Map<number, Open>();
  #next = 0;
  #client: SimClient | undefined;

  constructor(name: string, family: string, version: ProtocolVersion) {
    this.name = name;
    this.family = family;
    this.#version = version;
  }

  get openMessages(): number {
    return this.#open.size;
  }

  get isConnected(): boolean {
    return this.#client?.closed === false && this.#client.last('connack') !== undefined;
  }

  get isGone(): boolean {
    return this.#client === undefined || this.#client.closed;
  }

  connect(cistern: SimCistern): void {
    this.#client?.drop();
    this.connections += 1;
    const client = cistern.client(this.#version);
    client.autoAck = false;
    client.onAcked = (type, packetId) => this.#onAck(client, type, packetId);
    client.connect({
      clientId: this.name,
      cleanStart: false,
      will: {
        topic: `will/${this.name}`,
        payload: Buffer.from(`${this.name} ${this.connections}`),
        qos: 1,
        retain: false,
        properties: {},
      } as never,
      properties: { ...noProperties(), sessionExpirySeconds: NEVER_EXPIRES },
    });
    this.#client = client;
    for (const [packetId, message] of this.#open) {
      if (message.released) client.ack(PUBREL, packetId);
      else this.#send(packetId, message, true);
    }
  }

  /** As a cable that is pulled: the will is due. */
  drop(): void {
    this.#client?.drop();
    this.#client = undefined;
  }

  /** In order: there is no will. */
  leave(): void {
    this.#client?.disconnect();
    this.#client = undefined;
  }

  /** One reading; what has no QoS is not worth keeping while there is no connection. */
  publish(random: SimRandom): void {
    const qos = random.pick([0, 1, 1, 2] as const);
    // Of one QoS: a repeat at QoS 1 may come in after a later message at QoS 2 whose repeat does not count.
    const retain = qos === (this.#version === 5 ? 2 : 1) && random.chance(0.2);
    if (qos === 0 ? !this.isConnected : this.#open.size >= OPEN_MAX) return;
    const number = this.#next;
    this.#next += 1;
    const noise = Buffer.from(random.bytes(random.below(500))).toString('base64');
    const text = `${this.name} ${number} ${noise}`;
    this.tried.set(number, { qos, retain });
    if (qos === 0) {
      this.#client?.publish(`${this.family}/${this.name}`, text);
      return;
    }
    let packetId = 1;
    while (this.#open.has(packetId)) packetId += 1;
    const message = { text, number, qos, retain, released: false, sends: 0 };
    this.#open.set(packetId, message);
    if (!this.isGone) this.#send(packetId, message, false);
  }

  #send(packetId: number, message: Open, dup: boolean): void {
    const { text, qos, retain } = message;
    const topic = `${retain ? 'state' : this.family}/${this.name}`;
    message.sends += 1;
    if (message.sends > 1) this.repeated.add(message.number);
    this.#client?.publish(topic, text, { packetId, qos, retain, dup });
  }

  #onAck(client: SimClient, type: AckType, packetId: number): void {
    const message = this.#open.get(packetId);
    if (message === undefined || client !== this.#client) return;
    const reasonCode = client.acks.at(-1)?.reasonCode ?? 0;
    if (reasonCode >= FIRST_REFUSAL && type !== PUBCOMP) {
      if (message.sends === 1) this.refused.add(message.number);
      this.#open.delete(packetId);
    } else if (type === PUBACK && message.qos === 1) {
      this.#take(message);
      this.#open.delete(packetId);
    } else if (type === PUBREC && message.qos === 2) {
      this.#take(message);
      message.released = true;
      client.ack(PUBREL, packetId);
    } else if (type === PUBCOMP && message.released) {
      this.#open.delete(packetId);
    }
  }

  #take({ number, retain }: Open): void {
    this.acknowledged.add(number);
    if (retain) this.retained = Math.max(this.retained, number);
  }
}
