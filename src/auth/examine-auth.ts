import { CisternError } from '../base/errors.ts';
import type { AuthRemark } from '../config/access-rules.ts';
import type { AuthConfig } from '../config/types.ts';
import { AuthFiles, type AuthFilesOptions } from './auth-files.ts';

const NO_FILES: AuthConfig = { passwordFile: undefined, aclFile: undefined, jwt: undefined };

/** Reads each file that an `auth` table names, alone, so that every fault is found in one go. */
export async function examineAuth(
  { passwordFile, aclFile, jwt }: AuthConfig,
  options: AuthFilesOptions,
): Promise<AuthRemark[]> {
  const remarks: AuthRemark[] = [];
  const tries: [AuthRemark['key'], AuthConfig][] = [
    ['password_file', { ...NO_FILES, passwordFile }],
    ['acl_file', { ...NO_FILES, aclFile }],
    ['jwt.jwks_file', { ...NO_FILES, jwt }],
  ];
  for (const [key, config] of tries) {
    try {
      await AuthFiles.load(config, options);
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
      const message = error.message.replace(/^The /, 'the ').replace(/\.$/, '');
      remarks.push({ key, message, remedy: error.remedy ?? 'Name a file that can be used.' });
    }
  }
  return remarks;
}
