import { CisternError } from '../base/errors.ts';
import { isValidTopicFilter } from '../codec/topic.ts';

export type AclAccess = 'read' | 'write' | 'readwrite' | 'deny';

export interface AclRule {
  readonly access: AclAccess;
  /** A topic filter; in a pattern with `%c` and `%u` in it. */
  readonly filter: string;
}

/** Mosquitto's `acl_file`. In each list the denials are in front: they are asked first. */
export interface AclFile {
  /** Rules before the first `user` line: of clients that proved no name, and of no others. */
  readonly anonymous: readonly AclRule[];
  readonly users: ReadonlyMap<string, readonly AclRule[]>;
  /** Of everybody, after their own rules. */
  readonly patterns: readonly AclRule[];
}

const ACCESSES: readonly string[] = ['read', 'write', 'readwrite', 'deny'];

/**
 * Reads an ACL file line by line: `topic [ACCESS] FILTER`, `pattern [ACCESS] FILTER`, `user NAME`. A
 * name that has several sections has the rules of all of them. Fails with CONFIG_INVALID, naming the
 * line.
 */
export function parseAclFile(text: string, path: string): AclFile {
  const anonymous: AclRule[] = [];
  const users = new Map<string, AclRule[]>();
  const patterns: AclRule[] = [];
  let section = anonymous;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trimEnd();
    if (line === '' || line.startsWith('#')) continue;
    const { word, rest } = firstWord(line);
    const fail = (problem: string): CisternError => unreadable(path, index + 1, problem);
    if (word === 'user') {
      if (rest === '') throw fail('the user has no name');
      section = users.get(rest) ?? [];
      users.set(rest, section);
    } else if (word === 'topic' || word === 'pattern') {
      const rule = parseRule(rest);
      if (typeof rule === 'string') throw fail(rule);
      (word === 'topic' ? section : patterns).push(rule);
    } else {
      throw fail(`a line begins with topic, pattern, user or #, not with "${word}"`);
    }
  }
  return {
    anonymous: deniesFirst(anonymous),
    users: new Map([...users].map(([name, rules]) => [name, deniesFirst(rules)])),
    patterns: deniesFirst(patterns),
  };
}

export function deniesFirst(rules: readonly AclRule[]): AclRule[] {
  const denies = rules.filter(({ access }) => access === 'deny');
  return [...denies, ...rules.filter(({ access }) => access !== 'deny')];
}

/** What is wrong with it, or the rule. A filter with a space in it needs its access named. */
function parseRule(text: string): AclRule | string {
  const { word, rest } = firstWord(text);
  if (word === '') return 'the topic is missing';
  const filter = rest === '' ? word : rest;
  const access = rest === '' ? 'readwrite' : word;
  if (!isAccess(access)) return `"${access}" is none of read, write, readwrite and deny`;
  if (!isValidTopicFilter(filter)) return `"${filter}" is not a topic filter`;
  return { access, filter };
}

function isAccess(word: string): word is AclAccess {
  return ACCESSES.includes(word);
}

function firstWord(line: string): { word: string; rest: string } {
  const text = line.replace(/^ +/, '');
  const space = text.indexOf(' ');
  if (space < 0) return { word: text, rest: '' };
  return { word: text.slice(0, space), rest: text.slice(space + 1).trim() };
}

function unreadable(path: string, line: number, problem: string): CisternError {
  return new CisternError(
    'CONFIG_INVALID',
    `The ACL file ${path} cannot be used: line ${line}: ${problem}.`,
    { remedy: 'Write "topic [read|write|readwrite|deny] FILTER", "pattern …" or "user NAME".' },
  );
}
