import { describe, expect, test } from 'vitest';
import { currentGeneration, generationsOf } from '../../../src/streams/generations.ts';

describe('the partitions of a stream', () => {
  test('are those there are, while their count stays', () => {
    expect(currentGeneration([], 3)).toEqual([0, 1, 2]);
    expect(currentGeneration([2, 0, 1], 3)).toEqual([0, 1, 2]);
  });

  test('begin anew with numbers never used, whenever the count changes', () => {
    expect(currentGeneration([0, 1, 2], 2)).toEqual([4, 5]);
    expect(currentGeneration([0, 1, 2, 4, 5], 2)).toEqual([4, 5]);
    expect(currentGeneration([0, 1, 2, 4, 5], 3)).toEqual([7, 8, 9]);
  });

  test('whose making a power cut ended half-way begin anew', () => {
    expect(currentGeneration([0, 1, 2, 4], 2)).toEqual([6, 7]);
  });

  test('tell their generations', () => {
    expect(generationsOf([4, 5, 0, 1, 2, 7])).toEqual([[0, 1, 2], [4, 5], [7]]);
  });
});
