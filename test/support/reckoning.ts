import type { LedgerEntry, LedgerEvent } from './ledger.ts';

/** What two ledgers say when they are laid side by side. Readings are counted once each. */
export interface Reckoning {
  /** Tried at least once. */
  readonly published: number;
  /** Attempts beyond the first: devices that did not hear the answer. */
  readonly repeated: number;
  readonly acknowledged: number;
  readonly arrived: number;
  /** Arrivals beyond the first. */
  readonly duplicated: number;
  /** Acknowledged and never arrived. */
  readonly lost: readonly string[];
  /** Arrived and never tried: invented, or garbled. */
  readonly unknown: readonly string[];
  /**
   * First arrivals of a device with a lower number than an earlier first arrival of it. A repeat of
   * something that has been there before is a duplicate and says nothing about the order.
   */
  readonly outOfOrder: readonly string[];
}

export function reckon(
  publisher: readonly LedgerEntry[],
  upstream: readonly LedgerEntry[],
): Reckoning {
  const tried = firsts(publisher, 'tried');
  const acknowledged = firsts(publisher, 'acknowledged');
  const arrived = firsts(upstream, 'arrived');
  return {
    published: tried.size,
    repeated: count(publisher, 'tried') - tried.size,
    acknowledged: acknowledged.size,
    arrived: arrived.size,
    duplicated: count(upstream, 'arrived') - arrived.size,
    lost: [...acknowledged.keys()].filter((key) => !arrived.has(key)),
    unknown: [...arrived.keys()].filter((key) => !tried.has(key)),
    outOfOrder: outOfOrder(arrived),
  };
}

/** The first entry of each reading, in the order of the ledger. */
export function firsts(
  entries: readonly LedgerEntry[],
  event: LedgerEvent,
): Map<string, LedgerEntry> {
  const found = new Map<string, LedgerEntry>();
  for (const entry of entries) {
    const key = `${entry.device}#${entry.number}`;
    if (entry.event === event && !found.has(key)) found.set(key, entry);
  }
  return found;
}

function count(entries: readonly LedgerEntry[], event: LedgerEvent): number {
  return entries.filter((entry) => entry.event === event).length;
}

function outOfOrder(firstArrivals: ReadonlyMap<string, LedgerEntry>): string[] {
  const highest = new Map<string, number>();
  const late: string[] = [];
  for (const [key, { device, number }] of firstArrivals) {
    if (number < (highest.get(device) ?? 0)) late.push(key);
    else highest.set(device, number);
  }
  return late;
}
