import { isDeepStrictEqual } from 'node:util';
import { type Bytes, join, showBytes, toBytes, type Version } from './bytes.ts';
import type { Link, Transport } from './transport.ts';

export interface Connack {
  readonly sessionPresent: boolean;
  readonly code: number;
  /** Raw properties by identifier; empty below 5.0. */
  readonly properties: ReadonlyMap<number, Uint8Array>;
}

const ACKS = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 } as const;

/** Bytes of a CONNACK property behind its identifier; strings and pairs say their own length. */
const CONNACK_PROPERTY_BYTES: Readonly<Record<number, number | 'string' | 'pair'>> = {
  0x11: 4,
  0x12: 'string',
  0x13: 2,
  0x15: 'string',
  0x16: 'string',
  0x1a: 'string',
  0x1c: 'string',
  0x1f: 'string',
  0x21: 2,
  0x22: 2,
  0x24: 1,
  0x25: 1,
  0x26: 'pair',
  0x27: 4,
  0x28: 1,
  0x29: 1,
  0x2a: 1,
};

/**
 * One connection of a scenario. It does nothing of its own accord: each packet it sends, and each it
 * is to receive, is written in the scenario. What came and was not asked for fails the next `expect`.
 */
export class Peer {
  readonly version: Version;
  readonly #link: Link;
  readonly #transport: Transport;
  #received: Uint8Array = new Uint8Array(0);

  constructor(link: Link, transport: Transport, version: Version) {
    this.#link = link;
    this.#transport = transport;
    this.version = version;
  }

  /** Sends everything in one piece. */
  send(...bytes: readonly Bytes[]): void {
    this.#link.send(join(...bytes));
  }

  drop(): void {
    this.#link.drop();
  }

  /** The next packet, whatever it is. */
  async next(): Promise<Uint8Array> {
    const packet = await this.#next();
    if (packet === undefined) {
      const rest = brief(this.#received) || 'nothing';
      const how = this.#link.closed ? 'the connection was closed' : 'no packet came';
      throw new Error(`${how}; received since the last packet: ${rest}`);
    }
    return packet;
  }

  /** The next packet is this one, byte by byte. */
  async expect(bytes: Bytes): Promise<void> {
    const [came, wanted] = [await this.next(), toBytes(bytes)];
    if (Buffer.compare(came, wanted) === 0) return;
    throw new Error(`came   ${brief(came)}\nwanted ${brief(wanted)}`);
  }

  /** The next packets are these, in any order. */
  async expectInAnyOrder(...packets: readonly Bytes[]): Promise<void> {
    const came: string[] = [];
    for (const _ of packets) came.push(showBytes(await this.next()));
    const wanted = packets.map((packet) => showBytes(toBytes(packet)));
    isEqual('packets', came.sort(), wanted.sort());
  }

  async expectConnack(code = 0, sessionPresent = false): Promise<Connack> {
    const packet = await this.next();
    const body = bodyOf(packet);
    const [flags, came] = body;
    const wanted = { first: 0x20, flags: sessionPresent ? 1 : 0, code };
    isEqual('CONNACK', { first: packet[0], flags, code: came }, wanted);
    return { sessionPresent, code, properties: this.#connackProperties(body) };
  }

  /** An acknowledgement with this reason. Below 5.0 it has none and is known by its bytes. */
  async expectAck(type: keyof typeof ACKS, id: number, code = 0): Promise<void> {
    const packet = await this.next();
    const body = bodyOf(packet);
    const got = {
      first: packet[0],
      id: ((body[0] as number) << 8) | (body[1] as number),
      code: body[2] ?? 0,
    };
    isEqual(type, got, { first: ACKS[type], id, code });
    if (this.version === 4) isEqual('length', body.length, 2);
  }

  /**
   * The broker closes; nothing came before but, in 5.0 with `reason`, a DISCONNECT that says why.
   * Without `reason` no packet may come.
   */
  async expectClosed(reason?: number): Promise<void> {
    const isClosed = await this.#transport.until(() => {
      this.#take();
      return this.#link.closed;
    });
    const came = brief(this.#received) || 'nothing';
    if (!isClosed) throw new Error(`the broker did not close; received ${came}`);
    if (reason === undefined || this.version === 4) {
      isEqual('before the close', came, 'nothing');
    } else {
      const [first, length = 0, code] = this.#received;
      isEqual('DISCONNECT', { first, code }, { first: 0xe0, code: reason });
      isEqual('length up to the close', this.#received.length, 2 + length);
    }
  }

  /** Nothing has come, nor does it while the broker does all it has to; the connection is there. */
  async expectNothing(): Promise<void> {
    await this.#transport.settle();
    this.send('c0 00');
    await this.expect('d0 00');
  }

  /** Nothing has come, and the connection is there; for one that cannot be asked for a PINGRESP. */
  async expectSilence(): Promise<void> {
    await this.#transport.settle();
    this.#take();
    const state = { closed: this.#link.closed, received: showBytes(this.#received) };
    isEqual('connection', state, { closed: false, received: '' });
  }

  /** Whether something has come by the time the broker has done all it has to. */
  async hasReceived(): Promise<boolean> {
    await this.#transport.settle();
    this.#take();
    return this.#received.length > 0;
  }

  #take(): void {
    this.#received = join(this.#received, this.#link.take());
  }

  async #next(): Promise<Uint8Array | undefined> {
    await this.#transport.until(() => {
      this.#take();
      return packetBytes(this.#received) !== undefined || this.#link.closed;
    });
    const length = packetBytes(this.#received);
    if (length === undefined) return undefined;
    const packet = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return packet;
  }

  #connackProperties(body: Uint8Array): ReadonlyMap<number, Uint8Array> {
    const properties = new Map<number, Uint8Array>();
    if (this.version === 4) {
      isEqual('length', body.length, 2);
      return properties;
    }
    const { value, bytes } = readVariableInteger(body, 2);
    isEqual('length', body.length, 2 + bytes + value);
    for (let at = 2 + bytes; at < body.length; ) {
      const id = body[at] as number;
      const length = connackPropertyLength(body, at);
      properties.set(id, body.subarray(at + 1, at + 1 + length));
      at += 1 + length;
    }
    return properties;
  }
}

function connackPropertyLength(body: Uint8Array, at: number): number {
  const kind = CONNACK_PROPERTY_BYTES[body[at] as number];
  if (kind === undefined) throw new Error(`CONNACK has property ${body[at]}, which it may not`);
  if (typeof kind === 'number') return kind;
  const stringBytes = (start: number) =>
    2 + (((body[start] as number) << 8) | (body[start + 1] as number));
  const first = stringBytes(at + 1);
  return kind === 'string' ? first : first + stringBytes(at + 1 + first);
}

/** Assertions are of a scenario, not of a test: it may run without one. */
function isEqual(what: string, came: unknown, wanted: unknown): void {
  if (isDeepStrictEqual(came, wanted)) return;
  throw new Error(`${what}: came ${JSON.stringify(came)}, wanted ${JSON.stringify(wanted)}`);
}

/** A failure shows what differs, not thousands of bytes that do not. */
function brief(bytes: Uint8Array): string {
  if (bytes.length <= 200) return showBytes(bytes);
  const [head, tail] = [showBytes(bytes.subarray(0, 100)), showBytes(bytes.subarray(-50))];
  return `${head} ... ${tail} (${bytes.length} bytes)`;
}

/** What is behind the fixed header. */
export function bodyOf(packet: Uint8Array): Uint8Array {
  return packet.subarray(1 + readVariableInteger(packet, 1).bytes);
}

/** Length of the packet at the beginning of `stream`, undefined while it is not whole. */
function packetBytes(stream: Uint8Array): number | undefined {
  if (stream.length < 2) return undefined;
  const { value, bytes } = readVariableInteger(stream, 1);
  const length = 1 + bytes + value;
  return bytes > 0 && stream.length >= length ? length : undefined;
}

/** `bytes` is 0 while the integer does not end. */
function readVariableInteger(buffer: Uint8Array, at: number): { value: number; bytes: number } {
  let value = 0;
  for (let i = 0; i < 4 && at + i < buffer.length; i += 1) {
    const byte = buffer[at + i] as number;
    value += (byte & 0x7f) * 128 ** i;
    if (byte < 0x80) return { value, bytes: i + 1 };
  }
  return { value: 0, bytes: 0 };
}
