/** Bytes of a variable byte integer, 1 to 4. */
export function variableIntegerSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  return value < 0x20_0000 ? 3 : 4;
}

/** Writes a variable byte integer below 2^28 at `at`; returns the position behind it. */
export function writeVariableInteger(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 0x80) {
    target[next] = (rest & 0x7f) | 0x80;
    next += 1;
    rest >>>= 7;
  }
  target[next] = rest;
  return next + 1;
}

/** A variable byte integer as bytes of its own. */
export function variableIntegerBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(variableIntegerSize(value));
  writeVariableInteger(bytes, 0, value);
  return bytes;
}
