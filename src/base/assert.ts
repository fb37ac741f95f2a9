/**
 * A programmer error: a state the code was written never to reach. It is never caught; the process
 * ends and the ring recovers at the next start, which is safer than going on with a wrong state.
 */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Throws {@link AssertionError} unless `condition` holds. For programmer errors only. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Proves at compile time that a `switch` is exhaustive. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
