import { assert } from '../base/assert.ts';
import { ByteCopier } from '../base/byte-copier.ts';
import type { Crc32 } from '../platform/compression.ts';
import type { CompressionPolicy } from './compression-policy.ts';
import {
  BATCH_FIXED_BYTES,
  type BatchHeader,
  type CarriedRun,
  encodeRuns,
  type FreshRun,
  type LetGo,
  MAX_BATCH_HEADER_BYTES,
  type PartitionDefinition,
  sealBatchHeader,
} from './batch-header.ts';
import { ByteWriter, writeVarint } from './bytes.ts';
import {
  BATCH_COMPRESSED,
  BATCH_HAS_CARRIED,
  BATCH_LETS_GO,
  PAGE_BYTES,
  toPages,
} from './format.ts';
import type { Partition } from './partitions.ts';
import { MAX_RECORD_PREFIX_BYTES, Tag } from './record-format.ts';
import type { DurabilityWaiter, EventTime } from './types.ts';

/** Room before the records, where header and definitions are put when their length is known. */
const HEADROOM_BYTES = 256 * 1024;
const MAX_DEFINITION_BYTES = 160 * 1024;
/** Attributes longer than this are not compared with those before. */
const MAX_COMPARED_BYTES = 16;
/** Copies that lie further apart are two runs, so that readers in order need not look between them. */
const MAX_CARRIED_GAP = 4_096;

interface OpenRun {
  readonly partitionId: number;
  readonly partition: Partition;
  readonly firstOffset: number;
  count: number;
  bytes: number;
  nameBytes: number;
}

interface OpenCarriedRun {
  readonly partitionId: number;
  readonly partition: Partition;
  readonly firstOffset: number;
  lastOffset: number;
  readonly firstSequence: number;
  lastSequence: number;
  count: number;
  bytes: number;
  nameBytes: number;
}

export interface BatchOpening {
  readonly epoch: number;
  /** In bytes from the start of the slot. */
  readonly position: number;
  /** How long the batch may become on flash, header and padding included; whole pages. */
  readonly maxBytes: number;
  readonly firstSequence: number;
  readonly clock: EventTime;
}

export interface SealOptions {
  readonly crc32: Crc32;
  readonly seed: number;
  readonly previousCrc: number;
  readonly compression: CompressionPolicy | undefined;
  /** Pages that go before the batch in the same write. */
  readonly segmentHeader: Uint8Array | undefined;
}

/**
 * The open batch. Records are encoded straight into its buffer: one copy of the payload and no
 * object for each message, because this is the hot path of the whole broker.
 *
 * Life: `open`, many `fresh` and `carry`, one `seal`, then it waits for its write; `open` again.
 */
export class BatchWriter {
  readonly waiters: DurabilityWaiter[] = [];
  /** Somebody waits who is no client: nothing is gained by letting more come first. */
  isUrgent = false;
  runs: OpenRun[] = [];
  carried: OpenCarriedRun[] = [];
  partitionDefinitions: PartitionDefinition[] = [];
  opening: BatchOpening | undefined;
  count = 0;
  freshCount = 0;
  flags = 0;
  definitionCount = 0;
  /** What the batch lets go; nothing else is in such a one. */
  letsGo: LetGo | undefined;
  /** Attributes and payload. */
  payloadBytes = 0;
  /** What to write, once sealed. */
  sealed: Uint8Array = empty;
  /** The unpacked body within the buffer, once sealed; changed by the next `open`. */
  body: Uint8Array = empty;
  /** Its header, once sealed. */
  header: BatchHeader | undefined;
  /** Differs for every opening, so that a partition can remember its run in this one. */
  stamp = 0;

  readonly #buffer: Uint8Array;
  readonly #copier: ByteCopier;
  #packed: Uint8Array = empty;
  readonly #definitions = new ByteWriter(1024);
  readonly #variable = new ByteWriter(256);
  #position = HEADROOM_BYTES;
  #end = 0;
  #headerBound = 0;
  /** Of the definitions whose first record is still to come. */
  #newNameBytes = 0;
  #previousRun = 0;
  #previousSource = 0;
  #previousFlags = 0;
  #previousPayloadLength = 0;
  #attributesAt = 0;
  #attributesLength = 0;
  #previousTimeMs = 0;
  #previousCarriedRun = 0;
  #previousCarriedTime: EventTime | undefined;

  constructor(maxBatchBytes: number) {
    this.#buffer = new Uint8Array(HEADROOM_BYTES + maxBatchBytes + PAGE_BYTES);
    this.#copier = new ByteCopier(this.#buffer);
  }

  get capacity(): number {
    return this.#buffer.length - HEADROOM_BYTES - PAGE_BYTES;
  }

  /** Bytes encoded so far. */
  get bodyBytes(): number {
    return this.#position - HEADROOM_BYTES + this.#definitions.length;
  }

  open(opening: BatchOpening, stamp: number): void {
    assert(opening.maxBytes <= this.capacity, 'a batch is larger than its buffer');
    this.opening = opening;
    this.stamp = stamp;
    this.isUrgent = false;
    this.runs = [];
    this.carried = [];
    this.partitionDefinitions = [];
    this.count = 0;
    this.freshCount = 0;
    this.flags = 0;
    this.definitionCount = 0;
    this.letsGo = undefined;
    this.payloadBytes = 0;
    this.sealed = empty;
    this.body = empty;
    this.header = undefined;
    this.#definitions.clear();
    this.#position = HEADROOM_BYTES;
    this.#headerBound = BATCH_FIXED_BYTES;
    this.#end = HEADROOM_BYTES + opening.maxBytes;
    this.#newNameBytes = 0;
    this.#previousRun = 0;
    this.#previousSource = 0;
    this.#previousFlags = 0;
    this.#previousPayloadLength = 0;
    this.#attributesAt = 0;
    this.#attributesLength = 0;
    this.#previousTimeMs = opening.clock.monotonicMs;
    this.#previousCarriedRun = 0;
    this.#previousCarriedTime = undefined;
  }

  /** True where a record with that many bytes of attributes, payload and definitions has room. */
  fits(byteCount: number, definitionBytes: number): boolean {
    if (this.#headerBound > MAX_BATCH_HEADER_BYTES - 64) return false;
    const definitions = this.#definitions.length + definitionBytes;
    if (definitions > MAX_DEFINITION_BYTES && this.count > 0) return false;
    const overhead = this.#headerBound + definitions + MAX_RECORD_PREFIX_BYTES;
    return this.#position + byteCount + overhead <= this.#end;
  }

  define(number: number, topic: string, origin: string): void {
    const before = this.#definitions.length;
    this.#definitions.varint(number);
    this.#definitions.text(topic);
    this.#definitions.text(origin);
    this.definitionCount++;
    this.#newNameBytes += this.#definitions.length - before;
  }

  definePartition(partition: PartitionDefinition): void {
    const { id, stream, index } = partition;
    this.partitionDefinitions.push({ id, stream, index });
    this.#headerBound += 32 + 3 * stream.length;
  }

  /** Takes a record at the partition's next offset. The caller asked `fits` before. */
  fresh(
    partition: Partition,
    offset: number,
    source: number,
    flags: number,
    attributes: Uint8Array,
    payload: Uint8Array,
    payloadStart: number,
    payloadEnd: number,
    timeMs: number,
    time: EventTime | undefined,
  ): void {
    const run = this.#runOf(partition, offset);
    let tag = 0;
    if (run !== this.#previousRun) tag |= Tag.run;
    if (time !== undefined) tag |= Tag.time;
    const delta = time === undefined ? Math.floor(timeMs - this.#previousTimeMs) : 0;
    if (delta > 0) tag |= Tag.delta;
    tag |= this.#changes(source, flags, attributes, payloadEnd - payloadStart);

    const buffer = this.#buffer;
    let at = writeVarint(buffer, this.#position, tag);
    if ((tag & Tag.flags) !== 0) buffer[at++] = flags;
    if ((tag & Tag.run) !== 0) at = writeVarint(buffer, at, run);
    if (time !== undefined) at = writeTime(buffer, at, time);
    if (delta > 0) {
      at = writeVarint(buffer, at, delta);
      this.#previousTimeMs += delta;
    }
    this.#previousRun = run;
    this.#finish(at, tag, source, flags, attributes, payload, payloadStart, payloadEnd);
    const entry = this.runs[run];
    assert(entry !== undefined, 'a run was not opened');
    entry.count++;
    entry.bytes += attributes.length + payloadEnd - payloadStart;
    entry.nameBytes += this.#newNameBytes;
    this.#newNameBytes = 0;
    this.freshCount++;
  }

  /** Takes a copy that keeps its offset, sequence and time. The caller asked `fits` before. */
  carry(
    partition: Partition,
    offset: number,
    sequence: number,
    source: number,
    flags: number,
    attributes: Uint8Array,
    payload: Uint8Array,
    time: EventTime,
  ): void {
    const run = this.#carriedRunOf(partition, offset, sequence);
    const entry = this.carried[run];
    assert(entry !== undefined, 'a run was not opened');
    const delta = millisecondsBetween(this.#previousCarriedTime, time);
    let tag = Tag.carried | this.#changes(source, flags, attributes, payload.length);
    if (run !== this.#previousCarriedRun) tag |= Tag.run;
    if (delta === undefined) tag |= Tag.time;
    else if (delta > 0) tag |= Tag.delta;
    const buffer = this.#buffer;
    let at = writeVarint(buffer, this.#position, tag);
    if ((tag & Tag.flags) !== 0) buffer[at++] = flags;
    if ((tag & Tag.run) !== 0) at = writeVarint(buffer, at, run);
    at = writeVarint(buffer, at, offset - entry.lastOffset - 1);
    at = writeVarint(buffer, at, sequence - entry.lastSequence - 1);
    if (delta === undefined) at = writeTime(buffer, at, time);
    else if (delta > 0) at = writeVarint(buffer, at, delta);
    this.#previousCarriedRun = run;
    this.#previousCarriedTime = time;
    this.#finish(at, tag, source, flags, attributes, payload, 0, payload.length);
    entry.lastOffset = offset;
    entry.lastSequence = sequence;
    entry.count++;
    entry.bytes += attributes.length + payload.length;
    entry.nameBytes += this.#newNameBytes;
    this.#newNameBytes = 0;
    this.flags |= BATCH_HAS_CARRIED;
  }

  /** Sets a flag of the batch, such as BATCH_CLOSED. */
  mark(flag: number): void {
    this.flags |= flag;
  }

  /** Puts header and definitions before the records, computes the CRCs and pads to whole pages. */
  seal(options: SealOptions): void {
    const { opening } = this;
    assert(opening !== undefined, 'a batch was sealed that was not open');
    const definitions = this.#definitions.written();
    const bodyStart = HEADROOM_BYTES - definitions.length;
    this.#buffer.set(definitions, bodyStart);
    this.body = this.#buffer.subarray(bodyStart, this.#position);

    this.#variable.clear();
    const runs = this.#freshRuns();
    const carried = this.#carriedRuns();
    encodeRuns(this.#variable, runs, carried, this.partitionDefinitions, this.letsGo);
    const headerLength = BATCH_FIXED_BYTES + this.#variable.length;

    if (this.letsGo !== undefined) this.flags |= BATCH_LETS_GO;
    const packed =
      this.carried.length > 0
        ? options.compression?.compressCopies(this.body, headerLength)
        : options.compression?.compress(this.body, headerLength);
    const isPacked = packed !== undefined;
    const stored = isPacked ? packed : this.body;
    if (isPacked) this.flags |= BATCH_COMPRESSED;
    const unsealed = {
      ...opening,
      freshCount: this.freshCount,
      count: this.count,
      flags: this.flags,
      headerLength,
      storedLength: stored.length,
      unpackedLength: this.body.length,
      definitionCount: this.definitionCount,
      previousCrc: options.previousCrc,
      bodyCrc: options.crc32(stored, options.seed),
      runs,
      carried,
      partitions: this.partitionDefinitions,
      letsGo: this.letsGo,
    };

    const prefix = options.segmentHeader?.length ?? 0;
    const total = prefix + toPages(headerLength + stored.length);
    const start = bodyStart - headerLength - prefix;
    const target = isPacked
      ? this.#roomForPacked(total)
      : this.#buffer.subarray(start, start + total);
    if (options.segmentHeader !== undefined) target.set(options.segmentHeader, 0);
    if (isPacked) target.set(packed, prefix + headerLength);
    target.fill(0, prefix + headerLength + stored.length);
    const batch = target.subarray(prefix);
    batch.set(this.#variable.written(), BATCH_FIXED_BYTES);
    const headerCrc = sealBatchHeader(batch, unsealed, options.crc32, options.seed);
    this.header = { ...unsealed, headerCrc };
    this.sealed = target;
  }

  // The unpacked body stays where it is, for readers in memory.
  #roomForPacked(bytes: number): Uint8Array {
    if (this.#packed.length < bytes) this.#packed = new Uint8Array(2 * bytes);
    return this.#packed.subarray(0, bytes);
  }

  #freshRuns(): FreshRun[] {
    return this.runs.map(({ partition: _, ...run }) => run);
  }

  #carriedRuns(): CarriedRun[] {
    return this.carried.map(({ partition: _, ...run }) => run);
  }

  #runOf(partition: Partition, offset: number): number {
    if (partition.runStamp === this.stamp) return partition.runIndex;
    partition.runStamp = this.stamp;
    partition.runIndex = this.runs.length;
    this.runs.push({
      partitionId: partition.id,
      partition,
      firstOffset: offset,
      count: 0,
      bytes: 0,
      nameBytes: 0,
    });
    this.#headerBound += 24;
    return partition.runIndex;
  }

  /** The run that such a copy goes on with; else a new one. */
  #carriedRunOf(partition: Partition, offset: number, sequence: number): number {
    const isKnown = partition.carriedStamp === this.stamp;
    const known = isKnown ? this.carried[partition.carriedIndex] : undefined;
    if (known !== undefined) {
      const gap = Math.max(offset - known.lastOffset, sequence - known.lastSequence);
      const rises = offset > known.lastOffset && sequence > known.lastSequence;
      if (rises && gap <= MAX_CARRIED_GAP) return partition.carriedIndex;
    }
    partition.carriedStamp = this.stamp;
    partition.carriedIndex = this.carried.length;
    this.carried.push({
      partitionId: partition.id,
      partition,
      firstOffset: offset,
      lastOffset: offset - 1,
      firstSequence: sequence,
      lastSequence: sequence - 1,
      count: 0,
      bytes: 0,
      nameBytes: 0,
    });
    this.#headerBound += 44;
    return partition.carriedIndex;
  }

  #changes(source: number, flags: number, attributes: Uint8Array, payloadLength: number): number {
    let tag = 0;
    if (source !== this.#previousSource) tag |= Tag.source;
    if (flags !== this.#previousFlags) tag |= Tag.flags;
    if (payloadLength !== this.#previousPayloadLength) tag |= Tag.payloadLength;
    if (!this.#sameAttributes(attributes)) tag |= Tag.attributes;
    return tag;
  }

  #sameAttributes(attributes: Uint8Array): boolean {
    const length = attributes.length;
    if (length !== this.#attributesLength || length > MAX_COMPARED_BYTES) return false;
    for (let n = 0; n < length; n++) {
      if (attributes[n] !== this.#buffer[this.#attributesAt + n]) return false;
    }
    return true;
  }

  #finish(
    position: number,
    tag: number,
    source: number,
    flags: number,
    attributes: Uint8Array,
    payload: Uint8Array,
    payloadStart: number,
    payloadEnd: number,
  ): void {
    const buffer = this.#buffer;
    const payloadLength = payloadEnd - payloadStart;
    let at = position;
    if ((tag & Tag.source) !== 0) at = writeVarint(buffer, at, source);
    if ((tag & Tag.attributes) !== 0) at = writeVarint(buffer, at, attributes.length);
    if ((tag & Tag.payloadLength) !== 0) at = writeVarint(buffer, at, payloadLength);
    if ((tag & Tag.attributes) !== 0) {
      buffer.set(attributes, at);
      this.#attributesAt = at;
      this.#attributesLength = attributes.length;
      at += attributes.length;
    }
    this.#position = this.#copier.copy(at, payload, payloadStart, payloadEnd);
    this.#previousSource = source;
    this.#previousFlags = flags;
    this.#previousPayloadLength = payloadLength;
    this.payloadBytes += attributes.length + payloadLength;
    this.count++;
    this.flags |= flags;
  }
}

const empty = new Uint8Array(0);

/** Undefined where the time must be written out. Fractions are not kept. */
function millisecondsBetween(before: EventTime | undefined, time: EventTime): number | undefined {
  if (before?.bootNumber !== time.bootNumber || before.trusted !== time.trusted) return undefined;
  const wallMs = wholeMs(time.wallMs) - wholeMs(before.wallMs);
  if (wallMs < 0) return undefined;
  if (time.bootNumber === 0) return wallMs;
  const monotonicMs = wholeMs(time.monotonicMs) - wholeMs(before.monotonicMs);
  return monotonicMs === wallMs ? wallMs : undefined;
}

function wholeMs(ms: number): number {
  return Math.max(0, Math.floor(ms));
}

function writeTime(buffer: Uint8Array, position: number, time: EventTime): number {
  const { bootNumber, trusted } = time;
  let at = writeVarint(buffer, position, bootNumber === 0 ? 0 : 2 * bootNumber + (trusted ? 1 : 0));
  if (bootNumber !== 0) at = writeVarint(buffer, at, wholeMs(time.monotonicMs));
  return writeVarint(buffer, at, wholeMs(time.wallMs));
}
