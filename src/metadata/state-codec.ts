import { decode, encode } from 'cbor-x';

const SEPARATOR = '\u0000';

/** The bytes of a state value (CBOR). Never empty, since an empty value deletes. */
export function encodeState(value: unknown): Uint8Array {
  // The encoder reuses its buffer where a result is small, and these bytes are kept.
  return new Uint8Array(encode(value));
}

/** The value again. Its shape is what whoever wrote the key put there; nothing is checked here. */
export function decodeState(bytes: Uint8Array): unknown {
  return decode(bytes);
}

/** A key from its kind and its parts, none of which may hold U+0000 (no MQTT string may). */
export function stateKey(kind: string, ...parts: readonly string[]): string {
  return [kind, ...parts].join(SEPARATOR);
}

export function stateKeyParts(key: string): readonly string[] {
  return key.split(SEPARATOR);
}
