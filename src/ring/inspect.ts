import { givenOutSince, joined, missingOffsets, type Remains, spansOf } from './missing-offsets.ts';
import type { SegmentHeader } from './segment-header.ts';
import {
  badPlacesIn,
  type BadPlace,
  epochInTable,
  holdsNewer,
  type InspectOptions,
  isBlank,
  type ReadSegment,
  readSegment,
  type Survey,
  surveyRing,
  walkOf,
} from './survey.ts';
import type { BadPages, Walk } from './walk.ts';

export interface InspectedSegment {
  readonly slot: number;
  /** 0 where its header cannot be read; of a lost one that of the segment that should be there. */
  readonly epoch: number;
  /**
   * `live` by the newest header's table; `lost` is one of that table which is not in its slot;
   * `free` is an older lap or zeros; `damaged` has no header.
   */
  readonly state: 'live' | 'lost' | 'free' | 'damaged';
  readonly batches: number;
  readonly records: number;
  /** From the start of the slot to the end of the last sound batch. */
  readonly usedBytes: number;
  readonly partitions: readonly {
    readonly id: number;
    readonly stream: string;
    readonly firstOffset: number;
    readonly lastOffset: number;
    readonly records: number;
  }[];
  /** One sentence for each thing that is wrong. */
  readonly damage: readonly string[];
  /** One sentence for each commit that a power cut or a kill cut short: to be expected, no loss. */
  readonly cutShort: readonly string[];
}

export interface InspectedRing {
  /** In the order of the slots. */
  readonly segments: readonly InspectedSegment[];
  /**
   * Offsets that should be in the ring and are not, as far as the headers that are left tell: what of a
   * stream is missing from its head on, whenever that was lost, and what of a compacted partition is
   * gone from the live segments.
   */
  readonly lost: readonly {
    readonly id: number;
    readonly stream: string;
    readonly firstOffset: number;
    readonly lastOffset: number;
  }[];
}

const OPENING_CUT_SHORT =
  'Its header cannot be read, as where a power cut came while the slot was opened: it held nothing yet.';

/**
 * Looks at every slot of a ring without writing anything: what `cistern log inspect` and `log verify`
 * print. Every CRC is checked, and whether each segment that the newest header calls live is there.
 * Each slot is read once, and one is in memory at a time. The ring may be in use; what is written
 * meanwhile may look damaged.
 */
export async function inspectRing(options: InspectOptions): Promise<InspectedRing> {
  const survey = await surveyRing(options);
  const { newest } = survey;
  const there = new Set(survey.slots);
  const segments: InspectedSegment[] = [];
  const live: (Remains & { readonly epoch: number })[] = [];
  // Once the ring is made its files stay for good, so one that is missing was taken away.
  const count = Math.max(newest?.slotCount ?? 0, (survey.slots.at(-1) ?? -1) + 1);
  for (let slot = 0; slot < count; slot++) {
    if (there.has(slot)) {
      const segment = await readSegment(options, slot);
      const walk = walkOf(segment, survey, options);
      segments.push(describeSegment(segment, walk, survey));
      const epoch = epochInTable(slot, newest);
      const isOther = segment.header !== undefined && segment.header.epoch !== epoch;
      if (epoch !== undefined && !isOther) live.push({ epoch, ...remainsIn(segment, walk) });
    } else if (newest !== undefined && slot < newest.slotCount) {
      segments.push(describeMissing(slot, newest));
    }
  }
  live.sort((a, b) => a.epoch - b.epoch);
  return { segments, lost: lostOf(live, survey) };
}

function remainsIn({ header }: ReadSegment, { batches }: Walk): Remains {
  const sound = batches.filter((batch) => batch.sound);
  return { header, spans: joined(sound.flatMap((batch) => spansOf(batch.header))) };
}

function lostOf(live: readonly Remains[], survey: Survey): InspectedRing['lost'] {
  const missing = missingOffsets(live, survey.heads).lost;
  // What cannot be read may have been the header of a newer segment, and nobody else knows what had
  // been let go by then.
  const isNewest = survey.unknownSlots.length === 0;
  const lost = isNewest ? missing : givenOutSince(survey.newest, missing);
  return lost.map(({ partitionId: id, firstOffset, count }) => {
    const stream = survey.streams.get(id) ?? '?';
    return { id, stream, firstOffset, lastOffset: firstOffset + count - 1 };
  });
}

function describeSegment(segment: ReadSegment, walk: Walk, survey: Survey): InspectedSegment {
  const { slot, header } = segment;
  const { newest } = survey;
  const tabledEpoch = epochInTable(slot, newest);
  const isLive = tabledEpoch !== undefined && header?.epoch === tabledEpoch;
  const { damage, isLost } = faultsOf(segment, newest);
  const cutShort: string[] = [];
  if (header === undefined && !isBlank(segment)) {
    if (tabledEpoch === undefined && !holdsNewer(segment, newest)) cutShort.push(OPENING_CUT_SHORT);
    else damage.push('The segment header cannot be read.');
  }
  const isWithoutHeader = header === undefined && walk.batches.length > 0;
  if (tabledEpoch !== undefined && (isLive || isWithoutHeader)) {
    const end = survey.ends.get(tabledEpoch);
    damage.push(...badPlacesIn(walk, end).map(damageSentence));
    if (end === undefined) cutShort.push(...walk.torn.map(cutShortSentence));
  }
  const isUnreadable = damage.length > 0 && header === undefined;
  return {
    slot,
    epoch: (isLost ? tabledEpoch : header?.epoch) ?? 0,
    state: isLost ? 'lost' : isLive ? 'live' : isUnreadable ? 'damaged' : 'free',
    batches: walk.batches.filter(({ sound }) => sound).length,
    records: walk.batches.reduce(
      (sum, { header: batch, sound }) => sum + (sound ? batch.count : 0),
      0,
    ),
    usedBytes: walk.endOffset,
    partitions: partitionsIn(walk, survey.streams),
    damage,
    cutShort,
  };
}

function describeMissing(slot: number, newest: SegmentHeader): InspectedSegment {
  const epoch = epochInTable(slot, newest);
  return {
    slot,
    epoch: epoch ?? 0,
    state: epoch === undefined ? 'damaged' : 'lost',
    batches: 0,
    records: 0,
    usedBytes: 0,
    partitions: [],
    damage: [
      epoch === undefined
        ? 'Its file is not there.'
        : `The live segment of epoch ${epoch} is gone: its file is not there.`,
    ],
    cutShort: [],
  };
}

/** What is wrong with the slot as a whole, and whether a live segment is gone from it. */
function faultsOf(
  segment: ReadSegment,
  newest: SegmentHeader | undefined,
): { readonly damage: string[]; readonly isLost: boolean } {
  const { slot, header, bytes } = segment;
  const damage: string[] = [];
  const tabledEpoch = epochInTable(slot, newest);
  let isLost = false;
  if (segment.unreadablePages > 0) {
    damage.push(`The device refuses to read ${segment.unreadablePages} of its pages.`);
  }
  if (tabledEpoch !== undefined && header === undefined && isBlank(segment)) {
    isLost = true;
    damage.push(`The live segment of epoch ${tabledEpoch} is gone: its header is all zeros.`);
  } else if (tabledEpoch !== undefined && header !== undefined && header.epoch !== tabledEpoch) {
    isLost = true;
    damage.push(
      `The live segment of epoch ${tabledEpoch} is gone: its slot holds epoch ${header.epoch}.`,
    );
  }
  // The slots behind these may be on their way to be made: the ring was told to grow.
  const isOurs = newest !== undefined && slot < newest.slotCount;
  if (isOurs && bytes.length < newest.segmentSizeBytes) {
    damage.push(`Its file has ${bytes.length} of ${newest.segmentSizeBytes} bytes.`);
  }
  return { damage, isLost };
}

function damageSentence({ position, lengthBytes, isGone }: BadPlace): string {
  return `${lengthBytes} bytes from ${position} on are ${isGone ? 'gone' : 'damaged'}.`;
}

function cutShortSentence({ position, lengthBytes }: BadPages): string {
  return (
    `${lengthBytes} bytes from ${position} on are a commit that was cut short, as by a power cut: ` +
    'nothing in it was acknowledged.'
  );
}

function partitionsIn(
  walk: Walk,
  streams: ReadonlyMap<number, string>,
): InspectedSegment['partitions'] {
  const found = new Map<number, { firstOffset: number; lastOffset: number; records: number }>();
  const note = (id: number, first: number, last: number, count: number): void => {
    const known = found.get(id) ?? { firstOffset: first, lastOffset: last, records: 0 };
    known.firstOffset = Math.min(known.firstOffset, first);
    known.lastOffset = Math.max(known.lastOffset, last);
    known.records += count;
    found.set(id, known);
  };
  const names = new Map(streams);
  for (const { header: batch, sound } of walk.batches) {
    if (!sound) continue;
    for (const { id, stream } of batch.partitions) names.set(id, stream);
    for (const run of batch.runs) {
      note(run.partitionId, run.firstOffset, run.firstOffset + run.count - 1, run.count);
    }
    for (const run of batch.carried) {
      note(run.partitionId, run.firstOffset, run.lastOffset, run.count);
    }
  }
  return [...found].map(([id, entry]) => ({ id, stream: names.get(id) ?? '?', ...entry }));
}
