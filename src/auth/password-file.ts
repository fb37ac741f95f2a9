import { CisternError } from '../base/errors.ts';
import type { PasswordRecipe } from '../platform/password-hashing.ts';

/** A user of a password file. `text` is the hash as written: another one means another password. */
export interface PasswordEntry {
  readonly username: string;
  readonly text: string;
  readonly recipe: PasswordRecipe;
  readonly hash: Uint8Array;
}

/** Where a user is there twice, the last entry holds, as in Mosquitto. */
export type PasswordEntries = ReadonlyMap<string, PasswordEntry>;

/** More would take a Pi minutes, or memory it has not got, for one login. */
const MAX_ITERATIONS = 10_000_000;
const MAX_ARGON2_MEMORY_KIB = 256 * 1024;
const MAX_ARGON2_PASSES = 64;
const MAX_ARGON2_LANES = 16;

/** Faults named in one message; a file of plain passwords has one a line. */
const MAX_FAULTS_SHOWN = 5;

/**
 * Reads Mosquitto's `password_file`: `user:hash` a line, in any of its formats. Lines that begin with
 * `#`, empty ones and those without a colon are skipped, as Mosquitto skips them.
 *
 * Fails with CONFIG_INVALID, naming line and user and never the password, where a password is not
 * hashed or a hash cannot be read: Mosquitto would drop the user, and nobody would learn why.
 */
export function parsePasswordFile(text: string, path: string): PasswordEntries {
  const entries = new Map<string, PasswordEntry>();
  const faults: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const field = splitEntry(line);
    if (field === undefined) continue;
    const parsed = parseHash(field.hash);
    if (typeof parsed === 'string') {
      faults.push(`line ${index + 1}, user "${field.username}": ${parsed}`);
    } else {
      entries.set(field.username, { username: field.username, text: field.hash, ...parsed });
    }
  }
  if (faults.length > 0) throw unreadable(path, faults);
  return entries;
}

/** The parts of a line that is an entry; undefined for a comment and for what Mosquitto skips. */
export function splitEntry(line: string): { username: string; hash: string } | undefined {
  if (line.startsWith('#')) return undefined;
  const colon = line.indexOf(':');
  if (colon < 0) return undefined;
  const username = line.slice(0, colon).trim();
  if (username === '') return undefined;
  // Mosquitto reads up to a further colon.
  return { username, hash: (line.slice(colon + 1).split(':')[0] ?? '').trim() };
}

/** Whether it is a hash, so that only what is not is hashed by `cistern passwd -U`. */
export function isHashed(text: string): boolean {
  return /^\$(6|7|argon2id)\$/.test(text);
}

/** `$7$iterations$salt$hash`, which Mosquitto reads from 1.6 on. */
export function formatPbkdf2(iterations: number, salt: Uint8Array, hash: Uint8Array): string {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return `$7$${iterations}$${base64(salt)}$${base64(hash)}`;
}

/** The hash taken apart, or what is wrong with it. */
function parseHash(text: string): Pick<PasswordEntry, 'recipe' | 'hash'> | string {
  if (text === '') return 'there is no password';
  if (!isHashed(text)) return 'the password is not hashed';
  const [, kind, ...parts] = text.split('$');
  if (kind === 'argon2id') return parseArgon2(parts);
  const [saltText, hashText, ...rest] = kind === '7' ? parts.slice(1) : parts;
  const salt = decodeBase64(saltText);
  const hash = decodeBase64(hashText);
  if (salt === undefined || hash?.length !== 64 || rest.length > 0) return 'the hash is cut short';
  if (kind === '6') return { recipe: { scheme: 'sha512', salt }, hash };
  const iterations = wholeNumber(parts[0], 1, MAX_ITERATIONS);
  if (iterations === undefined) return `the iterations are not 1 to ${MAX_ITERATIONS}`;
  return { recipe: { scheme: 'pbkdf2-sha512', salt, iterations }, hash };
}

/** `v=19$m=47104,t=1,p=1$salt$hash`, base64 without padding. */
function parseArgon2(parts: readonly string[]): Pick<PasswordEntry, 'recipe' | 'hash'> | string {
  const [version, costs, saltText, hashText] = parts;
  if (version !== 'v=19') return 'its version of argon2id is not 19';
  const named = new Map(
    (costs ?? '').split(',').map((cost) => cost.split('=') as [string, string]),
  );
  const memoryKib = wholeNumber(named.get('m'), 8, MAX_ARGON2_MEMORY_KIB);
  const passes = wholeNumber(named.get('t'), 1, MAX_ARGON2_PASSES);
  const lanes = wholeNumber(named.get('p'), 1, MAX_ARGON2_LANES);
  const salt = decodeBase64(saltText);
  const hash = decodeBase64(hashText);
  if (memoryKib === undefined || passes === undefined || lanes === undefined) {
    return `its costs are beyond m=${MAX_ARGON2_MEMORY_KIB},t=${MAX_ARGON2_PASSES},p=${MAX_ARGON2_LANES}`;
  }
  if (memoryKib < 8 * lanes) return 'its memory is less than 8 KiB a lane';
  if (salt === undefined || salt.length < 8 || hash === undefined || hash.length < 16) {
    return 'the hash is cut short';
  }
  return { recipe: { scheme: 'argon2id', salt, memoryKib, passes, lanes }, hash };
}

function wholeNumber(text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined || !/^\d{1,9}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

function decodeBase64(text: string | undefined): Uint8Array | undefined {
  if (text === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  return Buffer.from(text, 'base64');
}

function unreadable(path: string, faults: readonly string[]): CisternError {
  const shown = faults.slice(0, MAX_FAULTS_SHOWN);
  const more = faults.length - shown.length;
  const list = `${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
  return new CisternError('CONFIG_INVALID', `The password file ${path} cannot be used: ${list}.`, {
    remedy:
      `Set a password with "cistern passwd ${path} USER", or hash all plain ones in place with ` +
      `"cistern passwd -U ${path}".`,
  });
}
