import type { AckType } from '../../src/codec/control-packet.ts';
import type { PublishView } from '../../src/codec/packet-decoder.ts';
import { noProperties } from '../../src/codec/properties.ts';
import type { Socket } from '../../src/platform/network.ts';
import { SimClient } from '../support/sim-client.ts';

const PUBACK = 4;
const PUBREC = 5;
const PUBREL = 6;
const PUBCOMP = 7;
const NEVER_EXPIRES = 0xffffffff;

/** A message on its way to the broker. */
interface Outgoing {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 1 | 2;
  released: boolean;
}

/** One connection of an honest client; tells what comes before it answers. */
class Session extends SimClient {
  onMessage: (qos: number, packetId: number, payload: string, retain: boolean) => void = () =>
    undefined;
  onAcknowledged: (type: AckType, packetId: number) => void = () => undefined;

  /** What still comes here is for nobody. */
  abandon(): void {
    this.autoAck = false;
    this.onMessage = () => undefined;
    this.onAcknowledged = () => undefined;
  }

  override onPublish(view: PublishView): void {
    const payload = Buffer.from(view.buffer.subarray(view.payloadStart, view.payloadEnd));
    this.onMessage(view.qos, view.packetId, payload.toString(), view.retain);
    super.onPublish(view);
  }

  override onAck(type: AckType, packetId: number, reasonCode: number): void {
    this.onAcknowledged(type, packetId);
    super.onAck(type, packetId, reasonCode);
  }
}

/**
 * A client that keeps every rule, among others that keep none: its session is lasting, it repeats
 * what was not acknowledged, and it knows a repeat of QoS 2 from a new message.
 *
 * What it relies on: each message it was acknowledged reaches every subscriber that was there
 * before, and one of QoS 2 comes to it once.
 */
export class HonestClient {
  readonly id: string;
  readonly version: 4 | 5;
  /** Payloads as they came, repeats of QoS 1 included, retained copies left out. */
  readonly delivered: string[] = [];
  /** Payloads that the broker took over. */
  readonly acknowledged: string[] = [];
  readonly faults: string[] = [];
  readonly #filters: readonly string[];
  readonly #outgoing = new Map<number, Outgoing>();
  readonly #openReceipts = new Set<number>();
  readonly #exactlyOnce = new Set<string>();
  #connection: Session | undefined;
  #isSubscribed = false;
  #packetId = 0;

  constructor(id: string, version: 4 | 5, filters: readonly string[]) {
    this.id = id;
    this.version = version;
    this.#filters = filters;
  }

  get isConnected(): boolean {
    return this.#connection !== undefined && !this.#connection.closed;
  }

  get isSubscribed(): boolean {
    return this.#isSubscribed;
  }

  get waitsForAcks(): boolean {
    return this.#outgoing.size > 0;
  }

  /** Takes the session up over this socket. */
  connect(socket: Socket): void {
    this.#connection?.abandon();
    const session = new Session(socket, this.version);
    this.#connection = session;
    session.onMessage = (qos, packetId, payload, retain) =>
      this.#took(qos, packetId, payload, retain);
    session.onAcknowledged = (type, packetId) => this.#acknowledged(type, packetId);
    session.connect({
      clientId: this.id,
      cleanStart: false,
      properties: { ...noProperties(), sessionExpirySeconds: NEVER_EXPIRES },
    });
    this.#repeat();
    if (!this.#isSubscribed) {
      session.subscribe(1, ...this.#filters.map((filter) => [filter, 2] as const));
    }
  }

  /** After some time: whether SUBACK has come. */
  noteSubscription(): void {
    if (this.#connection?.last('suback') !== undefined) this.#isSubscribed = true;
  }

  publish(topic: string, payload: string, qos: 0 | 1 | 2, retain: boolean): void {
    if (!this.isConnected || this.#outgoing.size >= 20) return;
    if (qos === 0) {
      this.#connection?.publish(topic, payload, { retain });
      return;
    }
    // 1 is for SUBSCRIBE.
    do this.#packetId = this.#packetId >= 40 ? 2 : Math.max(2, this.#packetId + 1);
    while (this.#outgoing.has(this.#packetId));
    const packetId = this.#packetId;
    this.#outgoing.set(packetId, { topic, payload, qos, released: false });
    this.#connection?.publish(topic, payload, { qos, packetId, retain });
  }

  drop(): void {
    this.#connection?.drop();
    this.#connection = undefined;
  }

  disconnect(): void {
    this.#connection?.disconnect();
    this.#connection?.abandon();
    this.#connection = undefined;
  }

  /** The process at the other end is gone, and no close was seen. */
  forget(): void {
    this.#connection = undefined;
  }

  /** In the order they were first sent, under their identifiers. */
  #repeat(): void {
    for (const [packetId, { topic, payload, qos, released }] of this.#outgoing) {
      if (released) this.#connection?.ack(PUBREL, packetId);
      else this.#connection?.publish(topic, payload, { qos, packetId, dup: true });
    }
  }

  #took(qos: number, packetId: number, payload: string, retain: boolean): void {
    if (qos === 2) {
      if (this.#openReceipts.has(packetId)) return;
      this.#openReceipts.add(packetId);
      if (!retain && payload.startsWith('<<')) {
        if (this.#exactlyOnce.has(payload)) this.faults.push(`twice: ${payload}`);
        this.#exactlyOnce.add(payload);
      }
    }
    if (!retain) this.delivered.push(payload);
  }

  #acknowledged(type: AckType, packetId: number): void {
    if (type === PUBREL) {
      this.#openReceipts.delete(packetId);
      return;
    }
    const outgoing = this.#outgoing.get(packetId);
    if (outgoing === undefined) {
      this.faults.push(`an acknowledgement of ${packetId}, which is not on its way`);
      return;
    }
    if (type === PUBACK || type === PUBREC) this.acknowledged.push(outgoing.payload);
    if (type === PUBREC) outgoing.released = true;
    if (type === PUBACK || type === PUBCOMP) this.#outgoing.delete(packetId);
  }
}
