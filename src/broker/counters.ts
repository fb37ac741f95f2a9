/** What the broker counts, for the status page and `$SYS`. One owner, handed in. */
export class BrokerCounters {
  /** PUBLISH packets taken from clients. */
  received = 0;
  /** PUBLISH packets sent to clients, repeats included. */
  delivered = 0;
  readonly dropped = new Map<string, number>();

  drop(reason: string, count = 1): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + count);
  }
}
