import { formatPbkdf2, isHashed, splitEntry } from './password-file.ts';
import type { PasswordHashing } from '../platform/password-hashing.ts';
import type { Random } from '../platform/random.ts';

/**
 * Of PBKDF2-SHA512: about 10 ms on a desktop and 60 ms on a Pi 3. Mosquitto's own tool takes 101 or
 * 1,000; what it reads is not bounded.
 */
export const DEFAULT_ITERATIONS = 10_000;
/** Mosquitto 2.0 reads no other length. */
const SALT_BYTES = 12;
const HASH_BYTES = 64;

export interface HashMaker {
  readonly hashing: PasswordHashing;
  readonly random: Random;
  readonly iterations: number;
}

/** A hash that Mosquitto reads from 1.6 on. */
export async function hashPassword(password: string, maker: HashMaker): Promise<string> {
  const { hashing, random, iterations } = maker;
  const salt = random.bytes(SALT_BYTES);
  const recipe = { scheme: 'pbkdf2-sha512', salt, iterations } as const;
  const hash = await hashing.derive(Buffer.from(password), recipe, HASH_BYTES);
  return formatPbkdf2(iterations, salt, hash);
}

/**
 * The file with this hash for the user, in place of its entry or at the end. All other lines, comments
 * among them, stay as and where they are; of several entries of the user the first place is kept.
 */
export function withUser(text: string, username: string, hash: string): string {
  const lines = linesOf(text);
  const place = lines.findIndex((line) => splitEntry(line)?.username === username);
  const entry = `${username}:${hash}`;
  if (place < 0) return join([...lines, entry]);
  return join(
    lines.flatMap((line, index) => {
      if (index === place) return [entry];
      return splitEntry(line)?.username === username ? [] : [line];
    }),
  );
}

/** The file without the user; undefined where it has no such user. */
export function withoutUser(text: string, username: string): string | undefined {
  const lines = linesOf(text);
  const left = lines.filter((line) => splitEntry(line)?.username !== username);
  return left.length === lines.length ? undefined : join(left);
}

/** The file with every plain password hashed, and how many there were. Hashes stay as they are. */
export async function withPlainHashed(
  text: string,
  maker: HashMaker,
): Promise<{ text: string; count: number }> {
  const lines: string[] = [];
  let count = 0;
  for (const line of linesOf(text)) {
    const entry = splitEntry(line);
    if (entry === undefined || entry.hash === '' || isHashed(entry.hash)) {
      lines.push(line);
    } else {
      count++;
      lines.push(`${entry.username}:${await hashPassword(entry.hash, maker)}`);
    }
  }
  return { text: join(lines), count };
}

/** Why the name cannot stand in a password file; undefined where it can. */
export function nameProblem(username: string): string | undefined {
  if (username === '') return 'it is empty';
  if (username.includes(':')) return 'a colon ends the name in the file';
  if (/[\r\n\0]/.test(username)) return 'it has a line break or a zero in it';
  if (username.trim() !== username) return 'Mosquitto takes spaces at its ends away';
  if (username.startsWith('#')) return 'its line would be a comment';
  if (Buffer.byteLength(username) > 65_535) return 'it is longer than MQTT allows';
  return undefined;
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function join(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
