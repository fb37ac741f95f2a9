import type { RefusalReason } from './types.ts';

/** Logins that were refused, by reason, since the process began. One owner, handed in. */
export class LoginCounters {
  readonly refused = new Map<RefusalReason, number>();

  countRefused(reason: RefusalReason): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1);
  }
}
