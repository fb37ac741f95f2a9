import { describe, expect, test } from 'vitest';
import { SharedCursor } from '../../../src/session/shared-cursor.ts';

const at = (through: number, ...open: number[]) => new SharedCursor({ through, open });

describe('SharedCursor', () => {
  test('what was given out is not wanted again, whether done with or not', () => {
    const cursor = at(10);
    cursor.claim(11);
    cursor.claim(13);
    cursor.done(11);
    expect([10, 11, 12, 13, 14].map((sequence) => cursor.wants(sequence))).toEqual([
      false,
      false,
      false,
      false,
      true,
    ]);
    expect(cursor.toPosition()).toEqual({ through: 13, open: [13] });
  });

  test('a restart gives out again what nobody had done with, and only that', () => {
    const cursor = at(0);
    for (const sequence of [1, 2, 3, 4]) cursor.claim(sequence);
    cursor.done(1);
    cursor.done(3);
    const again = new SharedCursor(cursor.toPosition());
    expect(again.beginScan()).toBe(2);
    expect([1, 2, 3, 4, 5].filter((sequence) => again.wants(sequence))).toEqual([2, 4, 5]);
  });

  test('what a member had before a restart is not given out again when it is done before a scan', () => {
    const cursor = at(10);
    for (const sequence of [12, 14]) cursor.reclaim(sequence);
    cursor.done(12);
    expect(cursor.beginScan()).toBe(11);
    const wanted = (by: SharedCursor) => [11, 12, 13, 14].filter((each) => by.wants(each));
    expect(wanted(cursor)).toEqual([11, 13]);
    const again = new SharedCursor(cursor.toPosition());
    again.reclaim(14);
    expect(wanted(again)).toEqual([11, 13]);
    again.done(14);
    for (const sequence of [11, 13]) again.claim(sequence);
    expect(again.passed(14)).toBe(0);
    expect(again.toPosition()).toEqual({ through: 14, open: [11, 13] });
  });

  test('its position stays small while one member holds one message', () => {
    const cursor = at(0);
    cursor.claim(1);
    for (let sequence = 2; sequence < 100_000; sequence++) {
      cursor.claim(sequence);
      cursor.done(sequence);
    }
    expect(cursor.toPosition()).toEqual({ through: 99_999, open: [1] });
  });

  test('a message that is given back is read for again, and gone where the scan does not meet it', () => {
    const cursor = at(0);
    for (const sequence of [1, 2, 3]) cursor.claim(sequence);
    cursor.free(1);
    cursor.free(2);
    expect(cursor.beginScan()).toBe(1);
    cursor.claim(2);
    expect(cursor.passed(3)).toBe(1);
    expect(cursor.toPosition()).toEqual({ through: 3, open: [2, 3] });
  });

  test('what is given back during a scan is left for the next one', () => {
    const cursor = at(0);
    for (const sequence of [1, 2]) cursor.claim(sequence);
    expect(cursor.beginScan()).toBe(3);
    cursor.free(1);
    expect(cursor.passed(5)).toBe(0);
    expect(cursor.wants(1)).toBe(true);
    expect(cursor.beginScan()).toBe(1);
  });

  test('nothing passes a message that is on its way to the ring', () => {
    const cursor = at(0);
    cursor.expect(5);
    cursor.claim(6);
    cursor.done(6);
    expect(cursor.passed(6)).toBe(0);
    expect(cursor.toPosition()).toEqual({ through: 6, open: [5] });
    cursor.arrived(5);
    expect(cursor.wants(5)).toBe(true);
  });
});
