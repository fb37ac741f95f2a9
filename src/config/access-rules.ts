import type { IssueLog } from './table-reader.ts';
import type { Config, ListenerConfig } from './types.ts';

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
