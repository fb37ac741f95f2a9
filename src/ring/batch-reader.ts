import type { Compressor } from '../platform/compression.ts';
import { CisternError } from '../base/errors.ts';
import type { BatchHeader } from './batch-header.ts';
import { ByteReader } from './bytes.ts';
import { BATCH_COMPRESSED } from './format.ts';
import { Tag } from './record-format.ts';
import type { EventTime, RecordView } from './types.ts';

/** What a record's source number stands for in one segment, and which sequences it spans. */
export interface SourceEntry {
  readonly topic: string;
  readonly origin: string;
  count: number;
  firstSequence: number;
  lastSequence: number;
}

/** By number; a hole is a definition that was damaged. */
export type SourceNames = (SourceEntry | undefined)[];

export function newSource(topic: string, origin: string): SourceEntry {
  return { topic, origin, count: 0, firstSequence: 0, lastSequence: 0 };
}

const empty = new Uint8Array(0);

/** Unpacks a stored body whose CRC is right. The result is a buffer of its own if `copy` says so. */
export function unpackBody(
  stored: Uint8Array,
  header: BatchHeader,
  compressor: Compressor,
  copy: boolean,
): Uint8Array {
  if ((header.flags & BATCH_COMPRESSED) === 0) return copy ? stored.slice() : stored;
  const body = compressor.decompress(stored, header.unpackedLength);
  if (body.length !== header.unpackedLength) {
    throw new CisternError('RING_DAMAGED', 'A batch has another length than its header says.');
  }
  return body;
}

/** Adds a batch's definitions to `names` and returns where its records begin. */
export function readDefinitions(body: Uint8Array, header: BatchHeader, names: SourceNames): number {
  const reader = new ByteReader(body);
  for (let n = header.definitionCount; n > 0; n--) {
    const number = reader.varint();
    const topic = reader.text();
    const origin = reader.text();
    names[number] ??= newSource(topic, origin);
  }
  return reader.position;
}

/** A record as it lies in a batch; byte fields are views on the batch's body. */
export class DecodedRecord implements RecordView {
  readonly partitionId: number;
  readonly offset: number;
  readonly sequence: number;
  readonly flags: number;
  readonly carried: boolean;
  readonly time: EventTime;
  readonly topic: string;
  readonly origin: string;
  readonly attributes: Uint8Array;
  readonly payload: Uint8Array;
  /** Number of its (topic, origin) in its segment, 0 for none. */
  readonly source: number;
  /** True where `time` was given by whoever appended it. */
  readonly ownTime: boolean;

  constructor(
    place: Place,
    flags: number,
    time: EventTime,
    source: number,
    name: SourceEntry | undefined,
    attributes: Uint8Array,
    payload: Uint8Array,
    ownTime: boolean,
  ) {
    this.partitionId = place.partitionId;
    this.offset = place.offset;
    this.sequence = place.sequence;
    this.carried = place.carried;
    this.flags = flags;
    this.time = time;
    this.topic = name?.topic ?? '';
    this.origin = name?.origin ?? '';
    this.attributes = attributes;
    this.payload = payload;
    this.source = source;
    this.ownTime = ownTime;
  }
}

/**
 * Decodes the records of a batch, in order. `names` must hold the definitions of the segment up to
 * this batch; a record whose definition damage took is left out: without its topic it is of no use,
 * and with a wrong one it would do harm. Throws RING_DAMAGED where the bytes make no sense, which a good CRC rules out.
 */
export function decodeRecords(
  body: Uint8Array,
  header: BatchHeader,
  names: SourceNames,
): DecodedRecord[] {
  const reader = new ByteReader(body, readDefinitions(body, header, names));
  const records: DecodedRecord[] = [];
  const places = new PlaceReader(reader, header);
  let source = 0;
  let flags = 0;
  let payloadLength = 0;
  let attributes: Uint8Array = empty;
  let elapsedMs = 0;
  let time = header.clock;
  let carriedTime: EventTime | undefined;
  for (let n = 0; n < header.count; n++) {
    const tag = reader.varint();
    if ((tag & Tag.flags) !== 0) flags = reader.varint();
    const place = places.read(tag);
    let ownTime = (tag & Tag.time) !== 0 ? readTime(reader) : undefined;
    const deltaMs = (tag & Tag.delta) !== 0 ? reader.varint() : 0;
    if (place.carried) {
      carriedTime = ownTime ?? later(carriedTime ?? header.clock, deltaMs);
      ownTime = carriedTime;
    } else if (deltaMs > 0) {
      elapsedMs += deltaMs;
      time = later(header.clock, elapsedMs);
    }
    if ((tag & Tag.source) !== 0) source = reader.varint();
    const attributesLength = (tag & Tag.attributes) !== 0 ? reader.varint() : -1;
    if ((tag & Tag.payloadLength) !== 0) payloadLength = reader.varint();
    if (attributesLength >= 0) attributes = reader.take(attributesLength);
    const payload = reader.take(payloadLength);
    if (source !== 0 && names[source] === undefined) continue;
    records.push(
      new DecodedRecord(
        place,
        flags,
        ownTime ?? time,
        source,
        names[source],
        attributes,
        payload,
        ownTime !== undefined,
      ),
    );
  }
  return records;
}

interface Place {
  readonly partitionId: number;
  readonly offset: number;
  readonly sequence: number;
  readonly carried: boolean;
}

/** Follows the runs of a batch: which offset and sequence comes next in each. */
class PlaceReader {
  readonly #reader: ByteReader;
  readonly #header: BatchHeader;
  readonly #inRun: number[];
  readonly #carriedEnds: { offset: number; sequence: number }[];
  #sequence: number;
  #run = 0;
  #carriedRun = 0;

  constructor(reader: ByteReader, header: BatchHeader) {
    this.#reader = reader;
    this.#header = header;
    this.#inRun = header.runs.map(() => 0);
    this.#carriedEnds = header.carried.map(({ firstOffset, firstSequence }) => ({
      offset: firstOffset - 1,
      sequence: firstSequence - 1,
    }));
    this.#sequence = header.firstSequence;
  }

  read(tag: number): Place {
    return (tag & Tag.carried) !== 0 ? this.#carried(tag) : this.#fresh(tag);
  }

  #fresh(tag: number): Place {
    if ((tag & Tag.run) !== 0) this.#run = this.#reader.varint();
    const run = this.#header.runs[this.#run];
    if (run === undefined) throw noSuchRun();
    const before = this.#inRun[this.#run] ?? 0;
    this.#inRun[this.#run] = before + 1;
    const { partitionId, firstOffset } = run;
    return {
      partitionId,
      offset: firstOffset + before,
      sequence: this.#sequence++,
      carried: false,
    };
  }

  #carried(tag: number): Place {
    if ((tag & Tag.run) !== 0) this.#carriedRun = this.#reader.varint();
    const run = this.#header.carried[this.#carriedRun];
    const end = this.#carriedEnds[this.#carriedRun];
    if (run === undefined || end === undefined) throw noSuchRun();
    end.offset += 1 + this.#reader.varint();
    end.sequence += 1 + this.#reader.varint();
    const { partitionId } = run;
    return { partitionId, offset: end.offset, sequence: end.sequence, carried: true };
  }
}

function readTime(reader: ByteReader): EventTime {
  const boot = reader.varint();
  if (boot === 0) return { bootNumber: 0, monotonicMs: 0, wallMs: reader.varint(), trusted: true };
  const monotonicMs = reader.varint();
  const bootNumber = Math.floor(boot / 2);
  return { bootNumber, monotonicMs, wallMs: reader.varint(), trusted: boot % 2 === 1 };
}

function later(clock: EventTime, elapsedMs: number): EventTime {
  return {
    bootNumber: clock.bootNumber,
    monotonicMs: clock.monotonicMs + elapsedMs,
    wallMs: clock.wallMs + elapsedMs,
    trusted: clock.trusted,
  };
}

function noSuchRun(): CisternError {
  return new CisternError('RING_DAMAGED', 'A record names a run that its batch does not have.');
}
