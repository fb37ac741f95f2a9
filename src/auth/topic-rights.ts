import { topicMatchesFilter } from '../codec/topic.ts';
import { type AclFile, type AclRule, deniesFirst } from './acl-file.ts';
import { covers, intersection } from './filter-algebra.ts';

/** Whose rights they are: the user name as proven. */
export interface Principal {
  readonly username: string | undefined;
  readonly clientId: string;
}

/**
 * The rules of one client. First its own, then the patterns with its names filled in; within each
 * list denials first, and after them the first rule that grants. What no rule grants is denied.
 */
export class TopicRights {
  readonly #own: readonly AclRule[];
  readonly #patterns: readonly AclRule[];

  private constructor(own: readonly AclRule[], patterns: readonly AclRule[]) {
    this.#own = own;
    this.#patterns = patterns;
  }

  static ofFile(file: AclFile, principal: Principal): TopicRights {
    const { username } = principal;
    const own = username === undefined ? file.anonymous : (file.users.get(username) ?? []);
    return new TopicRights(own, fillIn(file.patterns, principal));
  }

  /** Rules that a token brings: all of them may have `%c` and `%u`. */
  static ofRules(rules: readonly AclRule[], principal: Principal): TopicRights {
    return new TopicRights([], fillIn(deniesFirst(rules), principal));
  }

  mayPublish(topic: string): boolean {
    return this.#allows(topic, 'write');
  }

  mayRead(topic: string): boolean {
    return this.#allows(topic, 'read');
  }

  maySubscribe(filter: string): boolean {
    const ownDenials = this.#own.filter(({ access }) => access === 'deny');
    const allDenials = [...ownDenials, ...this.#patterns.filter(({ access }) => access === 'deny')];
    return canRead(filter, this.#own, ownDenials) || canRead(filter, this.#patterns, allDenials);
  }

  #allows(topic: string, access: 'read' | 'write'): boolean {
    return verdict(this.#own, topic, access) ?? verdict(this.#patterns, topic, access) ?? false;
  }
}

/** Undefined: the list says nothing of this topic. */
function verdict(
  rules: readonly AclRule[],
  topic: string,
  access: 'read' | 'write',
): boolean | undefined {
  for (const rule of rules) {
    if (!topicMatchesFilter(topic, rule.filter)) continue;
    if (rule.access === 'deny') return false;
    if (rule.access === access || rule.access === 'readwrite') return true;
  }
  return undefined;
}

/** Whether a rule lets through some topic of `filter` that no denial takes away whole. */
function canRead(filter: string, rules: readonly AclRule[], denials: readonly AclRule[]): boolean {
  return rules.some(({ access, filter: granted }) => {
    if (access !== 'read' && access !== 'readwrite') return false;
    const common = intersection(granted, filter);
    return common !== undefined && !denials.some((denial) => covers(denial.filter, common));
  });
}

/**
 * The patterns with the client's names in them. A name with a wildcard in it would reach into other
 * clients' topics, so nothing at all is granted to it by patterns, as in Mosquitto; and no name makes
 * a filter reach the `$` topics, which in Mosquitto it can.
 */
function fillIn(patterns: readonly AclRule[], { username, clientId }: Principal): AclRule[] {
  if (/[+#]/.test(`${username ?? ''}${clientId}`)) return [];
  const filled: AclRule[] = [];
  for (const { access, filter } of patterns) {
    if (username === undefined && filter.includes('%u')) continue;
    const own = filter.replace(/%[cu]/g, (sign) => (sign === '%c' ? clientId : (username ?? '')));
    if (own.startsWith('$') && !filter.startsWith('$')) continue;
    filled.push({ access, filter: own });
  }
  return filled;
}
