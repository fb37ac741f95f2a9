import { NEVER_EXPIRES } from '../../src/broker/session-registry.ts';
import type { Qos } from '../../src/codec/control-packet.ts';
import { noProperties } from '../../src/codec/properties.ts';
import type { SimCistern } from '../support/sim-cistern.ts';
import type { SimClient } from '../support/sim-client.ts';
import { Arrivals, type IsRepeated } from './arrivals.ts';

const PUBACK = 4;
const PUBREC = 5;
const PUBREL = 6;
const PUBCOMP = 7;

const FILTERS = (['d/#', 'r/#', 'b/#', 'will/#'] as const).map((filter) => [filter, 2] as const);

/** A session that the broker may end, by its clock. */
export interface Ending {
  readonly expirySeconds: number;
  /** Whether it may be over by now. */
  readonly isPossible: () => boolean;
}

/**
 * A client with a lasting session and a store of its own, for all that devices publish, and their wills, at QoS 2. It keeps the
 * identifiers that are open over connections [MQTT-4.3.3]: what comes under one of those is a repeat.
 * Its session is never to be forgotten, unless it is said when that may be.
 */
export class Reader {
  readonly name: string;
  readonly arrivals: Arrivals;
  /** Wills that came, as `<device> <connection>`. */
  readonly wills = new Set<string>();
  readonly violations: string[] = [];
  subscribed = false;
  readonly #ending: Ending | undefined;
  readonly #open = new Set<number>();
  #client: SimClient | undefined;
  #seen = 0;
  #greeted = false;

  constructor(name: string, isRepeated: IsRepeated, ending?: Ending) {
    this.name = name;
    this.#ending = ending;
    this.arrivals = new Arrivals(name, isRepeated);
  }

  get isGone(): boolean {
    return this.#client === undefined || this.#client.closed;
  }

  /** Connected, as far as it knows itself. */
  get isThere(): boolean {
    return !this.isGone && this.#greeted;
  }

  connect(cistern: SimCistern): void {
    const expirySeconds = this.#ending?.expirySeconds ?? NEVER_EXPIRES;
    const client = cistern.client(5);
    client.autoAck = false;
    client.onAcked = (type, packetId) => {
      if (type !== PUBREL) return;
      this.#open.delete(packetId);
      client.ack(PUBCOMP, packetId);
    };
    client.connect({
      clientId: this.name,
      cleanStart: false,
      properties: { ...noProperties(), sessionExpirySeconds: expirySeconds, receiveMaximum: 50 },
    });
    this.#client = client;
    this.#seen = 0;
    this.#greeted = false;
  }

  drop(): void {
    this.#client?.drop();
    this.#client = undefined;
  }

  /** Takes what has arrived since the last call, and acknowledges it. */
  work(): void {
    const client = this.#client;
    if (client === undefined || client.closed) return;
    const connack = client.last('connack');
    if (connack?.type !== 'connack') return;
    if (!this.#greeted) this.#greet(client, connack.sessionPresent);
    if (client.last('suback') !== undefined) this.subscribed = true;
    for (const { topic, payload, qos, packetId } of client.received.slice(this.#seen)) {
      this.#seen += 1;
      if (qos === 1) client.ack(PUBACK, packetId);
      if (qos === 2) client.ack(PUBREC, packetId);
      if (qos === 2 && this.#open.has(packetId)) continue;
      if (qos === 2) this.#open.add(packetId);
      this.#take(topic, payload, qos);
    }
  }

  #greet(client: SimClient, present: boolean): void {
    this.#greeted = true;
    if (present && this.subscribed) return;
    if (this.subscribed && this.#ending?.isPossible() !== true) {
      this.violations.push(`${this.name}: its session is forgotten`);
    }
    this.#open.clear();
    client.subscribe(1, ...FILTERS);
  }

  #take(topic: string, payload: string, qos: Qos): void {
    if (topic.startsWith('will/')) {
      this.wills.add(payload);
      return;
    }
    const isNew = this.arrivals.note(payload, qos);
    if (!isNew && qos === 2)
      this.violations.push(`${this.name}: QoS 2 twice: ${payload.slice(0, 30)}`);
  }
}
