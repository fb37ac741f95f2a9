import { describe, expect, test } from 'vitest';
import type { BatchHeader, LetGo } from '../../../src/ring/batch-header.ts';
import { findBase } from '../../../src/ring/base-segment.ts';
import { BATCH_PROVISIONAL } from '../../../src/ring/format.ts';
import type { Candidate, Found } from '../../../src/ring/recovery-evidence.ts';
import type { SegmentHeader } from '../../../src/ring/segment-header.ts';
import type { WalkedBatch } from '../../../src/ring/walk.ts';

interface Batch {
  readonly fresh: number;
  readonly crc: number;
  readonly previousCrc: number;
  readonly sound?: boolean;
  readonly letsGo?: LetGo;
}

interface SegmentPlan {
  readonly slot: number;
  readonly epoch: number;
  /** Slots of what its header calls live, besides itself; none where the header is torn. */
  readonly live?: readonly { readonly slot: number; readonly epoch: number }[];
  readonly next?: number;
  readonly previousEpoch?: number;
  /** Of the last batch before, where the first one is not there to say it. */
  readonly previousCrc?: number;
  readonly batches: readonly Batch[];
  /** Something before the last batch cannot be read, or something behind it. */
  readonly damaged?: boolean;
  readonly torn?: boolean;
}

/** Plain data, two records in each of two batches: what copies are made from. */
const data: SegmentPlan = {
  slot: 4,
  epoch: 10,
  live: [{ slot: 3, epoch: 9 }],
  next: 5,
  batches: [
    { fresh: 2, crc: 100, previousCrc: 90 },
    { fresh: 2, crc: 101, previousCrc: 100 },
  ],
};
const older: SegmentPlan = { slot: 3, epoch: 9, live: [], next: 4, batches: [] };
/** What a start with two slots in hand writes: copies alone, and a next slot that was free. */
const copies: SegmentPlan = {
  slot: 5,
  epoch: 11,
  live: [
    { slot: 3, epoch: 9 },
    { slot: 4, epoch: 10 },
  ],
  next: 6,
  previousEpoch: 10,
  batches: [{ fresh: 0, crc: 110, previousCrc: 101 }],
};

describe('a start goes on from', () => {
  test('the newest segment, where it holds something fresh', async () => {
    const fresh = { ...copies, batches: [{ fresh: 1, crc: 110, previousCrc: 101 }] };
    expect(await baseOf([fresh, data, older])).toEqual({ epoch: 11, passedOver: [] });
  });

  test('the one before, where the newest holds copies alone', async () => {
    expect(await baseOf([copies, data, older])).toEqual({ epoch: 10, passedOver: [5] });
  });

  test('what lost its header: it would not be looked for, if it held copies alone', async () => {
    const headerless = { ...without(copies, 'live'), batches: copies.batches };
    expect(await baseOf([headerless, data, older])).toEqual({ epoch: 11, passedOver: [] });
  });

  test('the copies, where they let another segment go', async () => {
    const letsGo = { fresh: 0, crc: 111, previousCrc: 110, letsGo: { epoch: 9, heads: [] } };
    const counting = { ...copies, batches: [...copies.batches, letsGo] };
    expect(await baseOf([counting, data, older])).toEqual({ epoch: 11, passedOver: [] });
  });

  test('the copies, where what they were made from is not there any more', async () => {
    const short = { ...data, batches: data.batches.slice(0, 1) };
    expect(await baseOf([copies, short, older])).toEqual({ epoch: 11, passedOver: [] });
  });

  test('the copies, where what they were made from is damaged', async () => {
    const expected = { epoch: 11, passedOver: [] };
    expect(await baseOf([copies, { ...data, damaged: true }, older])).toEqual(expected);
  });

  test('the copies, where a segment that the one before calls live was overwritten', async () => {
    expect(await baseOf([copies, data])).toEqual({ epoch: 11, passedOver: [] });
  });

  test('the copies, where they name a slot as the next that the one before calls live', async () => {
    const letGo = { ...copies, next: 3 };
    expect(await baseOf([letGo, data, older])).toEqual({ epoch: 11, passedOver: [] });
  });

  test('the one before, where some of the copies cannot be read: a start began to write over them', async () => {
    const damaged = { ...copies, damaged: true };
    expect(await baseOf([damaged, data, older])).toEqual({ epoch: 10, passedOver: [5] });
  });

  test('the one before, but with a suspicion, where something behind the copies cannot be read', async () => {
    const expected = { epoch: 10, passedOver: [5], isSuspect: true };
    expect(await baseOf([{ ...copies, torn: true }, data, older])).toEqual(expected);
  });

  test('the copies, where the one before cannot be synced', async () => {
    const expected = { epoch: 11, passedOver: [] };
    expect(await baseOf([copies, data, older], () => false)).toEqual(expected);
  });

  test('what lies behind a row of copies, none of which wrote where it is', async () => {
    const second = { ...copies, slot: 6, epoch: 12, next: 7, previousEpoch: 11 };
    const row = [{ ...second, batches: [{ fresh: 0, crc: 120, previousCrc: 110 }] }, copies];
    expect(await baseOf([...row, data, older])).toEqual({ epoch: 10, passedOver: [6, 5] });
    const over = [{ ...row[0], next: 3 } as SegmentPlan, copies];
    expect(await baseOf([...over, data, older])).toEqual({ epoch: 12, passedOver: [] });
  });

  test('the newest with a sound batch, and not a header whose batch is torn', async () => {
    const torn = { ...copies, batches: [{ fresh: 3, crc: 110, previousCrc: 101, sound: false }] };
    expect(await baseOf([torn, data, older])).toEqual({ epoch: 10, passedOver: [5] });
  });

  describe('a segment in the last slot,', () => {
    const provisional = {
      ...copies,
      next: 16,
      batches: [
        { fresh: 0, crc: 110, previousCrc: 101 },
        { fresh: 0, crc: 111, previousCrc: 110 },
      ],
    };
    const letsGo = { fresh: 0, crc: 112, previousCrc: 111, letsGo: { epoch: 9, heads: [] } };

    test('not while all of it is provisional', async () => {
      expect(await baseOf([provisional, data, older])).toEqual({ epoch: 10, passedOver: [5] });
    });

    test('not either where a start has begun to write over it', async () => {
      const batches = provisional.batches.slice(1);
      const torn = { ...provisional, batches, previousCrc: 101, damaged: true };
      expect(await baseOf([torn, data, older])).toEqual({ epoch: 10, passedOver: [5] });
    });

    test('once it lets another go', async () => {
      const counting = { ...provisional, batches: [...provisional.batches, letsGo] };
      expect(await baseOf([counting, data, older])).toEqual({ epoch: 11, passedOver: [] });
      const unsound = { ...letsGo, sound: false };
      const waiting = { ...provisional, batches: [...provisional.batches, unsound] };
      expect(await baseOf([waiting, data, older])).toEqual({ epoch: 10, passedOver: [5] });
    });

    test('if what it was copied from is not there any more', async () => {
      expect(await baseOf([provisional, data])).toEqual({ epoch: 11, passedOver: [] });
    });

    test('not behind one that let go what its header calls live', async () => {
      const batches = [
        { fresh: 1, crc: 101, previousCrc: 90 },
        { ...letsGo, crc: 102 },
      ];
      const first = provisional.batches.map((batch) => ({ ...batch, previousCrc: 102 }));
      const behind = { ...provisional, slot: 3, batches: first };
      expect(await baseOf([behind, { ...data, batches }])).toEqual({ epoch: 10, passedOver: [3] });
    });
  });

  test('what was synced, since a kill leaves it in the page cache alone', async () => {
    const synced: number[] = [];
    await baseOf([copies, data, older], (slot) => synced.push(slot) > 0);
    expect(synced).toEqual([5, 4]);
  });
});

async function baseOf(
  plans: readonly SegmentPlan[],
  sync: (slot: number) => boolean = () => true,
): Promise<{ epoch: number; passedOver: readonly number[]; isSuspect?: true } | undefined> {
  const candidates = plans.map(candidateOf);
  const base = await findBase(candidates, {
    walk: async (candidate) => {
      const plan = plans[candidates.indexOf(candidate)];
      if (plan === undefined) throw new Error('a candidate that was never offered');
      return foundOf(plan, candidate);
    },
    sync: async (slot) => sync(slot),
  });
  if (base === undefined) return undefined;
  const { candidate, passedOver, isSuspect } = base;
  return { epoch: candidate.epoch, passedOver, ...(isSuspect && { isSuspect }) };
}

function candidateOf(plan: SegmentPlan): Candidate {
  const { slot, epoch, live, next, previousEpoch, previousCrc, batches } = plan;
  const header =
    live === undefined
      ? undefined
      : ({
          nextSlot: next,
          slotCount: 16,
          live: [...live, { slot, epoch }],
          previous: { epoch: previousEpoch ?? 0, lastCrc: previousCrc ?? batches[0]?.previousCrc },
        } as unknown as SegmentHeader);
  return { slot, epoch, header, startOffset: 4096 };
}

function foundOf(plan: SegmentPlan, candidate: Candidate): Found {
  const batches = plan.batches.map(
    ({ fresh, crc, previousCrc, sound, letsGo }, at, all): WalkedBatch => {
      const before = all.slice(0, at + 1);
      const isProvisional = before.every((batch) => batch.fresh === 0 && !batch.letsGo);
      const flags = isProvisional ? BATCH_PROVISIONAL : 0;
      return {
        header: { freshCount: fresh, headerCrc: crc, previousCrc, flags, letsGo } as BatchHeader,
        sound: sound ?? true,
      };
    },
  );
  const bad = [{ position: 8192, lengthBytes: 4096, header: undefined }];
  const damaged = plan.damaged === true ? bad : [];
  const torn = plan.torn === true ? bad : [];
  const walk = { batches, damaged, torn, endOffset: 0 };
  return { candidate, walk, bytes: new Uint8Array(0) };
}

function without<T, K extends keyof T>(value: T, key: K): Omit<T, K> {
  const { [key]: _, ...rest } = value;
  return rest;
}
