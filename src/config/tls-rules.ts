import type { IssueLog } from './table-reader.ts';
import type { Config, ListenerTlsConfig } from './types.ts';

/** One thing to say about the files of a listener. */
export interface TlsRemark {
  readonly severity: 'error' | 'warning';
  readonly key: 'cert' | 'key' | 'ca';
  /** Without a full stop. */
  readonly message: string;
  readonly remedy: string;
}

/** Reads the files and looks whether they can be used. */
export type ExamineTls = (tls: ListenerTlsConfig) => Promise<readonly TlsRemark[]>;

/** What is wrong with certificates is said with the line that names them, like everything else. */
export async function reportTls(
  { listeners }: Config,
  examine: ExamineTls,
  issues: IssueLog,
): Promise<void> {
  for (const [index, { tls }] of listeners.entries()) {
    // A key that is missing has been reported.
    if (tls === undefined || tls.cert === '' || tls.key === '') continue;
    for (const { severity, key, message, remedy } of await examine(tls)) {
      issues[severity](`listener[${index}].tls.${key}`, message, remedy);
    }
  }
}
