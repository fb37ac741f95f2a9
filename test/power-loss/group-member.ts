import { noProperties } from '../../src/codec/properties.ts';
import type { SimCistern } from '../support/sim-cistern.ts';
import type { SimClient } from '../support/sim-client.ts';

const PUBACK = 4;
const PUBREC = 5;
const PUBREL = 6;
const PUBCOMP = 7;

interface Owed {
  readonly type: typeof PUBACK | typeof PUBREC | typeof PUBCOMP;
  readonly packetId: number;
}

/** How far a member goes with what it receives: what it owes then, it sends when it is willing again. */
export type Willingness = 'all' | 'pubrec' | 'nothing';

/**
 * A member of a shared subscription with a store of its own. It keeps to QoS 2 as MQTT 4.3.3 says:
 * an identifier is open from PUBLISH to PUBREL, over connections, and what comes under one that is
 * open is a repeat that its application does not hear of.
 */
export class GroupMember {
  readonly clientId: string;
  /** What reached the application, in order. */
  readonly delivered: { readonly payload: string; readonly qos: number }[] = [];
  willingness: Willingness = 'all';
  readonly #filter: string;
  readonly #receiveMaximum: number;
  readonly #open = new Set<number>();
  #owed: Owed[] = [];
  #client: SimClient | undefined;
  #seen = 0;
  #beginsAnew = false;

  constructor(clientId: string, filter: string, receiveMaximum: number) {
    this.clientId = clientId;
    this.#filter = filter;
    this.#receiveMaximum = receiveMaximum;
  }

  /**
   * With `anew` it gives up its session, and with that what it had open. Until the broker has
   * answered it asks for that again.
   */
  connect(cistern: SimCistern, anew = false): void {
    if (anew) this.#beginsAnew = true;
    const client = cistern.client(5);
    client.autoAck = false;
    client.onAcked = (type, packetId) => {
      if (type !== PUBREL) return;
      this.#open.delete(packetId);
      this.#owed.push({ type: PUBCOMP, packetId });
    };
    client.connect({
      clientId: this.clientId,
      cleanStart: this.#beginsAnew,
      properties: {
        ...noProperties(),
        sessionExpirySeconds: 100_000,
        receiveMaximum: this.#receiveMaximum,
      },
    });
    client.subscribe(1, [this.#filter, 2]);
    if (anew) this.#open.clear();
    this.#owed = [];
    this.#seen = 0;
    this.#client = client;
  }

  /** As a cable that is pulled. */
  drop(): void {
    this.#client?.drop();
    this.#client = undefined;
  }

  /** Takes what has arrived since the last call, and sends what it owes and is willing to. */
  work(): void {
    const client = this.#client;
    if (client === undefined) return;
    if (client.last('connack') !== undefined) this.#beginsAnew = false;
    for (const { payload, qos, packetId } of client.received.slice(this.#seen)) {
      this.#seen++;
      this.#owed.push({ type: qos === 1 ? PUBACK : PUBREC, packetId });
      if (qos === 2 && this.#open.has(packetId)) continue;
      if (qos === 2) this.#open.add(packetId);
      this.delivered.push({ payload, qos });
    }
    const later: Owed[] = [];
    for (const owed of this.#owed) {
      const sends = owed.type === PUBCOMP ? 'all' : 'pubrec';
      if (this.willingness === 'all' || this.willingness === sends) {
        client.ack(owed.type, owed.packetId);
      } else {
        later.push(owed);
      }
    }
    this.#owed = later;
  }
}
