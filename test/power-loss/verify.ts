import { FIRST_STREAM_PARTITION_ID, type PartitionInfo, RecordFlag } from '../../src/ring/types.ts';
import {
  ackedEntries,
  difference,
  type Entry,
  entryOf,
  type LedgerView,
  triedEntry,
} from './ledger.ts';
import type { Observation } from './observe.ts';
import { CARRIED_KEY_PREFIX, CHECKPOINT_KEY_PREFIX, keyOf, type OwnerState } from './owner.ts';

/** By partition, the `headOffset` when the power went: rotation had let go what lies below. */
export type Heads = ReadonlyMap<number, number>;

/**
 * Acknowledged ⊆ found ⊆ tried, in order, byte for byte. Throws with the first difference.
 */
export function verifyRecords(found: Observation, view: LedgerView, heads: Heads): void {
  verifyFoundWasTried(found, view);
  verifyOrder(found);
  verifyBothReadersAgree(found);
  const missing = missingEntries(found, view, heads);
  const first = missing[0];
  if (first !== undefined) {
    fail(`${missing.length} acknowledged records are lost, the first is ${place(first)}`);
  }
  verifyNoHoles(found, view, heads);
}

/** Nothing that was not appended, nothing changed. */
export function verifyFoundWasTried(found: Observation, view: LedgerView): void {
  for (const record of [...found.scanned, ...[...found.read.values()].flat()]) {
    const entry = triedEntry(view, record);
    if (entry === undefined) fail(`${place(record)} was found but never appended`);
    const why = difference(record, entry);
    if (why !== undefined) fail(`${place(record)} is not what was appended: ${why}`);
  }
}

/**
 * Acknowledged entries, at or above what rotation had let go, that `read` does not give. Not those
 * of the compacted partitions, where only the last value of each key is owed: `verifyState` looks
 * after them.
 */
export function missingEntries(
  found: Observation,
  view: LedgerView,
  heads: Heads,
): readonly Entry[] {
  const present = offsetsByPartition(found);
  return ackedEntries(view).filter(({ partitionId, offset }) => {
    if (partitionId < FIRST_STREAM_PARTITION_ID) return false;
    if (offset < (heads.get(partitionId) ?? 0)) return false;
    return present.get(partitionId)?.has(offset) !== true;
  });
}

export function verifyOrder(found: Observation): void {
  let scanned = 0;
  for (const record of found.scanned) {
    if (record.sequence <= scanned) fail(`${place(record)} is scanned out of order, or twice`);
    scanned = record.sequence;
  }
  for (const info of found.partitions) {
    if (info.headOffset > info.durableOffset || info.durableOffset > info.tailOffset) {
      fail(`${name(info)}: ${info.headOffset} <= ${info.durableOffset} <= ${info.tailOffset}?`);
    }
    let offset = info.headOffset - 1;
    let sequence = 0;
    for (const record of found.read.get(info.id) ?? []) {
      if (record.offset <= offset) fail(`${name(info)}: ${record.offset} comes after ${offset}`);
      if (record.sequence <= sequence) {
        fail(`${name(info)}: sequence ${record.sequence} comes after ${sequence}`);
      }
      ({ offset, sequence } = record);
    }
    if (offset >= info.durableOffset) fail(`${name(info)}: ${offset} is above the durable offset`);
  }
}

/**
 * Durability comes in the order of append: where a record is found, all that were appended to its
 * partition before it are. Offsets that nobody was ever given may be missing, after a jump of the
 * tail or behind a torn batch whose header told which offsets it held.
 */
function verifyNoHoles(found: Observation, view: LedgerView, heads: Heads): void {
  const present = offsetsByPartition(found);
  const last = new Map([...present].map(([id, offsets]) => [id, Math.max(...offsets)]));
  for (const entry of view.ledger.entries.slice(0, view.tried)) {
    const { partitionId, offset } = entry;
    if (partitionId < FIRST_STREAM_PARTITION_ID || offset < (heads.get(partitionId) ?? 0)) continue;
    if (offset > (last.get(partitionId) ?? -1)) continue;
    if (present.get(partitionId)?.has(offset) !== true) {
      fail(`${place(entry)} is missing, and a later one is there`);
    }
  }
}

function offsetsByPartition(found: Observation): ReadonlyMap<number, ReadonlySet<number>> {
  return new Map(
    [...found.read].map(([id, records]) => [id, new Set(records.map((record) => record.offset))]),
  );
}

function verifyBothReadersAgree(found: Observation): void {
  const scanned = new Set(found.scanned.map(place));
  for (const record of [...found.read.values()].flat()) {
    if (!scanned.has(place(record))) fail(`${place(record)} is read but not scanned`);
  }
  const read = new Set([...found.read.values()].flat().map(place));
  const heads = new Map(found.partitions.map((info) => [info.id, info.headOffset]));
  for (const record of found.scanned) {
    const isKept = record.offset >= (heads.get(record.partitionId) ?? 0);
    if (isKept && !read.has(place(record))) fail(`${place(record)} is scanned but not read`);
  }
}

/**
 * The last acknowledged value of every key and retained topic, or a later one that was tried.
 * Without a checkpoint only the keys that the ring itself keeps are owed.
 */
export function verifyState(
  state: OwnerState,
  view: LedgerView,
  options: { readonly withCheckpoint: boolean },
): void {
  const owedControls = new Map<string, Entry>();
  const owedRetained = new Map<string, Entry>();
  for (const entry of ackedEntries(view)) {
    if ((entry.flags & RecordFlag.control) !== 0) {
      const key = keyOf(entry);
      const isOwed = options.withCheckpoint
        ? key.startsWith(CHECKPOINT_KEY_PREFIX) || key.startsWith(CARRIED_KEY_PREFIX)
        : key.startsWith(CARRIED_KEY_PREFIX);
      if (isOwed) owedControls.set(key, entry);
    } else if ((entry.flags & RecordFlag.retained) !== 0) {
      owedRetained.set(entry.topic, entry);
    }
  }
  verifyLatest('control', owedControls, state.controls, view);
  verifyLatest('retained', owedRetained, state.retained, view);
}

function verifyLatest(
  kind: string,
  owed: ReadonlyMap<string, Entry>,
  found: ReadonlyMap<string, Entry>,
  view: LedgerView,
): void {
  for (const [key, entry] of owed) {
    const actual = found.get(key);
    if (actual === undefined) fail(`${kind} ${key} is lost; it was ${place(entry)}`);
    const tried = triedEntry(view, actual);
    if (tried === undefined) fail(`${kind} ${key} has a value that was never set`);
    if (Buffer.compare(tried.payload, actual.payload) !== 0) fail(`${kind} ${key} has changed`);
    if (actual.sequence < entry.sequence && !isSameValue(actual, entry)) {
      fail(`${kind} ${key} went back to ${place(actual)}; it was ${place(entry)}`);
    }
  }
}

/** A retained value that was being moved is the same value at either place. */
function isSameValue(left: Entry, right: Entry): boolean {
  return (
    (right.flags & RecordFlag.retained) !== 0 && Buffer.compare(left.payload, right.payload) === 0
  );
}

/** The second open shows what the first did. */
export function verifySame(first: Observation, second: Observation): void {
  for (const [id, records] of first.read) {
    const again = second.read.get(id) ?? [];
    const before = records.map((record) => record.offset).join();
    const after = again.map((record) => record.offset).join();
    if (before !== after) {
      fail(`partition ${id}: opened twice, ${records.length} records became ${again.length}`);
    }
    for (const [index, record] of records.entries()) {
      const why = difference(again[index] as typeof record, entryOf(record));
      if (why !== undefined) fail(`${place(record)} changed at the second open: ${why}`);
    }
  }
  for (const info of first.partitions) {
    const again = second.partitions.find((other) => other.id === info.id);
    if (again === undefined) fail(`${name(info)} is gone at the second open`);
    if (again.stream !== info.stream || again.index !== info.index) {
      fail(`${name(info)} became ${name(again)}`);
    }
    if (again.tailOffset < info.tailOffset) fail(`${name(info)}: the tail went back`);
  }
}

/** Offsets and sequences given out from now on are above all that anyone has seen. */
export function verifyFresh(entry: Entry, view: LedgerView, observed: Observation): void {
  const seen = observed.scanned.concat([...observed.read.values()].flat());
  for (const other of [...ackedEntries(view), ...seen]) {
    if (other.sequence >= entry.sequence) fail(`sequence ${entry.sequence} was given out twice`);
    if (other.partitionId === entry.partitionId && other.offset >= entry.offset) {
      fail(`${place(entry)} was given out twice`);
    }
  }
}

export function place(record: {
  readonly partitionId: number;
  readonly offset: number;
  readonly sequence: number;
}): string {
  return `${record.partitionId}:${record.offset} (sequence ${record.sequence})`;
}

function name(info: PartitionInfo): string {
  return `${info.stream}/${info.index}`;
}

function fail(message: string): never {
  throw new Error(message);
}
