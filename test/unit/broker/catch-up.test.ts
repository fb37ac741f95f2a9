import { describe, expect, test } from 'vitest';
import {
  CatchUp,
  type ReadRange,
  type RingMessage,
  type RingReader,
} from '../../../src/broker/catch-up.ts';
import type { TopicTable } from '../../../src/broker/topics.ts';
import type { RecordView, Ring, ScanOptions } from '../../../src/ring/types.ts';
import { SimClock } from '../../support/sim-clock.ts';

const BATCH = 10;

/** A ring of session records, one topic `t/<sequence mod 3>`, that counts the batches it gives out. */
class CountedRing {
  batchesRead = 0;
  readonly lastSequence: number;

  constructor(lastSequence: number) {
    this.lastSequence = lastSequence;
  }

  get durableSequence(): number {
    return this.lastSequence;
  }

  async *scan({ fromSequence, toSequence = Infinity }: ScanOptions) {
    for (let first = 1; first <= this.lastSequence; first += BATCH) {
      const sequences = Array.from({ length: BATCH }, (_, index) => first + index);
      const wanted = sequences.filter((each) => each >= fromSequence && each < toSequence);
      if (wanted.length === 0) continue;
      this.batchesRead++;
      yield wanted.map((sequence) => recordOf(sequence));
    }
  }
}

function recordOf(sequence: number): RecordView {
  const none = new Uint8Array(0);
  const topic = `t/${sequence % 3}`;
  return { sequence, topic, flags: 2, payload: none, attributes: none } as unknown as RecordView;
}

class CountingReader implements RingReader {
  readonly clientId = undefined;
  readonly wantsEveryTopic = false;
  readonly taken: number[] = [];
  room: number;
  ended = false;
  readonly #topic: string;

  constructor(topic: string, room = Infinity) {
    this.#topic = topic;
    this.room = room;
  }

  wantsTopic(topic: string): boolean {
    return topic === this.#topic;
  }

  take({ record }: RingMessage): boolean {
    if (record.topic !== this.#topic) return true;
    if (this.room === 0) return false;
    this.room--;
    this.taken.push(record.sequence);
    return true;
  }

  rangeEnded(): ReadRange | undefined {
    this.ended = true;
    return undefined;
  }

  abandoned(): void {
    throw new Error('nothing failed');
  }
}

function world(lastSequence: number) {
  const clock = new SimClock();
  const ring = new CountedRing(lastSequence);
  const catchUp = new CatchUp({
    ring: ring as unknown as Ring,
    topics: {} as TopicTable,
    clock,
    onFailure: (_readers, error) => {
      throw error;
    },
  });
  const settle = async () => {
    for (let i = 0; i < 50; i++) await clock.advance(1);
  };
  return { ring, catchUp, settle };
}

const ofTopic = (remainder: number, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index).filter(
    (sequence) => sequence % 3 === remainder,
  );

describe('CatchUp', () => {
  test('reads once for all who are at the same place', async () => {
    const { ring, catchUp, settle } = world(200);
    const readers = Array.from({ length: 50 }, (_, index) => new CountingReader(`t/${index % 3}`));
    for (const [index, reader] of readers.entries()) {
      catchUp.start(reader, { from: 1 + (index % 5), end: 201 });
    }
    await settle();
    for (const [index, reader] of readers.entries()) {
      expect(reader.taken).toEqual(ofTopic(index % 3, 1 + (index % 5), 200));
      expect(reader.ended).toBe(true);
    }
    expect(ring.batchesRead).toBeLessThanOrEqual(22);
  });

  test('one that stalls holds up nobody, and goes on where it was', async () => {
    const { catchUp, settle } = world(300);
    const stalled = new CountingReader('t/1', 5);
    const fast = new CountingReader('t/1');
    for (const reader of [stalled, fast]) catchUp.start(reader, { from: 1, end: 301 });
    await settle();
    expect(fast.taken).toEqual(ofTopic(1, 1, 300));
    expect([stalled.taken.length, stalled.ended]).toEqual([5, false]);
    for (let i = 0; i < 30 && !stalled.ended; i++) {
      stalled.room = 4;
      catchUp.wake(stalled);
      await settle();
    }
    expect(stalled.taken).toEqual(ofTopic(1, 1, 300));
  });

  test('who is woken for one message at a time reads each batch no more than once', async () => {
    const { ring, catchUp, settle } = world(100);
    const reader = new CountingReader('t/1', 0);
    catchUp.start(reader, { from: 1, end: 101 });
    for (let i = 0; i < 60 && !reader.ended; i++) {
      reader.room = 1;
      catchUp.wake(reader);
      await settle();
    }
    expect(reader.taken).toEqual(ofTopic(1, 1, 100));
    expect(ring.batchesRead).toBeLessThanOrEqual(2 * 10);
  });

  test('one that is stopped is offered nothing more', async () => {
    const { catchUp, settle } = world(100);
    const reader = new CountingReader('t/0', 3);
    catchUp.start(reader, { from: 1, end: 101 });
    await settle();
    catchUp.stop(reader);
    reader.room = 100;
    catchUp.wake(reader);
    await settle();
    expect(reader.taken).toHaveLength(3);
    expect(reader.ended).toBe(false);
  });
});
