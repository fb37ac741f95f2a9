import type { ActiveSegment } from './active-segment.ts';
import { newSource } from './batch-reader.ts';
import type { BatchWriter } from './batch-writer.ts';
import type { RecordSource } from './types.ts';

/** A topic and who published to it; records name them by number. */
export interface TopicAndOrigin {
  readonly topic: string;
  readonly origin: string;
}

/** The number of a source in the active segment, kept in its handle; defined in `writer` if it must be. */
export function numberOf(active: ActiveSegment, writer: BatchWriter, source: RecordSource): number {
  if (source.epoch !== active.segment.epoch) {
    source.epoch = active.segment.epoch;
    source.number = newNumber(active, source);
  }
  defineOnce(active, writer, source.number, source);
  return source.number;
}

/** The same for a record that comes without a handle. */
export function carriedNumber(
  active: ActiveSegment,
  writer: BatchWriter,
  source: TopicAndOrigin,
): number {
  const key = `${source.topic}\u0000${source.origin}`;
  let number = active.carriedSources.get(key);
  if (number === undefined) {
    number = newNumber(active, source);
    active.carriedSources.set(key, number);
  }
  defineOnce(active, writer, number, source);
  return number;
}

/** Notes for the summary that a record of this source has been taken. */
export function countSource({ detail }: ActiveSegment, number: number, sequence: number): void {
  const entry = detail.sources[number];
  if (entry === undefined) return;
  if (entry.count++ === 0) entry.firstSequence = sequence;
  if (sequence < entry.firstSequence) entry.firstSequence = sequence;
  if (sequence > entry.lastSequence) entry.lastSequence = sequence;
}

function newNumber(active: ActiveSegment, { topic, origin }: TopicAndOrigin): number {
  const number = active.detail.sources.length;
  active.detail.sources.push(newSource(topic, origin));
  active.definedIn.push(-1);
  active.summaryBytes += 24 + topic.length + origin.length;
  return number;
}

function defineOnce(
  active: ActiveSegment,
  writer: BatchWriter,
  number: number,
  { topic, origin }: TopicAndOrigin,
): void {
  if (active.definedIn[number] === active.period) return;
  active.definedIn[number] = active.period;
  writer.define(number, topic, origin);
}
