/**
 * Packets as bytes, written out here and not by `src/codec`, so that a mistake there cannot hide on
 * both sides. Whatever these builders cannot say a scenario writes as hexadecimal text.
 */

/** A packet or a part of one: bytes, or hexadecimal digits with spaces where they help the reader. */
export type Bytes = Uint8Array | string;

export type Version = 4 | 5;

export function toBytes(bytes: Bytes): Uint8Array {
  if (typeof bytes !== 'string') return bytes;
  const digits = bytes.replaceAll(/\s/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`not hexadecimal: ${bytes}`);
  return Buffer.from(digits, 'hex');
}

export function join(...parts: readonly Bytes[]): Uint8Array {
  return Buffer.concat(parts.map(toBytes));
}

export function showBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replaceAll(/(..)(?=.)/g, '$1 ');
}

export function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

export function uint32(value: number): Uint8Array {
  return join(uint16(value >>> 16), uint16(value & 0xffff));
}

export function variableInteger(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}

/** A string, or bytes that take a string's place, behind its two bytes of length. */
export function string(text: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(text as string);
  return join(uint16(bytes.length), bytes);
}

/** A whole packet: first byte, remaining length, and the parts of its body. */
export function packet(first: number, ...body: readonly Bytes[]): Uint8Array {
  const bytes = join(...body);
  return join(Uint8Array.of(first), variableInteger(bytes.length), bytes);
}

/** Properties of MQTT 5.0, each with its identifier. A packet takes several joined. */
export const property = {
  payloadFormat: (value: number) => join('01', Uint8Array.of(value)),
  messageExpiry: (seconds: number) => join('02', uint32(seconds)),
  contentType: (text: string | Uint8Array) => join('03', string(text)),
  responseTopic: (text: string | Uint8Array) => join('08', string(text)),
  correlationData: (data: string) => join('09', string(data)),
  subscriptionId: (id: number) => join('0b', variableInteger(id)),
  sessionExpiry: (seconds: number) => join('11', uint32(seconds)),
  authenticationMethod: (method: string) => join('15', string(method)),
  authenticationData: (data: string) => join('16', string(data)),
  requestProblemInformation: (value: number) => join('17', Uint8Array.of(value)),
  willDelay: (seconds: number) => join('18', uint32(seconds)),
  requestResponseInformation: (value: number) => join('19', Uint8Array.of(value)),
  reasonString: (text: string) => join('1f', string(text)),
  receiveMaximum: (value: number) => join('21', uint16(value)),
  topicAliasMaximum: (value: number) => join('22', uint16(value)),
  topicAlias: (alias: number) => join('23', uint16(alias)),
  user: (name: string | Uint8Array, value: string | Uint8Array) =>
    join('26', string(name), string(value)),
  maximumPacketSize: (bytes: number) => join('27', uint32(bytes)),
};

export interface Will {
  readonly topic: string | Uint8Array;
  readonly payload: string;
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  /** 5.0. */
  readonly properties?: Bytes;
}

export interface ConnectOptions {
  readonly id?: string | Uint8Array;
  /** Clean Session, Clean Start. Default true. */
  readonly clean?: boolean;
  readonly keepAlive?: number;
  readonly will?: Will;
  readonly user?: string | Uint8Array;
  readonly password?: string;
  /** 5.0. */
  readonly properties?: Bytes;
}

export interface PublishOptions {
  readonly qos?: 0 | 1 | 2;
  readonly id?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
  /** 5.0. */
  readonly properties?: Bytes;
}

export type Filter = readonly [filter: string, options: number];

const ACK_FIRST_BYTE = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 } as const;

/** The packets of one protocol version. */
export class Packets {
  readonly version: Version;

  constructor(version: Version) {
    this.version = version;
  }

  connect(options: ConnectOptions = {}): Uint8Array {
    const { id = 'a', clean = true, keepAlive = 0, will, user, password } = options;
    let flags = clean ? 0x02 : 0;
    if (will !== undefined) flags |= 0x04 | ((will.qos ?? 0) << 3) | (will.retain ? 0x20 : 0);
    if (password !== undefined) flags |= 0x40;
    if (user !== undefined) flags |= 0x80;
    const payload: Bytes[] = [string(id)];
    if (will !== undefined) {
      payload.push(this.#properties(will.properties), string(will.topic), string(will.payload));
    }
    if (user !== undefined) payload.push(string(user));
    if (password !== undefined) payload.push(string(password));
    const head = join(string('MQTT'), Uint8Array.of(this.version, flags), uint16(keepAlive));
    return packet(0x10, head, this.#properties(options.properties), ...payload);
  }

  publish(
    topic: string | Uint8Array,
    payload: string | Uint8Array,
    options: PublishOptions = {},
  ): Uint8Array {
    const { qos = 0, id, dup = false, retain = false, properties } = options;
    const first = 0x30 | (dup ? 0x08 : 0) | (qos << 1) | (retain ? 0x01 : 0);
    const packetId = id === undefined ? '' : uint16(id);
    const content = Buffer.from(payload as string);
    return packet(first, string(topic), packetId, this.#properties(properties), content);
  }

  puback(id: number, code = 0): Uint8Array {
    return this.#ack('puback', id, code);
  }

  pubrec(id: number, code = 0): Uint8Array {
    return this.#ack('pubrec', id, code);
  }

  pubrel(id: number, code = 0): Uint8Array {
    return this.#ack('pubrel', id, code);
  }

  pubcomp(id: number, code = 0): Uint8Array {
    return this.#ack('pubcomp', id, code);
  }

  /** `options` of a filter is the QoS, in 5.0 with the other bits of the subscription options. */
  subscribe(id: number, filters: readonly Filter[], properties?: Bytes): Uint8Array {
    const list = filters.map(([filter, options]) => join(string(filter), Uint8Array.of(options)));
    return packet(0x82, uint16(id), this.#properties(properties), ...list);
  }

  suback(id: number, ...codes: readonly number[]): Uint8Array {
    return packet(0x90, uint16(id), this.#properties(), Uint8Array.from(codes));
  }

  unsubscribe(id: number, ...filters: readonly string[]): Uint8Array {
    return packet(0xa2, uint16(id), this.#properties(), ...filters.map((filter) => string(filter)));
  }

  /** `codes` are left out below 5.0, where UNSUBACK has none. */
  unsuback(id: number, ...codes: readonly number[]): Uint8Array {
    const list = this.version === 5 ? codes : [];
    return packet(0xb0, uint16(id), this.#properties(), Uint8Array.from(list));
  }

  pingreq(): Uint8Array {
    return toBytes('c0 00');
  }

  pingresp(): Uint8Array {
    return toBytes('d0 00');
  }

  /** Below 5.0 there is neither a reason nor a property. */
  disconnect(code = 0, properties?: Bytes): Uint8Array {
    if (this.version === 4 || (code === 0 && properties === undefined)) return toBytes('e0 00');
    return packet(0xe0, Uint8Array.of(code), this.#properties(properties));
  }

  #properties(properties: Bytes = ''): Bytes {
    if (this.version === 4) return '';
    const bytes = toBytes(properties);
    return join(variableInteger(bytes.length), bytes);
  }

  /** Reason 0 without properties is left out, as section 3.4.2.1 of 5.0 allows. */
  #ack(type: keyof typeof ACK_FIRST_BYTE, id: number, code: number): Uint8Array {
    const reason = this.version === 5 && code !== 0 ? Uint8Array.of(code) : '';
    return packet(ACK_FIRST_BYTE[type], uint16(id), reason);
  }
}
