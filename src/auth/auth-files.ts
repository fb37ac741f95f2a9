import { CisternError } from '../base/errors.ts';
import type { AuthConfig } from '../config/types.ts';
import type { ReadTokenKeys, TokenKeys } from '../platform/token-keys.ts';
import { type AclFile, parseAclFile } from './acl-file.ts';
import { parsePasswordFile, type PasswordEntries } from './password-file.ts';

export interface AuthFilesOptions {
  readonly readText: (path: string) => Promise<string>;
  readonly readTokenKeys: ReadTokenKeys;
}

/** What the files of one `[auth]` table say; undefined where the table names none. */
export interface AuthContent {
  readonly passwords: PasswordEntries | undefined;
  readonly acl: AclFile | undefined;
  readonly tokenKeys: TokenKeys | undefined;
}

/**
 * The files that one `[auth]` table names, as they were last read whole. All of them change together
 * or not at all: where one cannot be used, none is taken up.
 */
export class AuthFiles {
  readonly config: AuthConfig;
  readonly #options: AuthFilesOptions;
  #content: AuthContent;
  #generation = 1;

  private constructor(config: AuthConfig, options: AuthFilesOptions, content: AuthContent) {
    this.config = config;
    this.#options = options;
    this.#content = content;
  }

  /** Fails with CONFIG_INVALID, naming the file and what is wrong with it. */
  static async load(config: AuthConfig, options: AuthFilesOptions): Promise<AuthFiles> {
    return new AuthFiles(config, options, await readAll(config, options));
  }

  get paths(): string[] {
    const { passwordFile, aclFile, jwt } = this.config;
    return [passwordFile, aclFile, jwt?.jwksFile].filter((path) => path !== undefined);
  }

  get content(): AuthContent {
    return this.#content;
  }

  /** Raised by each `reload`; 1 at first. */
  get generation(): number {
    return this.#generation;
  }

  /** Reads the files again. Fails as `load` does, and then what was there holds. */
  async reload(): Promise<void> {
    this.#content = await readAll(this.config, this.#options);
    this.#generation++;
  }
}

async function readAll(config: AuthConfig, options: AuthFilesOptions): Promise<AuthContent> {
  const { passwordFile, aclFile, jwt } = config;
  const passwords = await readOne('password file', passwordFile, options, parsePasswordFile);
  const acl = await readOne('ACL file', aclFile, options, parseAclFile);
  const tokenKeys = await readOne('JWKS file', jwt?.jwksFile, options, options.readTokenKeys);
  return { passwords, acl, tokenKeys };
}

async function readOne<T>(
  what: string,
  path: string | undefined,
  { readText }: AuthFilesOptions,
  parse: (text: string, path: string) => T,
): Promise<T | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = await readText(path);
  } catch (cause) {
    throw new CisternError('CONFIG_INVALID', `The ${what} ${path} cannot be read.`, {
      cause,
      remedy: 'Check that it exists and that the user of this process may read it.',
    });
  }
  return parse(text, path);
}
