import { CisternError } from '../base/errors.ts';
import { resolveSecret, type SecretSource } from './secret.ts';
import type { IssueLog } from './table-reader.ts';
import type { Config, Secret } from './types.ts';

export interface SecretCheck {
  readonly source: SecretSource;
  /**
   * What an uplink's secret file that cannot be read is. A gateway takes messages in all the same,
   * and the file is read again at each reconnect, so it is no reason not to start.
   */
  readonly uplinkFile: 'error' | 'warning';
}

interface Reference {
  readonly key: string;
  readonly secret: Secret;
  readonly isUplink: boolean;
}

/** Tries every secret that stands elsewhere, and reports those that are not there. */
export async function reportUnreadableSecrets(
  config: Config,
  { source, uplinkFile }: SecretCheck,
  issues: IssueLog,
): Promise<void> {
  for (const { key, secret, isUplink } of referencesIn(config)) {
    try {
      await resolveSecret(secret, source);
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
      const message = error.message.replace(/^The /, 'the ').replace(/\.$/, '');
      const severity = isUplink && secret.kind === 'file' ? uplinkFile : 'error';
      issues[severity](key, message, error.remedy ?? 'Name one that is there.');
    }
  }
}

function referencesIn({ admin, uplinks }: Config): Reference[] {
  const found: Reference[] = [];
  const note = (key: string, secret: Secret | undefined, isUplink: boolean): void => {
    if (secret !== undefined) found.push({ key, secret, isUplink });
  };
  note('admin.token', admin.token, false);
  uplinks.forEach(({ target }, index) => {
    if (target.type !== 'mqtt') return;
    note(`uplink[${index}].mqtt.username`, target.username, true);
    note(`uplink[${index}].mqtt.password`, target.password, true);
  });
  return found;
}
