import { malformed } from './reason-codes.ts';
import { decodeTopic, isMqttString } from './topic.ts';

/**
 * Reads the fields of one packet in order. Whatever would run past `end` is a malformed packet, so
 * that no field can reach into the packet behind it.
 */
export class ByteReader {
  readonly buffer: Uint8Array;
  readonly end: number;
  at: number;

  constructor(buffer: Uint8Array, start: number, end: number) {
    this.buffer = buffer;
    this.at = start;
    this.end = end;
  }

  get atEnd(): boolean {
    return this.at >= this.end;
  }

  /**
   * Part of this packet from here, `length` bytes long, as a reader of its own; this one skips it.
   */
  section(length: number): ByteReader {
    const start = this.#advance(length);
    return new ByteReader(this.buffer, start, this.at);
  }

  uint8(): number {
    return this.buffer[this.#advance(1)] as number;
  }

  uint16(): number {
    const at = this.#advance(2);
    return ((this.buffer[at] as number) << 8) | (this.buffer[at + 1] as number);
  }

  uint32(): number {
    return this.uint16() * 0x1_0000 + this.uint16();
  }

  /** A variable byte integer, at most 4 bytes and no longer than it need be [MQTT-1.5.5-1]. */
  variableInteger(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.uint8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw malformed('a variable byte integer is not minimal');
        return value;
      }
    }
    throw malformed('a variable byte integer has more than 4 bytes');
  }

  string(): string {
    const length = this.uint16();
    const start = this.#advance(length);
    if (!isMqttString(this.buffer, start, this.at)) {
      throw malformed('a string is not well-formed UTF-8 or holds U+0000');
    }
    return decodeTopic(this.buffer, start, this.at);
  }

  /** A copy: control packets outlive the buffer that they arrived in. */
  binary(): Uint8Array {
    const length = this.uint16();
    const start = this.#advance(length);
    return new Uint8Array(this.buffer.subarray(start, this.at));
  }

  #advance(length: number): number {
    const start = this.at;
    if (start + length > this.end) throw malformed('a field is longer than its packet');
    this.at = start + length;
    return start;
  }
}
