import { CisternError } from '../base/errors.ts';
import type { Compressor } from '../platform/compression.ts';
import { decodeRecords, type SourceNames, unpackBody } from './batch-reader.ts';
import {
  badPlacesIn,
  holdsNewer,
  type InspectOptions,
  type ReadSegment,
  readSegment,
  surveyRing,
  walkOf,
} from './survey.ts';
import type { RecordView } from './types.ts';
import type { Walk } from './walk.ts';

/** A segment of which nothing is left, or a damaged place in one: a batch, or several in a row. */
export type LeftOut = 'segment' | 'place';

/**
 * The records of every live segment, oldest segment first: what `cistern log dump` prints. Each
 * segment is read once. What damage has taken is left out, and `onLeftOut` is told how many of what.
 */
export async function* dumpRing(
  options: InspectOptions,
  onLeftOut?: (what: LeftOut, count: number) => void,
): AsyncGenerator<RecordView> {
  const survey = await surveyRing(options);
  const live = [...(survey.newest?.live ?? [])].sort((a, b) => a.epoch - b.epoch);
  for (const { slot, epoch } of live) {
    const segment = survey.slots.includes(slot) ? await readSegment(options, slot) : undefined;
    const walk = segment === undefined ? undefined : walkOf(segment, survey, options);
    const isOther = segment?.header !== undefined && segment.header.epoch !== epoch;
    if (segment === undefined || walk === undefined || isOther || walk.batches.length === 0) {
      onLeftOut?.('segment', 1);
      continue;
    }
    const undecodable = yield* recordsOf(segment, walk, options.compressor);
    onLeftOut?.('place', badPlacesIn(walk, survey.ends.get(epoch)).length + undecodable);
  }
  for (const slot of survey.unknownSlots) {
    if (holdsNewer(await readSegment(options, slot), survey.newest)) onLeftOut?.('segment', 1);
  }
}

function* recordsOf(
  { bytes }: ReadSegment,
  walk: Walk,
  compressor: Compressor,
): Generator<RecordView, number> {
  const names: SourceNames = [];
  let undecodable = 0;
  for (const { header, sound } of walk.batches) {
    if (!sound) continue;
    const at = header.position + header.headerLength;
    try {
      const stored = bytes.subarray(at, at + header.storedLength);
      yield* decodeRecords(unpackBody(stored, header, compressor, true), header, names);
    } catch (error) {
      // A batch that cannot be decoded is left out, as a start leaves it out.
      if (!(error instanceof CisternError)) throw error;
      undecodable++;
    }
  }
  return undecodable;
}
