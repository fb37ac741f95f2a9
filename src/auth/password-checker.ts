import { equalBytesInConstantTime } from '../base/constant-time.ts';
import { fnv1a } from '../base/fnv1a.ts';
import type { PasswordHashing } from '../platform/password-hashing.ts';
import type { Random } from '../platform/random.ts';
import type { PasswordEntries, PasswordEntry } from './password-file.ts';

/**
 * Hashes are made in Node's pool of four threads, which the ring's writes go through too. So at most
 * two are made at one time, and only one of argon2id, which takes 46 MiB with Mosquitto's costs.
 */
const MAX_WEIGHT = 2;
/** Logins that wait for their hash; a fleet that comes back at once fits, a flood does not. */
const MAX_QUEUED = 2_000;
/** Good passwords are known again for this long after they were last given. */
const KNOWN_FOR_MS = 60 * 60 * 1000;
const MAX_KNOWN = 10_000;
/** What checking an unknown user costs while the file is empty: that of `cistern passwd`. */
const DECOY_ITERATIONS = 10_000;

interface Job {
  readonly weight: number;
  start(): void;
}

export interface PasswordCheckerOptions {
  readonly hashing: PasswordHashing;
  readonly random: Random;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/**
 * Checks passwords against their hashes, a few at a time.
 *
 * A password that was right is known again for an hour, so that a fleet which comes back after a
 * dropped link is not held up by hashes made to be slow. What is kept is neither password nor plain
 * hash but a digest of user, stored hash and password, under a key that lives in this process alone
 * and is written nowhere: to try passwords against it one must read this process's memory, through
 * which the passwords themselves pass. A changed entry in the file makes another digest, so the old
 * password is not known any more. Wrong passwords are never kept.
 */
export class PasswordChecker {
  readonly #options: PasswordCheckerOptions;
  readonly #queue: Job[] = [];
  /** Digests of passwords that were right, with the time they are forgotten; oldest use first. */
  readonly #known = new Map<string, number>();
  #weight = 0;

  constructor(options: PasswordCheckerOptions) {
    this.#options = options;
  }

  /** Logins that wait or are being checked. */
  get pending(): number {
    return this.#queue.length + this.#weight;
  }

  /**
   * Whether the password is the user's. One who is not in `entries` takes as long as one who is, and
   * is wrong. `password` is copied before this returns. When its turn has come and `mayGo` says no,
   * nothing is hashed.
   */
  async check(
    entries: PasswordEntries,
    { username, password }: { readonly username: string; readonly password: Uint8Array },
    mayGo: () => boolean,
  ): Promise<'right' | 'wrong' | 'busy' | 'held_back'> {
    const entry = entries.get(username);
    const given = new Uint8Array(password);
    const digest = entry && this.#digestOf(entry, given);
    if (digest !== undefined && this.#isKnown(digest)) return 'right';
    if (this.#queue.length >= MAX_QUEUED) return 'busy';
    const tried = entry ?? this.#decoy(entries, username);
    const hash = await this.#inTurn(
      tried.recipe.scheme === 'argon2id' ? MAX_WEIGHT : 1,
      async () =>
        mayGo() ? this.#options.hashing.derive(given, tried.recipe, tried.hash.length) : undefined,
    );
    given.fill(0);
    if (hash === undefined) return 'held_back';
    const isSame = equalBytesInConstantTime(hash, tried.hash);
    if (!isSame || digest === undefined) return 'wrong';
    this.#remember(digest);
    return 'right';
  }

  /** An entry that no password fits, at the cost of one that is in the file: always the same a name. */
  #decoy(entries: PasswordEntries, username: string): PasswordEntry {
    const all = [...entries.values()];
    const like = all[fnv1a(Buffer.from(username)) % Math.max(1, all.length)];
    const recipe = like?.recipe ?? {
      scheme: 'pbkdf2-sha512',
      salt: this.#options.random.bytes(12),
      iterations: DECOY_ITERATIONS,
    };
    return { username, text: '', recipe, hash: like?.hash ?? new Uint8Array(64) };
  }

  #digestOf({ username, text }: PasswordEntry, password: Uint8Array): string {
    return this.#options.hashing.seal([Buffer.from(username), Buffer.from(text), password]);
  }

  #isKnown(digest: string): boolean {
    const untilMs = this.#known.get(digest);
    if (untilMs === undefined) return false;
    this.#known.delete(digest);
    const now = this.#options.nowMs();
    if (untilMs <= now) return false;
    this.#known.set(digest, now + KNOWN_FOR_MS);
    return true;
  }

  #remember(digest: string): void {
    const now = this.#options.nowMs();
    this.#known.set(digest, now + KNOWN_FOR_MS);
    for (const [key, untilMs] of this.#known) {
      if (untilMs > now && this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(key);
    }
  }

  async #inTurn<T>(weight: number, work: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#queue.push({ weight, start: resolve });
      this.#startNext();
    });
    try {
      return await work();
    } finally {
      this.#weight -= weight;
      this.#startNext();
    }
  }

  #startNext(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (this.#weight > 0 && this.#weight + next.weight > MAX_WEIGHT) return;
      this.#queue.shift();
      this.#weight += next.weight;
      next.start();
    }
  }
}
