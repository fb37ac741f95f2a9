import { CisternError } from '../base/errors.ts';
import type { Secret } from './types.ts';

/** Where references are looked up. Handed in, so that a test needs neither files nor a process. */
export interface SecretSource {
  readText(path: string): Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The secret itself, read anew at each call. One line break at the end of a file is not part of it.
 * Fails with CONFIG_INVALID where the reference leads nowhere.
 */
export async function resolveSecret(secret: Secret, source: SecretSource): Promise<string> {
  switch (secret.kind) {
    case 'literal':
      return secret.value;
    case 'env': {
      const value = source.env[secret.name];
      if (value === undefined || value === '') {
        throw new CisternError('CONFIG_INVALID', `The variable ${secret.name} is not set.`, {
          remedy: `Set ${secret.name} in the environment of the process that runs cistern.`,
        });
      }
      return value;
    }
    case 'file': {
      const text = await source.readText(secret.path).catch((cause: unknown) => {
        throw new CisternError('CONFIG_INVALID', `The file ${secret.path} cannot be read.`, {
          cause,
          remedy: 'Check that it exists and that the user of this process may read it.',
        });
      });
      const value = text.replace(/\r?\n$/, '');
      if (value === '') {
        throw new CisternError('CONFIG_INVALID', `The file ${secret.path} is empty.`, {
          remedy: 'Write the secret into it.',
        });
      }
      return value;
    }
  }
}

/** How a secret is shown: where it is kept, never what it is. */
export function describeSecret(secret: Secret): string {
  switch (secret.kind) {
    case 'literal':
      return '***';
    case 'env':
      return `env:${secret.name}`;
    case 'file':
      return `file:${secret.path}`;
  }
}
