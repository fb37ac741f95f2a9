import { assert } from '../base/assert.ts';
import { CisternError, type ErrorCode } from '../base/errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import type { EventTimes } from '../ring/event-time.ts';
import type { ReadResult } from '../ring/types.ts';
import type { RecordReader } from '../streams/types.ts';
import type { BackoffLimits } from './backoff.ts';
import type { CursorStore } from './cursor-store.ts';
import { LapWatch, type UplinkLapse } from './lap-watch.ts';
import { LinkKeeper } from './link-keeper.ts';
import { PartitionCursor, type Settlement } from './partition-cursor.ts';
import { PendingRecord } from './pending-record.ts';
import { RateMeter } from './rate-meter.ts';
import type { SendOutcome, Sink, SinkLink, UplinkRecord } from './sink.ts';
import { Suspicion } from './suspicion.ts';
import type { UplinkStatus } from './types.ts';

export interface ForwarderOptions {
  readonly name: string;
  readonly streams: readonly string[];
  readonly start: 'earliest' | 'latest';
  readonly batch: { readonly records: number; readonly bytes: number; readonly lingerMs: number };
  readonly backoff: BackoffLimits;
  readonly stallTimeoutMs: number;
  /** How often a record is tried that the destination calls poison, or ends the link at. */
  readonly poisonAttempts: number;
  readonly sink: Sink;
  readonly reader: RecordReader;
  readonly cursors: CursorStore;
  readonly clock: Clock;
  readonly times: EventTimes;
  readonly random: Random;
  readonly logger: Logger;
  readonly nodeId: string;
  readonly lineage: string;
}

/** A moved cursor is saved after so long or so many records, whichever is first. */
const SAVE_AFTER_MS = 5_000;
const SAVE_AFTER_RECORDS = 10_000;
/** And this often where a commit is due anyway: then saving costs its few bytes and no flush. */
const SAVE_ALONG_AFTER_MS = 200;
/** Held in memory at most: what is in flight and the batches behind it. */
const HELD_BATCHES = 4;
const READ_RETRY_MS = 1_000;

/**
 * Brings the records of its streams to one sink, whatever happens to the link.
 *
 * Invariants:
 * - The cursor of a partition moves only over records that are settled, without a gap.
 * - Memory is bounded by {@link HELD_BATCHES} batches, however long the outage: records are read
 *   when there is room for them, and stay in the ring until then. What was read stays in memory
 *   over a reconnect, so that it is sent again in order and only where it was not acknowledged.
 * - Only a fault of a record costs the record. In this version such a record is skipped, counted as
 *   `deadLettered` and logged with its origin; the dead-letter stream is not there yet.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #links: LinkKeeper;
  readonly #rate: RateMeter;
  #cursors: readonly PartitionCursor[] = [];
  readonly #byPartition = new Map<number, PartitionCursor>();
  /** Partitions that were read to the end, each with what cancels its wake-up. */
  readonly #idle = new Map<number, () => void>();
  readonly #retries: PendingRecord[] = [];
  readonly #suspicion: Suspicion;
  readonly #laps: LapWatch;
  /**
   * The record for which the destination refused service or asked for a pause. Until it is settled
   * nothing behind it is sent: that was taken already, often enough, and would arrive again at each
   * attempt.
   */
  #probe: PendingRecord | undefined;
  /** Number of the link that is up, or was last. */
  #linkNumber = 0;
  /** In flight by itself, while records go out one by one. */
  #alone: PendingRecord | undefined;
  readonly #unsaved = new Set<PartitionCursor>();
  #unsavedRecords = 0;
  #savedAtMs = -Infinity;
  #turn = 0;
  #isReading = false;
  #isPumpDue = false;
  #isRunning = false;
  #saveTimer: Timer | undefined;
  #lingerTimer: Timer | undefined;
  #sent = 0;
  #retried = 0;
  #duplicatesAvoided = 0;
  #recordError: string | null = null;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#logger = options.logger.child(`uplink.${options.name}`);
    this.#rate = new RateMeter(options.clock.monotonicMs());
    this.#suspicion = new Suspicion(options.poisonAttempts);
    this.#laps = new LapWatch({
      clock: options.clock,
      logger: this.#logger,
      cursors: () => this.#cursors,
      lappedOf: (cursor) => cursor.counts.lapped + this.#lappedUnread(cursor),
    });
    this.#links = new LinkKeeper({
      sink: options.sink,
      backoff: options.backoff,
      stallTimeoutMs: options.stallTimeoutMs,
      clock: options.clock,
      random: options.random,
      logger: this.#logger,
      hasBacklog: () => this.#cursors.some((cursor) => this.#backlogOf(cursor) > 0),
      prepare: (link) => this.#resume(link),
      onUp: () => this.#onUp(),
      onDown: (endedByPeer) => this.#onDown(endedByPeer),
      onRoom: () => this.#pumpSoon(),
      onSettled: (record, outcome) => this.#onSettled(record, outcome),
    });
  }

  /** Takes up the cursors and connects. Records go out as soon as the link is there. */
  start(): void {
    assert(!this.#isRunning && this.#cursors.length === 0, 'a forwarder is started once');
    this.#isRunning = true;
    const partitions = this.#options.reader.partitions(this.#options.streams);
    this.#cursors = partitions.map((partition) => {
      const cursor = new PartitionCursor(partition, this.#startOf(partition.partitionId));
      this.#byPartition.set(partition.partitionId, cursor);
      this.#options.reader.attach(partition.partitionId, () => cursor.position);
      return cursor;
    });
    this.#laps.start();
    this.#links.start();
    this.#pumpSoon();
  }

  /** Closes the link and saves the cursors. What was in flight is sent again after the next start. */
  async stop(): Promise<void> {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    this.#laps.stop();
    this.#lingerTimer?.cancel();
    for (const cancel of this.#idle.values()) cancel();
    this.#idle.clear();
    await this.#links.stop();
    this.#save();
  }

  status(): UplinkStatus {
    const nowMs = this.#clock.monotonicMs();
    const { reader, name, sink } = this.#options;
    const total = { acknowledged: 0, deadLettered: 0, expired: 0, lapped: 0 };
    let appendedRecords = 0;
    let backlogRecords = 0;
    let backlogBytes = 0;
    let oldestUnackedSeconds = 0;
    for (const cursor of this.#cursors) {
      const { partitionId } = cursor.partition;
      const { durableOffset } = reader.bounds(partitionId);
      const backlog = this.#backlogOf(cursor);
      appendedRecords += durableOffset - cursor.start - cursor.counts.damaged;
      backlogRecords += backlog;
      if (backlog > 0) {
        backlogBytes += reader.bytesBetween(partitionId, cursor.position, durableOffset);
        oldestUnackedSeconds = Math.max(oldestUnackedSeconds, ageSeconds(cursor.oldest));
      }
      total.acknowledged += cursor.counts.acknowledged;
      total.deadLettered += cursor.counts.deadLettered;
      total.expired += cursor.counts.expired;
      total.lapped += cursor.counts.lapped + this.#lappedUnread(cursor);
    }
    const rate = this.#rate.perSecond(nowMs);
    return {
      name,
      type: sink.type,
      state: this.#isRunning ? this.#links.state : 'disabled',
      backlogRecords,
      backlogBytes,
      oldestUnackedSeconds,
      sendRate: Math.round(rate * 10) / 10,
      drainEtaSeconds: rate < 0.05 ? null : Math.ceil(backlogRecords / rate),
      appendedRecords,
      acknowledgedRecords: total.acknowledged,
      sentRecords: this.#sent,
      retriedRecords: this.#retried,
      duplicatesAvoided: this.#duplicatesAvoided,
      deadLettered: total.deadLettered,
      lappedRecords: total.lapped,
      expiredRecords: total.expired,
      lastError: this.#links.lastError ?? this.#recordError,
    };
  }

  /** What rotation took lately; undefined where that was nothing. */
  lapse(): UplinkLapse | undefined {
    const recent = this.#laps.recent();
    return recent && { name: this.#options.name, records: recent.count, sinceMs: recent.sinceMs };
  }

  #startOf(partitionId: number): number {
    const { cursors, reader, name, start } = this.#options;
    const { headOffset, durableOffset, tailOffset } = reader.bounds(partitionId);
    const saved = cursors.load(name, partitionId);
    if (saved !== undefined && saved <= tailOffset) return Math.min(saved, durableOffset);
    if (saved !== undefined) {
      // The ring is not the one the cursor was made for. Sending too much is the smaller harm.
      this.#logger.warn('uplink.cursor_beyond_tail', { partitionId, saved, tailOffset });
      return headOffset;
    }
    const offset = start === 'earliest' ? headOffset : durableOffset;
    // Saved at once, so that a restart before the first ack does not choose another start.
    cursors.save(name, partitionId, offset);
    return offset;
  }

  #onUp(): void {
    const { backlogRecords, backlogBytes } = this.status();
    this.#linkNumber = this.#links.number;
    this.#logger.info('uplink.connected', { backlogRecords, backlogBytes });
    this.#pump();
  }

  #onDown(endedByPeer: boolean): void {
    const inFlight = this.#inFlight();
    this.#alone = undefined;
    this.#retries.length = 0;
    for (const cursor of this.#cursors) cursor.rewind();
    if (!endedByPeer) {
      this.#suspicion.wentOtherwise();
      return;
    }
    const culprit = this.#suspicion.endedByPeer(inFlight);
    const { accused } = this.#suspicion;
    if (culprit !== undefined) {
      this.#deadLetter(
        culprit,
        'The upstream ends the link whenever it is sent, and takes others.',
      );
    } else if (accused !== undefined) {
      const { origin, topic } = accused;
      this.#links.stall(`The upstream ends the link at the record ${origin}, topic ${topic}.`);
    }
  }

  /** What was handed to the link and is not settled, in the order of sending. */
  #inFlight(): PendingRecord[] {
    if (this.#isOneByOne) return this.#alone === undefined ? [] : [this.#alone];
    return [...this.#unsettled()]
      .filter(({ sentOnLink }) => sentOnLink === this.#linkNumber)
      .sort((a, b) => a.sentNumber - b.sentNumber);
  }

  get #isOneByOne(): boolean {
    return this.#suspicion.isOneByOne || this.#probe?.isSettled === false;
  }

  *#unsettled(): Generator<PendingRecord> {
    for (const cursor of this.#cursors) yield* cursor.unsettledRecords();
  }

  /** Where the destination knows better than the cursor what it already has. */
  async #resume(link: SinkLink): Promise<void> {
    if (link.resumeFrom === undefined) return;
    for (const cursor of this.#cursors) {
      const { stream, index, partitionId } = cursor.partition;
      const offset = await link.resumeFrom(stream, index);
      const { tailOffset } = this.#options.reader.bounds(partitionId);
      if (offset === undefined || offset <= cursor.position || offset > tailOffset) continue;
      this.#duplicatesAvoided += cursor.skipTo(offset);
      this.#suspicion.skipped();
      this.#moved(cursor, 0);
    }
  }

  #onSettled(record: UplinkRecord, outcome: SendOutcome): void {
    assert(record instanceof PendingRecord, 'a sink settles what it was given');
    this.#alone = undefined;
    switch (outcome.kind) {
      case 'duplicate':
        this.#duplicatesAvoided += 1;
        this.#settle(record, 'acknowledged');
        break;
      case 'acknowledged':
        this.#settle(record, 'acknowledged');
        break;
      case 'poison':
        this.#onPoison(record, outcome.message);
        break;
      case 'refused':
        this.#onRefused(record, 'UPSTREAM_REFUSED', outcome.message);
        break;
      case 'throttled':
        this.#onRefused(record, 'UPSTREAM_UNREACHABLE', outcome.message);
        break;
    }
  }

  #onRefused(record: PendingRecord, code: ErrorCode, message: string): void {
    this.#probe = record;
    this.#links.drop(new CisternError(code, about(record, message)));
  }

  #onPoison(record: PendingRecord, message: string): void {
    record.poisonings += 1;
    if (record.poisonings < this.#options.poisonAttempts) {
      // One by one, the record is the next one again by itself.
      if (!this.#isOneByOne) this.#retries.push(record);
      this.#pumpSoon();
    } else {
      this.#deadLetter(record, message);
    }
  }

  #deadLetter(record: PendingRecord, message: string): void {
    const { origin, topic, poisonings } = record;
    this.#recordError = about(record, message);
    const attempts = Math.max(1, poisonings);
    this.#logger.warn('uplink.dead_lettered', { origin, topic, attempts, error: message });
    this.#settle(record, 'deadLettered');
  }

  #settle(record: PendingRecord, how: Settlement): void {
    const cursor = this.#byPartition.get(record.partitionId);
    assert(cursor !== undefined, 'a record belongs to a partition of its uplink');
    if (how === 'acknowledged') this.#rate.add(1, this.#clock.monotonicMs());
    this.#links.progressed();
    const hasMoved = cursor.settle(record, how);
    this.#suspicion.settled(record, how);
    if (hasMoved) {
      this.#links.recovered();
      this.#moved(cursor, 1);
    }
    this.#pumpSoon();
  }

  #moved(cursor: PartitionCursor, records: number): void {
    this.#options.reader.moved(cursor.partition.partitionId);
    this.#unsaved.add(cursor);
    this.#unsavedRecords += records;
    if (this.#unsavedRecords >= SAVE_AFTER_RECORDS || this.#canSaveAlong(cursor)) this.#save();
    else this.#saveTimer ??= this.#clock.after(SAVE_AFTER_MS, () => this.#save());
  }

  /** Records that are not durable yet mean that a commit is due. */
  #canSaveAlong(cursor: PartitionCursor): boolean {
    if (this.#clock.monotonicMs() - this.#savedAtMs < SAVE_ALONG_AFTER_MS) return false;
    const bounds = this.#options.reader.bounds(cursor.partition.partitionId);
    return bounds.tailOffset > bounds.durableOffset;
  }

  #save(): void {
    this.#savedAtMs = this.#clock.monotonicMs();
    this.#saveTimer?.cancel();
    this.#saveTimer = undefined;
    this.#unsavedRecords = 0;
    for (const cursor of this.#unsaved) {
      this.#options.cursors.save(this.#options.name, cursor.partition.partitionId, cursor.position);
    }
    this.#unsaved.clear();
  }

  /** Acks come in bursts; the room they make is used once a turn, in one batch. */
  #pumpSoon(): void {
    if (this.#isPumpDue || !this.#isRunning) return;
    this.#isPumpDue = true;
    this.#clock.atTurnEnd(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (!this.#isRunning) return;
    const link = this.#links.link;
    if (link !== undefined) {
      let batch = this.#collect(link.room);
      while (batch.length > 0) {
        link.send(batch);
        batch = this.#collect(link.room);
      }
    }
    this.#fill();
  }

  #collect(room: number): PendingRecord[] {
    if (this.#isOneByOne) return this.#collectOne(room);
    const limit = Math.min(room, this.#options.batch.records);
    const batch: PendingRecord[] = [];
    let bytes = 0;
    const add = (record: PendingRecord): void => {
      bytes += record.bytes;
      batch.push(record);
      this.#noteSent(record);
    };
    while (batch.length < limit && this.#retries.length > 0) {
      add(this.#retries.shift() as PendingRecord);
    }
    for (let i = 0; i < this.#cursors.length; i += 1) {
      const cursor = this.#cursors[(this.#turn + i) % this.#cursors.length] as PartitionCursor;
      while (batch.length < limit) {
        const record = cursor.next();
        if (record === undefined) break;
        if (batch.length > 0 && bytes + record.bytes > this.#options.batch.bytes) {
          cursor.putBack();
          return batch;
        }
        add(record);
      }
    }
    this.#turn += 1;
    return batch;
  }

  #collectOne(room: number): PendingRecord[] {
    if (this.#alone !== undefined || room === 0) return [];
    this.#alone = this.#suspicion.isOneByOne
      ? this.#suspicion.next(this.#unsettled())
      : this.#upToProbe();
    if (this.#alone === undefined) return [];
    this.#noteSent(this.#alone);
    return [this.#alone];
  }

  /** Whatever is still in doubt before the probe goes first, so that nothing is overtaken. */
  #upToProbe(): PendingRecord | undefined {
    const partitionId = this.#probe?.partitionId;
    return partitionId === undefined ? undefined : this.#byPartition.get(partitionId)?.oldest;
  }

  #noteSent(record: PendingRecord): void {
    this.#sent += 1;
    if (record.sentOnLink !== 0) this.#retried += 1;
    record.sentOnLink = this.#linkNumber;
    record.sentNumber = this.#sent;
  }

  /** Reads ahead of the sink by a batch, within what may be held. One read at a time. */
  #fill(): void {
    if (this.#isReading || !this.#isRunning || this.#lingerTimer !== undefined) return;
    const { records, bytes } = this.#options.batch;
    let held = 0;
    let heldBytes = 0;
    let unsent = 0;
    for (const cursor of this.#cursors) {
      held += cursor.held;
      heldBytes += cursor.heldBytes;
      unsent += cursor.unsent;
    }
    if (unsent >= records || held >= HELD_BATCHES * records) return;
    if (heldBytes >= HELD_BATCHES * bytes) return;
    for (let i = 0; i < this.#cursors.length; i += 1) {
      const cursor = this.#cursors[(this.#turn + i) % this.#cursors.length] as PartitionCursor;
      const { partitionId } = cursor.partition;
      const hasMore = this.#options.reader.bounds(partitionId).durableOffset > cursor.readOffset;
      if (hasMore && this.#waitsForOlder(cursor)) continue;
      if (hasMore) {
        void this.#read(cursor);
        return;
      }
      this.#wakeFor(cursor);
    }
  }

  /** An earlier generation of its stream is not through: a key's older records may lie there. */
  #waitsForOlder({ partition: { stream, generation } }: PartitionCursor): boolean {
    return this.#cursors.some(
      (other) =>
        other.partition.stream === stream &&
        other.partition.generation < generation &&
        this.#backlogOf(other) > 0,
    );
  }

  #wakeFor(cursor: PartitionCursor): void {
    const { partitionId } = cursor.partition;
    if (this.#idle.has(partitionId)) return;
    // Taken before the call: the reader may call back within it.
    this.#idle.set(partitionId, () => undefined);
    const { reader } = this.#options;
    const cancel = reader.whenReadable(partitionId, cursor.readOffset, () => {
      this.#idle.delete(partitionId);
      this.#onWake();
    });
    if (this.#idle.has(partitionId)) this.#idle.set(partitionId, cancel);
  }

  #onWake(): void {
    if (!this.#isRunning) return;
    const { sink, batch } = this.#options;
    if (!sink.prefersBatches || batch.lingerMs === 0) {
      this.#pumpSoon();
      return;
    }
    this.#lingerTimer ??= this.#clock.after(batch.lingerMs, () => {
      this.#lingerTimer = undefined;
      this.#pump();
    });
  }

  async #read(cursor: PartitionCursor): Promise<void> {
    this.#isReading = true;
    const from = cursor.readOffset;
    const { records, bytes } = this.#options.batch;
    const limits = { maxRecords: records, maxBytes: bytes };
    try {
      const { partitionId } = cursor.partition;
      const result = await this.#options.reader.read(partitionId, from, limits);
      assert(result.nextOffset > from, 'a read below durableOffset makes progress');
      this.#isReading = false;
      if (!this.#isRunning) return;
      this.#take(cursor, from, result);
      this.#pump();
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
      this.#recordError = error.message;
      this.#logger.error('uplink.read_failed', { code: error.code, error: error.message });
      this.#clock.after(READ_RETRY_MS, () => {
        this.#isReading = false;
        this.#pumpSoon();
      });
    }
  }

  #take(cursor: PartitionCursor, from: number, result: ReadResult): void {
    const { nodeId, lineage, times } = this.#options;
    const { stream, index } = cursor.partition;
    const prefix = `${nodeId}/${lineage}/${stream}/${index}`;
    const isFirst = this.#cursors.every(({ unsettled }) => unsettled === 0);
    const records = result.records.map(
      (view) => new PendingRecord(view, cursor.partition, prefix, times),
    );
    cursor.take(from, result, records);
    if (cursor.readOffset !== result.nextOffset) return;
    if (result.lapped > 0) this.#laps.look();
    // An idle link is not a stalled one: its time runs from the first record it has to carry.
    if (isFirst) this.#links.progressed();
    for (const [at, record] of records.entries()) {
      const fault = record.decode(result.records[at]?.attributes);
      if (fault !== undefined) this.#deadLetter(record, fault);
      else if (record.expiryLeftMs === 0) this.#settle(record, 'expired');
    }
    if (records.length === 0) this.#moved(cursor, 0);
  }

  #backlogOf(cursor: PartitionCursor): number {
    const { durableOffset } = this.#options.reader.bounds(cursor.partition.partitionId);
    const unread = durableOffset - cursor.readOffset - this.#lappedUnread(cursor);
    return unread + cursor.unsettled;
  }

  /** Records that rotation took and no read has met yet. */
  #lappedUnread(cursor: PartitionCursor): number {
    const { headOffset } = this.#options.reader.bounds(cursor.partition.partitionId);
    return Math.max(0, headOffset - cursor.readOffset);
  }
}

/** To a tenth. */
function ageSeconds(record: PendingRecord | undefined): number {
  return record === undefined ? 0 : Math.round(record.ageMs / 100) / 10;
}

function about({ origin, topic }: PendingRecord, message: string): string {
  return `${message} (record ${origin}, topic ${topic})`;
}
