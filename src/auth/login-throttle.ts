/** Failures under one key that cost nothing: a mistyped password is not an attack. */
const FREE_FAILURES = 5;
/** The gap between two checks under one key doubles from the first to the second of these. */
const FIRST_GAP_MS = 100;
const LONGEST_GAP_MS = 2_000;
/** A login that would have to wait longer than this is refused unchecked. */
const LONGEST_WAIT_MS = 4_000;
/** One failure is forgiven after each of these. */
const FORGIVE_MS = 10_000;
/** Failures beyond this change nothing any more but how long it takes to be forgiven. */
const MOST_FAILURES = 60;
/** Keys that are remembered; the one that failed longest ago goes first. */
const MAX_KEYS = 4_096;
/** Pairs of address and user that came in well. */
const MAX_KNOWN = 16_384;

interface FailureRecord {
  failures: number;
  /** Since when `failures` are to be forgiven. */
  sinceMs: number;
  /** When the next login under this key may be checked. */
  nextMs: number;
}

/** What a login is slowed down by. */
export interface LoginKeys {
  readonly address: string;
  /** Undefined where there is no name to guess for: a token names its user itself. */
  readonly username: string | undefined;
}

/**
 * Slows down the guessing of passwords. Failures are counted by address and by user; after a few,
 * logins under that key are checked one after the other with a growing gap, and those for whom the
 * line is too long are refused unchecked.
 *
 * Who guesses must not lock out who belongs here. A pair of address and user that has come in before
 * stands in a line of its own, so a device that logs in again after a dropped link waits neither for
 * a guesser at its address (behind a NAT, in a container) nor for one elsewhere who tries its name.
 * Each login that succeeds forgives its address one failure, so that one device with an old password
 * does not hold up the thousand beside it.
 *
 * Memory is bounded: about 20,000 short keys. Times are monotonic milliseconds.
 */
export class LoginThrottle {
  readonly #records = new Map<string, FailureRecord>();
  readonly #known = new Set<string>();

  /** Lines that are remembered. */
  get size(): number {
    return this.#records.size;
  }

  /** Milliseconds to wait before this login is checked; undefined where it is to be refused. */
  enter(keys: LoginKeys, nowMs: number): number | undefined {
    const slow = this.#slowLines(keys, nowMs);
    if (slow.length === 0) return 0;
    const at = Math.max(nowMs, ...slow.map(({ nextMs }) => nextMs));
    if (at - nowMs > LONGEST_WAIT_MS) return undefined;
    for (const record of slow) record.nextMs = at + gapOf(record.failures);
    return at - nowMs;
  }

  /** Whether a login that begins now would be checked at once. */
  isFree(keys: LoginKeys, nowMs: number): boolean {
    return this.#slowLines(keys, nowMs).length === 0;
  }

  failed(keys: LoginKeys, nowMs: number): void {
    for (const key of this.#linesOf(keys)) {
      const record = this.#records.get(key) ?? { failures: 0, sinceMs: nowMs, nextMs: nowMs };
      forgive(record, nowMs);
      record.failures = Math.min(record.failures + 1, MOST_FAILURES);
      // Taken out and put in again, the map is in the order of the last failures.
      this.#records.delete(key);
      this.#records.set(key, record);
      dropOldest(this.#records, MAX_KEYS);
    }
  }

  succeeded(keys: LoginKeys, nowMs: number): void {
    const pair = pairOf(keys);
    this.#known.delete(pair);
    this.#known.add(pair);
    dropOldest(this.#known, MAX_KNOWN);
    this.#records.delete(pair);
    const address = this.#records.get(addressKey(keys));
    if (address === undefined) return;
    forgive(address, nowMs);
    address.failures = Math.max(0, address.failures - 1);
  }

  #slowLines(keys: LoginKeys, nowMs: number): FailureRecord[] {
    const records = this.#linesOf(keys)
      .map((key) => this.#records.get(key))
      .filter((record) => record !== undefined);
    for (const record of records) forgive(record, nowMs);
    return records.filter(({ failures }) => failures >= FREE_FAILURES);
  }

  /** The lines a login stands in: its own where it is known, else those of its address and its user. */
  #linesOf(keys: LoginKeys): string[] {
    const pair = pairOf(keys);
    if (this.#known.has(pair)) return [pair];
    const { username } = keys;
    return username === undefined ? [addressKey(keys)] : [addressKey(keys), `user ${username}`];
  }
}

function addressKey({ address }: LoginKeys): string {
  return `address ${networkOf(address)}`;
}

function pairOf(keys: LoginKeys): string {
  return `pair ${networkOf(keys.address)} ${keys.username ?? ''}`;
}

/** An IPv6 host has a whole /64 to call from, so that network counts as one address. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address;
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  const rest = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0');
  return [...groups, ...(tail === undefined ? [] : zeros), ...rest].slice(0, 4).join(':');
}

function forgive(record: FailureRecord, nowMs: number): void {
  const forgiven = Math.floor((nowMs - record.sinceMs) / FORGIVE_MS);
  if (forgiven <= 0) return;
  record.failures = Math.max(0, record.failures - forgiven);
  record.sinceMs += forgiven * FORGIVE_MS;
}

function gapOf(failures: number): number {
  return Math.min(LONGEST_GAP_MS, FIRST_GAP_MS * 2 ** (failures - FREE_FAILURES));
}

function dropOldest(
  keyed: { size: number; keys(): Iterator<string>; delete(key: string): boolean },
  max: number,
): void {
  while (keyed.size > max) keyed.delete(keyed.keys().next().value as string);
}
