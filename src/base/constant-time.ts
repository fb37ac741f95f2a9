/**
 * Whether two texts are equal, in a time that depends on the length of `given` alone: the time until
 * a refusal must not tell how much of a guessed token was right.
 */
export function equalInConstantTime(given: string, expected: string): boolean {
  let difference = given.length ^ expected.length;
  for (let i = 0; i < given.length; i++) {
    difference |=
      given.charCodeAt(i) ^ expected.charCodeAt(expected.length === 0 ? 0 : i % expected.length);
  }
  return difference === 0;
}

/** As {@link equalInConstantTime}, for bytes. */
export function equalBytesInConstantTime(given: Uint8Array, expected: Uint8Array): boolean {
  let difference = given.length ^ expected.length;
  for (let i = 0; i < given.length; i++) difference |= (given[i] as number) ^ (expected[i] ?? 0);
  return difference === 0;
}
