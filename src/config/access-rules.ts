import type { IssueLog } from './table-reader.ts';
import type { AuthConfig, Config, ListenerConfig } from './types.ts';

/** What is wrong with one file that an `auth` table names. */
export interface AuthRemark {
  readonly key: 'password_file' | 'acl_file' | 'jwt.jwks_file';
  /** Without a full stop. */
  readonly message: string;
  readonly remedy: string;
}

/** Reads the files and looks whether they can be used. */
export type ExamineAuth = (auth: AuthConfig) => Promise<readonly AuthRemark[]>;

/** What is wrong with password files and rules is said with the line that names them. */
export async function reportAuthFiles(
  { auth: shared, listeners }: Pick<Config, 'auth' | 'listeners'>,
  { examine, passwordKey }: { readonly examine: ExamineAuth; readonly passwordKey: string },
  issues: IssueLog,
): Promise<void> {
  const tables = new Map([[shared, 'auth']]);
  listeners.forEach(({ auth }, index) => {
    if (!tables.has(auth)) tables.set(auth, `listener[${index}].auth`);
  });
  for (const [auth, table] of tables) {
    for (const { key, message, remedy } of await examine(auth)) {
      const isShared = auth === shared && key === 'password_file';
      issues.error(isShared ? passwordKey : `${table}.${key}`, message, remedy);
    }
  }
}

/** Warns where rules are about names that nothing proves, and where a door stands open unlocked. */
export function reportAccess({ listeners }: Pick<Config, 'listeners'>, issues: IssueLog): void {
  listeners.forEach((listener, index) => {
    const { auth, anonymous } = listener;
    if (auth.aclFile !== undefined && !provesNames(listener)) {
      issues.warning(
        `listener[${index}].anonymous`,
        `nothing proves a user name here, so of ${auth.aclFile} only the rules before the first ` +
          'user and the patterns without %u count',
        'Set password_file or jwt, or take user names from client certificates.',
      );
    }
    if (anonymous && (auth.passwordFile !== undefined || auth.jwt !== undefined)) {
      issues.warning(
        `listener[${index}].anonymous`,
        'is true beside a password file or tokens, so whoever gives no name comes in unchecked',
        'Take the key out, unless an ACL file bounds what such clients may do.',
      );
    }
  });
}

function provesNames({ auth, tls }: ListenerConfig): boolean {
  return (
    auth.passwordFile !== undefined || auth.jwt !== undefined || tls?.userNameFrom !== undefined
  );
}
