import { Auth } from '../../src/auth/auth.ts';
import type { Admission, Authorizer, Login } from '../../src/auth/types.ts';
import type { AuthConfig, ListenerConfig } from '../../src/config/types.ts';
import { createNodePasswordHashing } from '../../src/platform/node/password-hashing.ts';
import { readTokenKeys } from '../../src/platform/node/token-keys.ts';
import type { PasswordHashing } from '../../src/platform/password-hashing.ts';
import { MemoryLogger } from './memory-logger.ts';
import { SimClock } from './sim-clock.ts';
import { SimRandom } from './sim-random.ts';

const NO_FILES: AuthConfig = { passwordFile: undefined, aclFile: undefined, jwt: undefined };

/** One listener's authorizer over files in memory and a virtual clock. */
export class AccessWorld {
  readonly clock: SimClock;
  readonly logger: MemoryLogger;
  /** By path; change it, then `reload`. */
  readonly files: Record<string, string>;
  readonly auth: Auth;
  readonly #authorizer: Authorizer;

  private constructor(parts: {
    clock: SimClock;
    logger: MemoryLogger;
    files: Record<string, string>;
    auth: Auth;
    authorizer: Authorizer;
  }) {
    this.clock = parts.clock;
    this.logger = parts.logger;
    this.files = parts.files;
    this.auth = parts.auth;
    this.#authorizer = parts.authorizer;
  }

  static async open(options: {
    readonly auth?: Partial<AuthConfig>;
    readonly files?: Record<string, string>;
    readonly listener?: Partial<ListenerConfig>;
    readonly hashing?: PasswordHashing;
    readonly wallMs?: number;
  }): Promise<AccessWorld> {
    const clock = new SimClock({ wallMs: options.wallMs ?? Date.UTC(2027, 0, 1) });
    const logger = new MemoryLogger();
    const files = { ...options.files };
    const listener: ListenerConfig = {
      listen: '127.0.0.1:0',
      protocol: 'mqtt',
      path: '/mqtt',
      anonymous: false,
      proxyProtocol: false,
      auth: { ...NO_FILES, ...options.auth },
      tls: undefined,
      ...options.listener,
    };
    const auth = await Auth.open(
      { listeners: [listener] },
      {
        clock,
        random: new SimRandom(1),
        logger,
        hashing: options.hashing ?? createNodePasswordHashing(),
        readTokenKeys,
        readText: async (path) => {
          const text = files[path];
          if (text === undefined) throw new Error(`no file ${path}`);
          return text;
        },
      },
    );
    return new AccessWorld({
      clock,
      logger,
      files,
      auth,
      authorizer: auth.authorizerFor(listener),
    });
  }

  /** The answer, or a failure where none came within `withinMs` of virtual time. */
  async login(login: Partial<Omit<Login, 'password'>> & { password?: string }, withinMs = 60_000) {
    const password = login.password === undefined ? undefined : Buffer.from(login.password);
    let answer: Admission | undefined;
    const admission = this.#authorizer.admit({
      clientId: 'c',
      username: undefined,
      remoteAddress: '10.0.0.1',
      certificateName: undefined,
      ...login,
      password,
    });
    const settled = Promise.resolve(admission).then((result) => {
      answer = result;
    });
    const startMs = this.clock.monotonicMs();
    while (answer === undefined) {
      const gone = this.clock.monotonicMs() - startMs;
      if (gone > withinMs) throw new Error(`no answer within ${withinMs} ms of virtual time`);
      // A hash is made in real time: give it some before virtual time goes on.
      await Promise.race([settled, new Promise((resolve) => void setTimeout(resolve, 20))]);
      if (answer === undefined) await this.clock.advance(50);
    }
    return { ...(answer as Admission), waitedMs: this.clock.monotonicMs() - startMs };
  }

  async reload(): Promise<void> {
    for (const files of this.auth.files) await files.reload();
  }
}
