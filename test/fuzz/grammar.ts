import { join, Packets, property, string, type Bytes, type Version } from '../conformance/bytes.ts';
import type { SimRandom } from '../support/sim-random.ts';

const FEW_IDS = [1, 2, 3, 4, 5, 0xffff];
const TEXTS = ['', 'x', 'value', '\u00e9\u{1f600}', 'l'.repeat(200)];

/** What the packets of one storm are about: few names, so that they meet. */
export interface Vocabulary {
  readonly clientIds: readonly string[];
  readonly topics: readonly string[];
  readonly filters: readonly string[];
  /** Begins every payload. */
  readonly mark: string;
}

/**
 * Packets that a client may send, built field by field: each is well-formed, few are sensible. What
 * is wrong on purpose is the work of `mutation.ts`.
 */
export class Grammar {
  readonly #random: SimRandom;
  readonly #words: Vocabulary;

  constructor(random: SimRandom, words: Vocabulary) {
    this.#random = random;
    this.#words = words;
  }

  connect(version: Version): Uint8Array {
    const random = this.#random;
    const packets = new Packets(version);
    const will = random.chance(0.3)
      ? {
          topic: random.pick(this.#words.topics),
          payload: this.#payload(),
          qos: this.#qos(),
          retain: random.chance(0.3),
          properties: version === 5 ? this.#willProperties() : '',
        }
      : undefined;
    return packets.connect({
      id: random.pick(this.#words.clientIds),
      clean: random.chance(0.5),
      keepAlive: random.pick([0, 0, 1, 10, 0xffff]),
      ...(will === undefined ? {} : { will }),
      ...(random.chance(0.1) ? { user: 'user', password: 'password' } : {}),
      properties: version === 5 ? this.#connectProperties() : '',
    });
  }

  /** Any packet but CONNECT. */
  packet(version: Version): Uint8Array {
    const packets = new Packets(version);
    const random = this.#random;
    const id = random.pick(FEW_IDS);
    const code = version === 5 ? random.pick([0, 0, 0, 0x10, 0x80, 0x92, 0x97]) : 0;
    const make = random.pick([
      () => this.publish(version),
      () => this.publish(version),
      () => this.publish(version),
      () => this.#subscribe(packets),
      () => packets.unsubscribe(id, random.pick(this.#words.filters)),
      () => packets.puback(id, code),
      () => packets.pubrec(id, code),
      () => packets.pubrel(id, code === 0x92 ? code : 0),
      () => packets.pubcomp(id, code === 0x92 ? code : 0),
      () => packets.pingreq(),
      () => packets.disconnect(version === 5 ? random.pick([0, 0x04, 0x80]) : 0),
      () => join('f0', string('')),
    ]);
    return make();
  }

  publish(version: Version): Uint8Array {
    const random = this.#random;
    const qos = this.#qos();
    return new Packets(version).publish(random.pick(this.#words.topics), this.#payload(), {
      qos,
      retain: random.chance(0.2),
      dup: qos > 0 && random.chance(0.2),
      ...(qos === 0 ? {} : { id: random.pick(FEW_IDS) }),
      properties: version === 5 ? this.#publishProperties() : '',
    });
  }

  #subscribe(packets: Packets): Uint8Array {
    const random = this.#random;
    const filters = Array.from({ length: 1 + random.below(3) }, () => {
      const bits = packets.version === 5 ? random.pick([0, 0, 0x04, 0x08, 0x10, 0x20, 0x2c]) : 0;
      return [random.pick(this.#words.filters), this.#qos() | bits] as const;
    });
    const properties = random.chance(0.3) ? property.subscriptionId(1 + random.below(300)) : '';
    return packets.subscribe(random.pick(FEW_IDS), filters, properties);
  }

  #qos(): 0 | 1 | 2 {
    return this.#random.pick([0, 1, 2] as const);
  }

  #payload(): string {
    const { mark } = this.#words;
    return mark + this.#random.pick(TEXTS) + String(this.#random.below(1000));
  }

  #connectProperties(): Bytes {
    const random = this.#random;
    return this.#some([
      () => property.sessionExpiry(random.pick([0, 1, 60, 0xffffffff])),
      () => property.receiveMaximum(random.pick([1, 2, 0xffff])),
      () => property.maximumPacketSize(random.pick([1, 20, 100, 100_000])),
      () => property.topicAliasMaximum(random.pick([0, 1, 3, 0xffff])),
      () => property.requestProblemInformation(random.below(2)),
      () => property.requestResponseInformation(random.below(2)),
      () => property.user('name', random.pick(TEXTS)),
      () => property.authenticationMethod('method'),
    ]);
  }

  #willProperties(): Bytes {
    const random = this.#random;
    return this.#some([
      () => property.willDelay(random.pick([0, 1, 30])),
      () => property.messageExpiry(random.pick([0, 1, 60])),
      () => property.contentType('text'),
      () => property.user('name', random.pick(TEXTS)),
    ]);
  }

  #publishProperties(): Bytes {
    const random = this.#random;
    return this.#some([
      () => property.payloadFormat(random.below(2)),
      () => property.messageExpiry(random.pick([0, 1, 60])),
      () => property.contentType(random.pick(TEXTS)),
      () => property.responseTopic('answers'),
      () => property.correlationData('data'),
      () => property.topicAlias(random.pick([1, 2, 1000])),
      () => join(property.user('b', '1'), property.user('a', random.pick(TEXTS))),
    ]);
  }

  /** Each with a low probability, so that most packets are accepted. */
  #some(makers: readonly (() => Uint8Array)[]): Bytes {
    return join(...makers.filter(() => this.#random.chance(0.12)).map((make) => make()));
  }
}
