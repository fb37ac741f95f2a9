import type { Clock } from '../platform/clock.ts';
import type { Compressor, Crc32 } from '../platform/compression.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import type { Volume } from '../platform/volume.ts';
import type { WearGauge } from './governor.ts';

/**
 * Position of a record in its partition: 0 for the first record ever written, never reused, never
 * reset by trimming or by carrying a record forward. Offsets survive restarts, so an uplink's
 * checkpoint is one number per partition and nothing else. Below 2^53.
 */
export type Offset = number;

/** Broker-wide order of append, from 1, never reused. A carried record keeps its own. Below 2^53. */
export type Sequence = number;

/** Partition ids are never reused. Those below {@link FIRST_STREAM_PARTITION_ID} always exist. */
export const STATE_PARTITION_ID = 0;
export const SESSION_PARTITION_ID = 1;
export const RETAINED_PARTITION_ID = 2;
export const FIRST_STREAM_PARTITION_ID = 16;

/** Flags on a record; a batch and a summary carry the union of theirs, so that a scan can skip them. */
export const RecordFlag = {
  /** A control record of `$state`. */
  control: 1,
  /** At least one persistent session wanted it when it was routed. */
  session: 2,
  /** It is, or was when written, the retained message of its topic (an empty payload deletes). */
  retained: 4,
  /** Its attributes hold a QoS 2 packet identifier that recovery must see. */
  receipt: 8,
} as const;

/**
 * What a record is about and where it came from. One handle per (client, topic), held by whoever
 * appends; the ring writes it once a segment and then by number. The two last fields belong to the ring.
 */
export interface RecordSource {
  readonly topic: string;
  /** The publishing client's id, or '' where nobody needs it. */
  readonly origin: string;
  /** Epoch of the segment in which `number` was given out; 0 for none. */
  epoch: number;
  number: number;
}

export interface AppendRequest {
  readonly partitionId: number;
  /** Null for control records. */
  readonly source: RecordSource | null;
  /** Union of {@link RecordFlag}. */
  readonly flags: number;
  /** Opaque to the ring; empty costs nothing. The bytes are copied before `append` returns. */
  readonly attributes: Uint8Array;
  /** Opaque to the ring. The bytes are copied before `append` returns. */
  readonly payload: Uint8Array;
  /** The part of `payload` that is meant, so that no view need be made; by default all of it. */
  readonly payloadStart?: number;
  readonly payloadEnd?: number;
  /** True: opens no commit of its own, rides the next one, at the latest after `maxCommitWindowMs`. */
  readonly rides: boolean;
  /**
   * Let in although `accepting` is false, as control records are, as long as there is any room at
   * all: for what has begun already and cannot be held back (a will, a retained value that moves).
   */
  readonly insists?: boolean;
  /** Time the event happened, where it is not now (a retained value that is moved). */
  readonly time?: EventTime;
}

/** When a record was appended. What an untrusted one means is found out later (`event-time.ts`). */
export interface EventTime {
  readonly wallMs: number;
  readonly monotonicMs: number;
  /** Counts the boots this ring has seen, from 1. 0: only the wall time is known, and it is final. */
  readonly bootNumber: number;
  readonly trusted: boolean;
}

/** A decoded record. Byte fields are views on a buffer that is never changed, and may outlive the call. */
export interface RecordView {
  readonly partitionId: number;
  readonly offset: Offset;
  readonly sequence: Sequence;
  readonly flags: number;
  readonly carried: boolean;
  readonly time: EventTime;
  /** Empty for control records. */
  readonly topic: string;
  readonly origin: string;
  readonly attributes: Uint8Array;
  readonly payload: Uint8Array;
}

export interface PartitionInfo {
  readonly id: number;
  /** The stream's name, or `$state`, `$session`, `$retained`. */
  readonly stream: string;
  /** Index in its stream, from 0. */
  readonly index: number;
  /** Oldest offset kept; equals `tailOffset` where nothing is. */
  readonly headOffset: Offset;
  /** Next offset to be given out. */
  readonly tailOffset: Offset;
  /** Everything below it is on flash. */
  readonly durableOffset: Offset;
  /** Attributes and payload of the records kept from `headOffset` on. */
  readonly bytes: number;
}

export interface ReadLimits {
  readonly maxRecords: number;
  /** Of payload and attributes; at least one record is returned whatever its size. */
  readonly maxBytes: number;
}

export interface ReadResult {
  /** In offset order, all below `durableOffset`. */
  readonly records: readonly RecordView[];
  /** Where to read next. Beyond the last record where what follows it was trimmed or damaged. */
  readonly nextOffset: Offset;
  /** Offsets at or after the requested one that rotation had already taken. */
  readonly lapped: number;
  /** Offsets in between that media damage took. */
  readonly damaged: number;
}

export interface ScanOptions {
  /** Only records with sequence >= this. */
  readonly fromSequence: Sequence;
  /** Only records with sequence < this. Default: everything durable when the scan began. */
  readonly toSequence?: Sequence;
  /** Only batches with any of these flags; 0 or absent: all. */
  readonly anyFlag?: number;
  /** Only segments that hold a topic this accepts; records of other topics may still be returned. */
  readonly wantsTopic?: (topic: string) => boolean;
}

export interface RecoveryReport {
  readonly durationMs: number;
  /** True when this open made the ring. */
  readonly created: boolean;
  readonly tornRecords: number;
  readonly corruptRecords: number;
  /** Live segments of which nothing could be read; what they held is in `lost`, as far as it is known. */
  readonly lostSegments: number;
  /** Live segments whose slot file was shorter than it must be: what lay behind that is gone. */
  readonly shortSegments: number;
  /**
   * What media damage took, as far as the surviving headers tell, whichever start found it first: of
   * streams as long as it lies above the head.
   */
  readonly lost: readonly { partitionId: number; firstOffset: Offset; count: number }[];
  /** True when recovery could not prove that the tail it found is complete (a new lineage is due). */
  readonly tailUncertain: boolean;
}

export interface RingStatistics {
  readonly ringId: string;
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly segments: number;
  readonly epoch: number;
  /** Slots that are worn and not used any more, and how many may be set aside. */
  readonly retiredSlots: readonly number[];
  readonly maxRetiredSlots: number;
  /** Offsets that media damage has taken, as far as has been met, of what is or was in the ring. */
  readonly lost: readonly { partitionId: number; firstOffset: Offset; count: number }[];
  /** Attributes and payload handed to `append`. */
  readonly payloadBytes: number;
  /** Written to the ring by this process, padding, headers and summaries included. */
  readonly flashBytes: number;
  readonly carriedBytes: number;
  readonly flushes: number;
  readonly commits: number;
  readonly corruptRecords: number;
  /** Bytes appended and not yet durable. */
  readonly pendingBytes: number;
  /** How the wear budget stands; undefined where there is none. */
  readonly wear: WearGauge | undefined;
  /** Not undefined while the device cannot be written: nothing is acknowledged. */
  readonly failure: Error | undefined;
  /** Why a ring that is to shrink keeps its size until the next start; undefined where nothing is wrong. */
  readonly shrinkFailure: string | undefined;
}

/** What a record takes in a quota beside attributes, payload and the names defined with it: about what its encoding adds. */
export const RECORD_OVERHEAD_BYTES = 8;

/** Told once that everything appended before it asked is durable. */
export interface DurabilityWaiter {
  /** One of many who send a little each: a commit may wait a few milliseconds for others like it. */
  readonly isClient?: boolean;
  onDurable(durableSequence: Sequence): void;
}

/** What the ring asks of whoever knows which records still matter. Given to `start`. */
export interface Evacuator {
  /**
   * Called before a segment is gone through: the time to let go, with `trim` and `trimToBytes`, of what
   * policy lets go. `held` has the highest offset that the segment holds of each stream's partition.
   * What then lies at or above its partition's head is carried. `fruitlessLaps` counts how often the
   * ring has gone round without a slot won: more must go then, or it carries for ever.
   */
  release(held: ReadonlyMap<number, Offset>, fruitlessLaps: number): void;
  /**
   * Asked of a stream's record at or above its head, in order: false lets it go, and all before it in
   * its partition.
   */
  keeps(record: RecordView): boolean;
  /** The flags that the copy of such a record is to have; absent: its own. */
  copiedFlags?(record: RecordView): number;
  /**
   * Called for each other record of a segment that is about to be recycled and whose CRC was good:
   * of the partitions `$…`, and of streams below the head.
   * `carry` keeps it with its offset and sequence; `drop` lets it go. It may append records of its
   * own (a retained value moving to `$retained`). Synchronous.
   */
  decide(record: RecordView): 'carry' | 'drop';
  /** Resolves when a checkpoint covering every record with sequence <= this is durable. */
  checkpoint(sequence: Sequence): Promise<void>;
}

export interface RingOptions {
  readonly volume: Volume;
  readonly clock: Clock;
  readonly random: Random;
  readonly crc32: Crc32;
  readonly compressor: Compressor;
  readonly logger: Logger;
  /** Of the whole ring; a whole number of segments, at least 16. */
  readonly sizeBytes: number;
  /** A multiple of 64 KiB (tests use small ones); 4 MiB in the product. */
  readonly segmentSizeBytes: number;
  readonly maxCommitWindowMs: number;
  /** Device bytes a day that commits are stretched to keep to; absent: as many as it takes. */
  readonly budgetBytesPerDay?: number;
  /** Try zstd on batches larger than a page. */
  readonly compress: boolean;
  /** Called while a new ring is zero-filled. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/**
 * The ring. Made by `openRing(options)`, which recovers; then its owner replays what it needs with
 * `scan`, registers its partitions, and calls `start`. Appending before `start` is a programmer error.
 *
 * Invariants:
 * - A waiter is told only after the synced write of every record appended before it asked.
 * - At most one batch is in flight.
 * - A page that holds durable data is not written again within its lap.
 * - A slot is written anew only when the sync of its last survivor and the checkpoint that covers
 *   its control records have both returned.
 * - `headOffset <= durableOffset <= tailOffset` for every partition.
 */
export interface Ring {
  readonly recovery: RecoveryReport;
  /** Everything at or below it is on flash. */
  readonly durableSequence: Sequence;
  /** The last sequence given out. */
  readonly lastSequence: Sequence;
  /** A checkpoint of at least this sequence holds the control records that rotation has taken. */
  readonly checkpointSequence: Sequence;
  /** Random bits made with the ring, as hexadecimal. */
  readonly ringId: string;

  partitions(): readonly PartitionInfo[];
  partition(id: number): PartitionInfo | undefined;
  /** Finds the partition of (stream, index), or makes it with an id never used before. */
  ensurePartition(stream: string, index: number): PartitionInfo;
  /**
   * Raises `tailOffset` to at least this, for what a checkpoint or a cursor knows to have been given
   * out. Before `start` only.
   */
  ensureTail(partitionId: number, offset: Offset): void;
  /** As {@link ensureTail}, for sequences: the next one given out is higher than this. */
  ensureSequence(sequence: Sequence): void;
  /** Of the boot this is; times of appends carry it. */
  readonly bootNumber: number;
  /** When the newest batch that was found was opened; undefined in a new ring. */
  readonly lastTime: EventTime | undefined;
  /**
   * Wall minus monotonic milliseconds, from now on, once the wall clock can be believed: a batch is
   * marked as trusted while the clock agrees with it within a second. Undefined at first.
   */
  setTrustedOffset(offsetMs: number | undefined): void;
  /** Called for each record that is copied: the time to write into the copy. Before `start` only. */
  onCopy(timeForCopy: (time: EventTime) => EventTime): void;
  start(evacuator: Evacuator): void;

  /**
   * Takes a record into the open batch and gives it its offset (`partition(id).tailOffset - 1`) and
   * sequence. Throws RECORD_TOO_LARGE beyond `maxRecordBytes`, RING_FULL while `accepting` is false.
   */
  append(request: AppendRequest): Sequence;
  readonly maxRecordBytes: number;
  /** False while too much waits for the device; `onAccepting` is called once when it is true again. */
  readonly accepting: boolean;
  /** `isFirst`: before all who asked earlier. */
  onAccepting(fn: () => void, isFirst?: boolean): void;
  /**
   * True while the device cannot be written, or the ring is full and can let nothing go because its
   * checkpoint fails: what is pending is kept, and nothing is acknowledged.
   */
  readonly failed: boolean;
  /** Calls `waiter.onDurable` once all that was appended so far is durable; in the same turn if it is already. */
  whenDurable(waiter: DurabilityWaiter): void;
  /** Commits what is open, riders included, without waiting for the window. Resolves when durable. */
  flush(): Promise<void>;
  /** As {@link flush}, but false as soon as the device cannot be written: for a stop, which must end. */
  flushOrGiveUp(): Promise<boolean>;

  /** Reads below `durableOffset`: recent from memory, old from flash in large sequential reads. */
  read(partitionId: number, fromOffset: Offset, limits: ReadLimits): Promise<ReadResult>;
  readAt(partitionId: number, offset: Offset): Promise<RecordView | undefined>;
  /** Calls `fn` once when `durableOffset` of the partition is beyond `offset` (at once if it is). Returns a cancel. */
  whenReadable(partitionId: number, offset: Offset, fn: () => void): () => void;
  /** In order of sequence, each record once, carried ones too. */
  scan(options: ScanOptions): AsyncIterable<readonly RecordView[]>;
  /**
   * Attributes and payload of the records in [from, to): exact for whole segments, in proportion
   * within one.
   */
  bytesBetween(partitionId: number, from: Offset, to: Offset): number;
  /** Records by topic in all segments, of whatever QoS, copies counted too: an upper bound of each. */
  countByTopic(): Promise<ReadonlyMap<string, number>>;
  /** Bytes of the segments that hold records with this sequence or a higher one: at least what they take. */
  bytesSince(sequence: Sequence): number;

  /** Lets go of what the partition holds below `offset`, as far as it is durable. */
  trim(partitionId: number, offset: Offset): void;
  /**
   * Lets the oldest records of these partitions go, in order of sequence over all of them, until what
   * is left takes at most `maxBytes` of attributes, payload, names and {@link RECORD_OVERHEAD_BYTES} each: in
   * proportion within a segment, so rather less. `keepFrom` is a partition's offset that must stay.
   */
  trimToBytes(
    partitionIds: readonly number[],
    maxBytes: number,
    keepFrom?: (partitionId: number) => Offset,
  ): void;
  /** As `trimToBytes` counts, the bytes of records in [from, durableOffset). */
  weightFrom(partitionId: number, from: Offset): number;

  /** Takes from the wear budget what was written to the same device beside the ring. */
  payFor(deviceBytes: number): void;
  statistics(): RingStatistics;
  /** Lets no more segments go. To be called before what was lost to that is written down for the last time. */
  stopRecycling(): Promise<void>;
  /** Commits, waits for the device, closes the files. Nothing may be appended afterwards. */
  close(): Promise<void>;
}
