import { expect, test } from 'vitest';
import { ShownRecords } from '../../../src/cli/shown-records.ts';
import type { Sequence } from '../../../src/ring/types.ts';

function shownOf(...records: readonly (readonly [sequence: number, carried?: 'carried'])[]) {
  const shown = new ShownRecords();
  const isNew = ([sequence, carried]: (typeof records)[number]): boolean =>
    shown.add({ sequence: sequence as Sequence, carried: carried !== undefined });
  return records.filter(isNew).map(([sequence]) => sequence);
}

test('a copy is not shown beside its original, nor beside another copy', () => {
  expect(shownOf([1], [2], [5], [2, 'carried'], [5, 'carried'], [6])).toEqual([1, 2, 5, 6]);
  expect(shownOf([1, 'carried'], [9], [1, 'carried'])).toEqual([1, 9]);
});

test('a copy whose original is gone is shown, also from between others', () => {
  expect(shownOf([1], [2], [4], [3, 'carried'], [0, 'carried'])).toEqual([1, 2, 4, 3, 0]);
});
