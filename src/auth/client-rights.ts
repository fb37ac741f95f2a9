import type { AclRule } from './acl-file.ts';
import type { AuthFiles } from './auth-files.ts';
import { type Principal, TopicRights } from './topic-rights.ts';
import type { Rights } from './types.ts';

/** The rights of one client as the ACL file says now: made anew where it was read again. */
export class FileRights implements Rights {
  readonly isRestricted = true;
  readonly #files: AuthFiles;
  readonly #principal: Principal;
  #rights: TopicRights | undefined;
  #madeFor = 0;

  constructor(files: AuthFiles, principal: Principal) {
    this.#files = files;
    this.#principal = principal;
  }

  get generation(): number {
    return this.#files.generation;
  }

  mayPublish(topic: string): boolean {
    return this.#current().mayPublish(topic);
  }

  mayRead(topic: string): boolean {
    return this.#current().mayRead(topic);
  }

  maySubscribe(filter: string): boolean {
    return this.#current().maySubscribe(filter);
  }

  #current(): TopicRights {
    const { acl } = this.#files.content;
    if (this.#rights === undefined || this.#madeFor !== this.#files.generation) {
      const none = { anonymous: [], users: new Map(), patterns: [] };
      this.#rights = TopicRights.ofFile(acl ?? none, this.#principal);
      this.#madeFor = this.#files.generation;
    }
    return this.#rights;
  }
}

/** The rights that a token brought with it: they hold as long as the token. */
export function rightsOfToken(rules: readonly AclRule[], principal: Principal): Rights {
  const rights = TopicRights.ofRules(rules, principal);
  return {
    isRestricted: true,
    generation: 1,
    mayPublish: (topic) => rights.mayPublish(topic),
    mayRead: (topic) => rights.mayRead(topic),
    maySubscribe: (filter) => rights.maySubscribe(filter),
  };
}
