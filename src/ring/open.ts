import { CisternError } from '../base/errors.ts';
import { Appender } from './appender.ts';
import { decodeRecords, unpackBody } from './batch-reader.ts';
import { Committer } from './commit.ts';
import { viewOf } from './bytes.ts';
import { BATCH_RECOVERY_COPY } from './format.ts';
import type { CommitGovernor } from './governor.ts';
import { Partitions } from './partitions.ts';
import { type Recovered, recoverRing } from './recovery.ts';
import { RingState } from './ring-state.ts';
import { SegmentCache } from './segment-cache.ts';
import type { PreviousEnd } from './segment-header.ts';
import { SLOTS_FOR_START } from './segment-opener.ts';
import { completeSlots, missingSlots, removeSlots } from './make-slots.ts';
import { SlotFiles, slotOfName } from './slot-files.ts';
import { Slots } from './slots.ts';
import { keptTokens } from './token-bucket.ts';
import type { RecordView, RecoveryReport, RingOptions } from './types.ts';

const CACHE_BYTES = 16 * 1024 * 1024;
/** Slots that a start has open at once; a process may have 1024 files, as a rule. */
const MAX_SCANNED_FILES = 512;
const MIN_SLOTS = 16;
const SEGMENT_STEP_BYTES = 64 * 1024;
/** A newest segment with less than this is copied whole, so that restarts do not eat the ring. */
const MAX_COPIED_BYTES = 128 * 1024;
/** The same where no other slot could be named. */
const MAX_COPIED_SHORT_BYTES = 480 * 1024;

/** How much longer a record may be as a copy, which has its own offset, sequence and time. */
const MAX_COPY_GROWTH_BYTES = 40;

const nothingBefore: PreviousEnd = {
  epoch: 0,
  endOffset: 0,
  lastSequence: 0,
  lastCrc: 0,
  copiedFrom: 0,
};

export interface OpenedRing {
  readonly state: RingState;
  readonly appender: Appender;
  readonly committer: Committer;
  readonly recovery: RecoveryReport;
}

export interface OpenHooks {
  readonly governor: CommitGovernor;
  readonly onChange: () => void;
}

/** Finds or makes the slots, recovers, and writes the first batch of a new epoch, but in the last slot. */
export async function openParts(options: RingOptions, hooks: OpenHooks): Promise<OpenedRing> {
  const startedMs = options.clock.monotonicMs();
  const slotCount = checkSizes(options);
  const names = await options.volume.list();
  const existing = new Set(names.map(slotOfName).filter((slot) => slot !== undefined));
  const foundSlots = Math.max(-1, ...existing) + 1;
  const files = new SlotFiles(options.volume);
  // Each slot is looked at twice or three times, and opening it costs more than reading a page.
  const scanned = new SlotFiles(options.volume, MAX_SCANNED_FILES);
  try {
    const { crc32, compressor, logger, segmentSizeBytes } = options;
    const outcome = await recoverRing({
      files: scanned,
      slotCount: foundSlots,
      existing,
      segmentSizeBytes,
      crc32,
      compressor,
      logger,
    });
    const known = outcome.kind === 'recovered' ? outcome.ring : undefined;
    if (known !== undefined) checkSegmentSize(known, options);
    if (foundSlots > slotCount) {
      const [fromBytes, toBytes] = [foundSlots * options.segmentSizeBytes, options.sizeBytes];
      logger.info('ring.shrinking', { fromBytes, toBytes });
      // Where nothing of it can be read, nothing can be kept either.
      if (known === undefined) await removeSlots(options, slotCount, existing);
    }
    const missing = await missingSlots(
      options,
      scanned,
      slotCount,
      existing,
      outcome.kind === 'empty',
    );
    const short = known?.segments.filter(
      ({ slot }) => existing.has(slot) && missing.includes(slot),
    );
    for (const { slot, epoch } of short ?? []) logger.error('ring.slot_cut_short', { slot, epoch });
    await scanned.close();
    await completeSlots(options, missing, existing, outcome.kind === 'empty');
    const base =
      known === undefined
        ? newState(options, files, outcome.kind === 'unreadable' ? outcome.highestEpoch : 0)
        : recoveredState(options, files, known, Math.max(foundSlots, slotCount));
    if (known !== undefined) resumeGovernor(hooks.governor, known);
    const first = prepareFirstBatch(base, known, options);
    const parts = makeParts(options, hooks, base, known && endOfUnsealed(known, first.copies));
    await writeFirstBatch(parts, base, known, first);
    const recovery = reportOf(
      outcome.kind,
      known,
      short?.length ?? 0,
      options.clock.monotonicMs() - startedMs,
    );
    logger.info('ring.opened', {
      created: recovery.created,
      epoch: base.epoch,
      segments: base.segments.length,
      tornRecords: recovery.tornRecords,
      corruptRecords: recovery.corruptRecords,
      durationMs: recovery.durationMs,
    });
    if (outcome.kind === 'unreadable') logger.error('ring.unreadable', { newEpoch: base.epoch });
    return { ...parts, state: base, recovery };
  } catch (error) {
    await scanned.close();
    await files.close();
    throw error;
  }
}

function checkSizes(options: RingOptions): number {
  const { sizeBytes, segmentSizeBytes } = options;
  const slotCount = sizeBytes / segmentSizeBytes;
  if (segmentSizeBytes % SEGMENT_STEP_BYTES !== 0 || !Number.isInteger(slotCount)) {
    throw new CisternError(
      'CONFIG_INVALID',
      `A ring of ${sizeBytes} bytes is no whole number of segments of ${segmentSizeBytes} bytes.`,
      {
        remedy: 'Set storage.segment to a multiple of 64KiB and storage.size to a multiple of it.',
      },
    );
  }
  if (slotCount < MIN_SLOTS) {
    throw new CisternError(
      'CONFIG_INVALID',
      `A ring of ${slotCount} segments is too small; it takes at least ${MIN_SLOTS}.`,
      { remedy: 'Raise storage.size or lower storage.segment.' },
    );
  }
  return slotCount;
}

function checkSegmentSize({ newest }: Recovered, { segmentSizeBytes }: RingOptions): void {
  if (newest.segmentSizeBytes === segmentSizeBytes) return;
  throw new CisternError(
    'CONFIG_INVALID',
    `The ring was made with segments of ${newest.segmentSizeBytes} bytes, not ${segmentSizeBytes}.`,
    { remedy: `Set storage.segment to ${newest.segmentSizeBytes} bytes, or choose a new path.` },
  );
}

function newState(options: RingOptions, files: SlotFiles, epoch: number): RingState {
  const { random, segmentSizeBytes, sizeBytes } = options;
  const slotCount = sizeBytes / segmentSizeBytes;
  const slots = new Slots(slotCount, []);
  for (let slot = 0; slot < slotCount; slot++) slots.free(slot);
  return new RingState({
    ...pick(options),
    identity: {
      ringId: random.bytes(16),
      salt: viewOf(random.bytes(4)).getUint32(0, true),
      segmentSizeBytes,
      slotCount,
      bootNumber: 1,
    },
    files,
    cache: new SegmentCache(CACHE_BYTES),
    partitions: new Partitions(),
    slots,
    segments: [],
    lost: [],
    jumps: [],
    epoch,
    lastSequence: 0,
    checkpointSequence: 0,
  });
}

/** With all the slots there are: those that are too many are leaving until nothing live is in them. */
function recoveredState(
  options: RingOptions,
  files: SlotFiles,
  known: Recovered,
  slotCount: number,
): RingState {
  const { newest } = known;
  const wantedSlots = options.sizeBytes / options.segmentSizeBytes;
  const slots = new Slots(slotCount, known.retiredSlots, wantedSlots);
  for (const slot of known.unreadableSlots) slots.condemn(slot);
  const lastTime = known.unsealed.walk.batches.findLast(({ sound }) => sound)?.header.clock;
  // Without the kernel's word (a restored machine, another time namespace) the clock itself says it.
  const wentBack = options.clock.monotonicMs() < (lastTime?.monotonicMs ?? 0);
  const sameBoot = newest.bootId === options.clock.bootId && !wentBack;
  const state = new RingState({
    ...pick(options),
    identity: {
      ringId: newest.ringId,
      salt: newest.salt,
      segmentSizeBytes: newest.segmentSizeBytes,
      slotCount,
      bootNumber: newest.bootNumber + (sameBoot ? 0 : 1),
    },
    files,
    cache: new SegmentCache(CACHE_BYTES),
    partitions: known.partitions,
    slots,
    segments: [...known.segments],
    lost: [...known.lost],
    jumps: [...known.jumps],
    epoch: known.highestEpoch,
    lastSequence: known.lastSequence,
    checkpointSequence: known.checkpointSequence,
  });
  state.lastTime = lastTime;
  state.tailsJumped = known.tailUncertain;
  if (known.tailUncertain) noteJump(state);
  state.counters.corruptRecords = known.corruptRecords;
  const used = new Set([...known.segments.map(({ slot }) => slot), ...known.passedOver]);
  for (let slot = 0; slot < slotCount; slot++) if (!used.has(slot)) slots.free(slot);
  slots.prefer(newest.nextSlot);
  for (const [segment, detail] of known.details) state.cache.putDetail(segment.epoch, detail);
  return state;
}

function noteJump(state: RingState): void {
  for (const { id, tailOffset } of state.partitions.all) {
    const ends = state.segments.map(({ extents }) => extents.get(id)?.highest ?? -1);
    const end = Math.max(...ends) + 1;
    if (end > 0) state.jumps.push({ partitionId: id, firstOffset: end, count: tailOffset - end });
  }
}

function pick({ clock, crc32, compressor, logger }: RingOptions): {
  clock: RingOptions['clock'];
  crc32: RingOptions['crc32'];
  compressor: RingOptions['compressor'];
  logger: RingOptions['logger'];
} {
  return { clock, crc32, compressor, logger };
}

// Only a running ring lets slots go. Where a row of crashes has left too few, the oldest segment goes
// that rotation would let go next, plain ones first. Where the newest header is lost, so is the word
// of what it let go, which was the oldest.
function makeRoom(state: RingState, newestIsKnown: boolean): void {
  if (state.slots.inHand > 0) return;
  const older = state.segments.slice(0, -1);
  const plain = newestIsKnown ? older.find(({ flags }) => flags === 0) : undefined;
  const victim = plain ?? older[0];
  if (victim === undefined) return;
  state.sacrifice(victim);
  state.slots.free(victim.slot);
}

function makeParts(
  options: RingOptions,
  hooks: OpenHooks,
  state: RingState,
  previous: PreviousEnd = nothingBefore,
): { appender: Appender; committer: Committer } {
  const appender = new Appender({
    state,
    compress: options.compress,
    governorTokens: () => hooks.governor.tokens,
    previous,
  });
  const committer = new Committer({
    state,
    appender,
    governor: hooks.governor,
    maxCommitWindowMs: options.maxCommitWindowMs,
    onChange: hooks.onChange,
  });
  return { appender, committer };
}

function resumeGovernor(governor: CommitGovernor, known: Recovered): void {
  const kept = keptTokens(known.newest, known.segments, known.unsealed.walk.batches);
  if (kept !== undefined) governor.resume(kept);
}

function endOfUnsealed(known: Recovered, copies: Copies): PreviousEnd {
  const { segment } = known.unsealed;
  const last = copies.records.length > 0 ? known.details.get(segment)?.batches.at(-1) : undefined;
  return {
    epoch: segment.epoch,
    endOffset: segment.endOffset,
    lastSequence: known.lastSequence,
    lastCrc: segment.lastCrc,
    copiedFrom: last?.position ?? 0,
  };
}

/** What the first batch of the new epoch holds, and which slots are free beside it. */
interface FirstBatch {
  readonly copies: Copies;
  /** There are no slots to spare: the slot of the segment that was copied is named as the next one. */
  readonly isShort: boolean;
  /** Slots of segments that were passed over, and are to be free when it is durable. */
  readonly passedOver: number[];
}

/**
 * After a mere process crash the tail may exist only in the page cache, and stays there alone where a
 * sync fails, so the last batch of the unsealed segment is written again, under its own offsets and
 * sequences; the whole segment is, where it is small, and its slot is free at once. In the last slot
 * there is no room for it: its sync must do.
 */
function prepareFirstBatch(
  state: RingState,
  known: Recovered | undefined,
  options: RingOptions,
): FirstBatch {
  const { slots } = state;
  // What newer segments name may have been written, so the first batch goes elsewhere where it can, and
  // else over the newest of them.
  const passedOver = [...(known?.passedOver ?? [])];
  if (slots.inHand === 0) freeOne(slots, passedOver);
  makeRoom(state, known?.unsealed.hasHeader ?? true);
  // What is freed from here on is named as the next slot at most: the next start may need what is
  // in it, until the first batch is durable.
  while (slots.inHand < SLOTS_FOR_START && passedOver.length > 0) freeOne(slots, passedOver);
  const isShort = slots.inHand < SLOTS_FOR_START;
  const copies = known === undefined ? noCopies : copiesOf(known, options, isShort);
  return { copies, isShort, passedOver };
}

function freeOne(slots: Slots, passedOver: number[]): void {
  const slot = passedOver.shift();
  if (slot !== undefined) slots.free(slot);
}

async function writeFirstBatch(
  parts: { readonly appender: Appender; readonly committer: Committer },
  state: RingState,
  known: Recovered | undefined,
  { copies, isShort, passedOver }: FirstBatch,
): Promise<void> {
  const { appender, committer } = parts;
  const { slots } = state;
  const old = known?.unsealed.segment;
  if (copies.whole && old !== undefined) {
    state.segments.splice(state.segments.indexOf(old), 1);
    old.state = 'free';
    if (isShort) slots.free(old.slot);
  }
  // With one slot the ring goes on, and takes nothing until recycling has won others: that knows what
  // may go, and a start does not. It needs every page of that slot, so nothing is written before.
  const batch = appender.openEmptyBatch(1);
  if (!copies.whole && known !== undefined) summarize(known, appender, state);
  if (appender.takesCopiesOnly) return;
  batch.mark(BATCH_RECOVERY_COPY);
  for (const record of copies.records) appender.carry(record);
  appender.close();
  const isDurable = await committer.commitNow({ mayMove: !(copies.whole && isShort) });
  if (!isDurable)
    throw committer.failure ?? new CisternError('DEVICE_FAILED', 'Cannot write the ring.');
  const inHand = slots.inHand;
  while (passedOver.length > 0) freeOne(slots, passedOver);
  if (copies.whole && !isShort && old !== undefined) slots.free(old.slot);
  // None of these is live in the header just written, so a start after a cut now finds them free, too.
  appender.countFreeSlots(slots.inHand - inHand);
}

// So that the next start need not walk this segment. One with damage is walked, and reported, again; of
// what is torn the next start must not think otherwise because a summary lies over it.
function summarize(known: Recovered, appender: Appender, state: RingState): void {
  const { segment, walk } = known.unsealed;
  const detail = known.details.get(segment);
  if (detail === undefined || walk.damaged.length + walk.torn.length > 0) return;
  const seed = state.seedOf(segment.epoch);
  appender.sealedSegments.push({ segment, detail, seed, abandoned: false });
}

interface Copies {
  readonly records: readonly RecordView[];
  /** True where they are all that the unsealed segment holds. */
  readonly whole: boolean;
}

const noCopies: Copies = { records: [], whole: false };

function copiesOf(
  known: Recovered,
  { compressor, segmentSizeBytes }: RingOptions,
  isShort: boolean,
): Copies {
  const { walk, bytes, segment } = known.unsealed;
  const sources = known.details.get(segment)?.sources ?? [];
  const batches = walk.batches.filter(({ sound }) => sound);
  let total = 0;
  for (const { header } of batches) {
    total += header.unpackedLength + MAX_COPY_GROWTH_BYTES * (header.freshCount + 1);
  }
  // It must fit one batch: only then are the header that lets the old slot go and the copy one write.
  const limit = segmentSizeBytes * (isShort ? 0.7 : 0.25);
  const whole = total <= Math.min(isShort ? MAX_COPIED_SHORT_BYTES : MAX_COPIED_BYTES, limit);
  if (!whole && isShort) return noCopies;
  const records: RecordView[] = [];
  for (const { header } of whole ? batches : batches.slice(-1)) {
    const at = header.position + header.headerLength;
    try {
      const stored = bytes.subarray(at, at + header.storedLength);
      records.push(
        ...decodeRecords(unpackBody(stored, header, compressor, false), header, sources),
      );
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
    }
  }
  return { records, whole };
}

function reportOf(
  kind: 'recovered' | 'empty' | 'unreadable',
  known: Recovered | undefined,
  shortSegments: number,
  durationMs: number,
): RecoveryReport {
  return {
    durationMs,
    created: kind === 'empty',
    tornRecords: known?.tornRecords ?? 0,
    corruptRecords: known?.corruptRecords ?? 0,
    lostSegments: known?.lostSegments ?? 0,
    shortSegments,
    lost: known?.lost ?? [],
    tailUncertain: kind === 'unreadable' || (known?.tailUncertain ?? false),
  };
}
