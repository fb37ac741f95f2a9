/** What a client is known by once its CONNECT was accepted. */
export interface ClientIdentity {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly remoteAddress: string;
}

/**
 * Decides who may connect and do what. Passwords, ACLs and tokens come behind this interface; until
 * then a listener admits everybody or nobody.
 */
export interface Authorizer {
  connect(
    identity: ClientIdentity,
    password: Uint8Array | undefined,
  ): 'ok' | 'bad_credentials' | 'not_authorized';
  publish(identity: ClientIdentity, topic: string): boolean;
  subscribe(identity: ClientIdentity, filter: string): boolean;
}

/** A listener with `anonymous = true`, or one on loopback: everybody may do everything. */
export const admitAll: Authorizer = {
  connect: () => 'ok',
  publish: () => true,
  subscribe: () => true,
};

/** A listener with `anonymous = false` and no means of authentication. */
export const admitNobody: Authorizer = {
  connect: () => 'not_authorized',
  publish: () => false,
  subscribe: () => false,
};
