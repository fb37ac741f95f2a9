import { CisternError } from '../base/errors.ts';

const HIGH = 0x1_0000_0000;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function utf8Length(text: string): number {
  return encoder.encode(text).length;
}

/** Numbers up to 2^53 as two little-endian words. */
export function writeU64(view: DataView, position: number, value: number): void {
  view.setUint32(position, value % HIGH, true);
  view.setUint32(position + 4, Math.floor(value / HIGH), true);
}

export function readU64(view: DataView, position: number): number {
  return view.getUint32(position, true) + view.getUint32(position + 4, true) * HIGH;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Writes an unsigned LEB128 number below 2^53 and returns the position behind it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  let rest = value;
  let at = position;
  while (rest > 0x7fff_ffff) {
    bytes[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest > 127) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** A growing byte buffer for the parts that are written rarely: headers, definitions, summaries. */
export class ByteWriter {
  length = 0;
  #bytes: Uint8Array;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  varint(value: number): void {
    this.#reserve(8);
    this.length = writeVarint(this.#bytes, this.length, value);
  }

  f64(value: number): void {
    this.#reserve(8);
    viewOf(this.#bytes).setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** UTF-8 with its length in bytes before it. */
  text(value: string): void {
    const encoded = encoder.encode(value);
    this.varint(encoded.length);
    this.#reserve(encoded.length);
    this.#bytes.set(encoded, this.length);
    this.length += encoded.length;
  }

  /** A view that the next write may change. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
  }

  #reserve(count: number): void {
    if (this.length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** Reads what was written above. Running over the end is RING_DAMAGED, never a wrong value. */
export class ByteReader {
  position: number;
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, position = 0) {
    this.bytes = bytes;
    this.position = position;
    this.#view = viewOf(bytes);
  }

  get ended(): boolean {
    return this.position >= this.bytes.length;
  }

  varint(): number {
    let scale = 1;
    let value = 0;
    for (let count = 0; count < 8; count++) {
      if (this.position >= this.bytes.length) throw tooShort();
      const byte = this.#view.getUint8(this.position++);
      value += (byte & 0x7f) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw tooShort();
  }

  f64(): number {
    if (this.position + 8 > this.bytes.length) throw tooShort();
    const value = this.#view.getFloat64(this.position, true);
    this.position += 8;
    return value;
  }

  text(): string {
    return decoder.decode(this.take(this.varint()));
  }

  /** A view on the next `count` bytes. */
  take(count: number): Uint8Array {
    const end = this.position + count;
    if (end > this.bytes.length) throw tooShort();
    const part = this.bytes.subarray(this.position, end);
    this.position = end;
    return part;
  }
}

function tooShort(): CisternError {
  return new CisternError('RING_DAMAGED', 'A structure of the ring ends before its last field.');
}
