/** What one client may do. Asked at most once a topic and generation by whoever keeps the answer. */
export interface Rights {
  /** False: everything is allowed, now and later, and nobody need ask. */
  readonly isRestricted: boolean;
  /** Answers given under another generation are void: the rules were read again. */
  readonly generation: number;
  mayPublish(topic: string): boolean;
  /** Whether a message of this topic may be delivered. */
  mayRead(topic: string): boolean;
  /**
   * Whether a subscription can bring anything: false where no topic that `filter` matches may be
   * read. Messages are checked one by one all the same.
   */
  maySubscribe(filter: string): boolean;
}

/** What a CONNECT says, and what its connection proves. */
export interface Login {
  readonly clientId: string;
  readonly username: string | undefined;
  /** Not used after `admit` has returned or its promise is settled. */
  readonly password: Uint8Array | undefined;
  readonly remoteAddress: string;
  /** User name of a client certificate that the listener verified and takes names from. */
  readonly certificateName: string | undefined;
}

/**
 * `bad_credentials`: somebody else's or a wrong password. `not_authorized`: no credentials where some
 * are needed. `busy`: too many logins at once, or too many failed ones; nothing was checked.
 */
export type RefusalReason = 'bad_credentials' | 'not_authorized' | 'busy';

export type Admission =
  | {
      readonly kind: 'admitted';
      /** The name that was proven; undefined for an anonymous client, whatever it calls itself. */
      readonly username: string | undefined;
      readonly rights: Rights;
      /** Wall time at which the connection must end; infinite where it need not. */
      readonly endsAtMs: number;
      /** False once the files that let it in would not any more. */
      isStillValid(): boolean;
    }
  | { readonly kind: 'refused'; readonly reason: RefusalReason };

/** Decides who may connect to one listener and what they may do. */
export interface Authorizer {
  /** A promise where a password must be hashed, a signature checked or a failed login be waited out. */
  admit(login: Login): Admission | Promise<Admission>;
}

/** Of a client that nobody has let in yet. */
export const NO_RIGHTS: Rights = {
  isRestricted: true,
  generation: 0,
  mayPublish: () => false,
  mayRead: () => false,
  maySubscribe: () => false,
};

export const UNRESTRICTED: Rights = {
  isRestricted: false,
  generation: 0,
  mayPublish: () => true,
  mayRead: () => true,
  maySubscribe: () => true,
};
