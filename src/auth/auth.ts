import { assert } from '../base/assert.ts';
import type { AuthConfig, Config, ListenerConfig } from '../config/types.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { PasswordHashing } from '../platform/password-hashing.ts';
import type { Random } from '../platform/random.ts';
import type { ReadTokenKeys } from '../platform/token-keys.ts';
import { AuthFiles } from './auth-files.ts';
import { ListenerAuthorizer, type LoginGuards } from './listener-authorizer.ts';
import { LoginCounters } from './login-counters.ts';
import { LoginThrottle } from './login-throttle.ts';
import { PasswordChecker } from './password-checker.ts';
import type { Authorizer } from './types.ts';

export interface AuthOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly hashing: PasswordHashing;
  readonly readText: (path: string) => Promise<string>;
  readonly readTokenKeys: ReadTokenKeys;
}

/**
 * Who may come in and what they may do, for all listeners: the files of `[auth]` and of every
 * listener's own `auth`, each read once, and one guard against guessing.
 */
export class Auth {
  readonly counters: LoginCounters;
  readonly #files: ReadonlyMap<AuthConfig, AuthFiles>;
  readonly #guards: LoginGuards;

  private constructor(files: ReadonlyMap<AuthConfig, AuthFiles>, guards: LoginGuards) {
    this.#files = files;
    this.#guards = guards;
    this.counters = guards.counters;
  }

  /** Reads every file. Fails with CONFIG_INVALID, naming the file and what is wrong with it. */
  static async open({ listeners }: Pick<Config, 'listeners'>, options: AuthOptions): Promise<Auth> {
    const { clock, logger, hashing, random } = options;
    const files = new Map<AuthConfig, AuthFiles>();
    for (const { auth } of listeners) {
      if (!files.has(auth)) files.set(auth, await AuthFiles.load(auth, options));
    }
    const nowMs = (): number => clock.monotonicMs();
    return new Auth(files, {
      clock,
      logger,
      checker: new PasswordChecker({ hashing, random, nowMs }),
      throttle: new LoginThrottle(),
      counters: new LoginCounters(),
    });
  }

  /** Everything that was read from files, to be read again where they change. */
  get files(): readonly AuthFiles[] {
    return [...this.#files.values()].filter(({ paths }) => paths.length > 0);
  }

  /** `listener` is one of those that `open` was given. */
  authorizerFor({ auth, anonymous, tls }: ListenerConfig): Authorizer {
    const files = this.#files.get(auth);
    assert(files !== undefined, 'the files of every listener were read');
    const certificateSuffices = tls?.requireClientCert === true && tls.userNameFrom === undefined;
    return new ListenerAuthorizer(files, { anonymous, certificateSuffices }, this.#guards);
  }
}
