import { assert } from '../base/assert.ts';

/** The data types of section 1.5, as bytes of their own: for control packets, which are few. */

export function uint16Bytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}

export function uint32Bytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

/** Two bytes of length, then the string, which must be well-formed and below 64 KiB. */
export function stringBytes(value: string): Uint8Array {
  return binaryBytes(Buffer.from(value));
}

/** Two bytes of length, then the bytes, fewer than 64 Ki. */
export function binaryBytes(value: Uint8Array): Uint8Array {
  assert(value.length <= 0xffff, 'a field of a packet is longer than 65,535 bytes');
  const result = new Uint8Array(2 + value.length);
  result[0] = value.length >>> 8;
  result[1] = value.length & 0xff;
  result.set(value, 2);
  return result;
}
