import { CisternError } from '../base/errors.ts';

export interface ControlChange {
  readonly key: string;
  /** Empty: the key is deleted. A view on the payload. */
  readonly value: Uint8Array;
}

const KEY_LENGTH_BYTES = 4;

/** A control record's payload: key length (u32, little-endian), key (UTF-8), value. */
export function encodeControl(key: string, value: Uint8Array): Uint8Array {
  const keyBytes = Buffer.byteLength(key, 'utf8');
  const payload = Buffer.alloc(KEY_LENGTH_BYTES + keyBytes + value.length);
  payload.writeUInt32LE(keyBytes, 0);
  payload.write(key, KEY_LENGTH_BYTES, 'utf8');
  payload.set(value, KEY_LENGTH_BYTES + keyBytes);
  return payload;
}

/** Throws RING_DAMAGED where the payload is not a control record. */
export function decodeControl(payload: Uint8Array): ControlChange {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const end = bytes.length < KEY_LENGTH_BYTES ? Infinity : KEY_LENGTH_BYTES + bytes.readUInt32LE(0);
  if (end > bytes.length) {
    throw new CisternError('RING_DAMAGED', 'A control record is shorter than it says.');
  }
  return { key: bytes.toString('utf8', KEY_LENGTH_BYTES, end), value: payload.subarray(end) };
}
