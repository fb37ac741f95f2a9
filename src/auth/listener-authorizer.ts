import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { AuthFiles } from './auth-files.ts';
import { FileRights, rightsOfToken } from './client-rights.ts';
import type { LoginCounters } from './login-counters.ts';
import type { LoginKeys, LoginThrottle } from './login-throttle.ts';
import type { PasswordChecker } from './password-checker.ts';
import { checkToken, looksLikeToken } from './token-login.ts';
import type { Principal } from './topic-rights.ts';
import {
  type Admission,
  type Authorizer,
  type Login,
  type RefusalReason,
  type Rights,
  UNRESTRICTED,
} from './types.ts';

/** How a listener lets clients in beside the files of its `[auth]`. */
export interface ListenerRules {
  readonly anonymous: boolean;
  /**
   * Each client has shown a certificate that was verified, or it would not have got as far, and that
   * is enough. Not where names are taken from certificates: then one without a name is nobody's.
   */
  readonly certificateSuffices: boolean;
}

/** Shared by all listeners: a guesser has one line, whichever door it knocks at. */
export interface LoginGuards {
  readonly checker: PasswordChecker;
  readonly throttle: LoginThrottle;
  readonly counters: LoginCounters;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What went wrong with one login; `detail` is for the log and has no secret in it. */
interface Refusal {
  readonly reason: RefusalReason;
  readonly detail: string;
}

type Outcome = Extract<Admission, { kind: 'admitted' }> | Refusal;

/**
 * Who may connect to one listener. In this order: a client certificate that names its user; a
 * password or token, where the listener has files for them; no name at all, where the listener is
 * open to that or has verified a certificate. A name that nothing proved is nobody's: its client has
 * the rights of an anonymous one.
 */
export class ListenerAuthorizer implements Authorizer {
  readonly #files: AuthFiles;
  readonly #rules: ListenerRules;
  readonly #guards: LoginGuards;

  constructor(files: AuthFiles, rules: ListenerRules, guards: LoginGuards) {
    this.#files = files;
    this.#rules = rules;
    this.#guards = guards;
  }

  admit(login: Login): Admission | Promise<Admission> {
    const { certificateName, username, password } = login;
    if (certificateName !== undefined) return this.#admitted(login, certificateName);
    const { passwords, tokenKeys } = this.#files.content;
    const isChecked = passwords !== undefined || tokenKeys !== undefined;
    if (isChecked && (username !== undefined || password !== undefined)) {
      return this.#credentials(login).then((outcome) => this.#answer(login, outcome));
    }
    const { anonymous, certificateSuffices } = this.#rules;
    if (anonymous || certificateSuffices) return this.#admitted(login, undefined);
    return this.#answer(login, { reason: 'not_authorized', detail: 'no user name' });
  }

  async #credentials(login: Login): Promise<Outcome> {
    const { username, password } = login;
    if (password === undefined) {
      return { reason: 'bad_credentials', detail: 'a user name without a password' };
    }
    const isToken = this.#files.content.tokenKeys !== undefined && looksLikeToken(password);
    const keys: LoginKeys = {
      address: login.remoteAddress,
      username: isToken ? undefined : username,
    };
    const given = { ...login, password: new Uint8Array(password) };
    const wait = this.#guards.throttle.enter(keys, this.#now());
    if (wait === undefined) return { reason: 'busy', detail: 'too many failed logins' };
    if (wait > 0) await this.#sleep(wait);
    const outcome = await (isToken ? this.#token(given) : this.#password(given, keys, wait > 0));
    if ('kind' in outcome) this.#guards.throttle.succeeded(keys, this.#now());
    else if (outcome.reason === 'bad_credentials') this.#guards.throttle.failed(keys, this.#now());
    return outcome;
  }

  async #password(
    login: Login & { readonly password: Uint8Array },
    keys: LoginKeys,
    hasWaited: boolean,
  ): Promise<Outcome> {
    const { username, password } = login;
    const { passwords } = this.#files.content;
    if (username === undefined) {
      return { reason: 'bad_credentials', detail: 'a password without a user name' };
    }
    if (passwords === undefined) return { reason: 'bad_credentials', detail: 'not a token' };
    const { checker, throttle } = this.#guards;
    // Many logins at once pass the throttle before the first of them has failed, so one that has
    // not waited is asked about again when its turn to be checked has come.
    const mayGo = (): boolean => hasWaited || throttle.isFree(keys, this.#now());
    const verdict = await checker.check(passwords, { username, password }, mayGo);
    if (verdict === 'right') return this.#admitted(login, username, passwords.get(username)?.text);
    if (verdict === 'wrong') {
      const detail = passwords.has(username) ? 'a wrong password' : 'an unknown user name';
      return { reason: 'bad_credentials', detail };
    }
    if (verdict === 'busy') return { reason: 'busy', detail: 'too many logins at once' };
    const wait = throttle.enter(keys, this.#now());
    if (wait === undefined) return { reason: 'busy', detail: 'too many failed logins' };
    await this.#sleep(wait);
    return this.#password(login, keys, true);
  }

  async #token(login: Login & { readonly password: Uint8Array }): Promise<Outcome> {
    const { tokenKeys } = this.#files.content;
    const { jwt } = this.#files.config;
    if (tokenKeys === undefined || jwt === undefined) {
      return { reason: 'bad_credentials', detail: 'tokens are not taken here' };
    }
    const now = this.#guards.clock.wallMs();
    const checked = await checkToken(login.password, tokenKeys, jwt, now);
    if (!checked.ok) return { reason: 'bad_credentials', detail: checked.reason };
    const { username, rules, endsAtMs } = checked;
    const principal: Principal = { username, clientId: login.clientId };
    if (rules === undefined && jwt.aclClaim !== undefined && !this.#hasAcl) {
      return { reason: 'not_authorized', detail: `the token has no claim ${jwt.aclClaim}` };
    }
    const rights =
      rules === undefined ? this.#rightsOf(principal) : rightsOfToken(rules, principal);
    // Its keys may be taken out of the JWKS; the token itself is not kept to be checked again.
    return { kind: 'admitted', username, rights, endsAtMs, isStillValid: always };
  }

  #admitted(
    { clientId }: Login,
    username: string | undefined,
    passwordText?: string,
  ): Extract<Admission, { kind: 'admitted' }> {
    const files = this.#files;
    return {
      kind: 'admitted',
      username,
      rights: this.#rightsOf({ username, clientId }),
      endsAtMs: Number.POSITIVE_INFINITY,
      isStillValid:
        username === undefined || passwordText === undefined
          ? always
          : () => files.content.passwords?.get(username)?.text === passwordText,
    };
  }

  #rightsOf(principal: Principal): Rights {
    return this.#hasAcl ? new FileRights(this.#files, principal) : UNRESTRICTED;
  }

  get #hasAcl(): boolean {
    return this.#files.config.aclFile !== undefined;
  }

  #answer(login: Login, outcome: Outcome): Admission {
    if ('kind' in outcome) return outcome;
    const { reason, detail } = outcome;
    const { counters, logger } = this.#guards;
    counters.countRefused(reason);
    logger.warn('client.login_refused', {
      client: login.clientId,
      user: login.username,
      address: login.remoteAddress,
      reason: detail,
    });
    return { kind: 'refused', reason };
  }

  #now(): number {
    return this.#guards.clock.monotonicMs();
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#guards.clock.after(ms, resolve));
  }
}

/** One for all, since thousands of connections hold one. */
function always(): boolean {
  return true;
}
