import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { inParallel } from '../../../src/base/in-parallel.ts';

test('keeps the order, and to its limit', async () => {
  let [running, most] = [0, 0];
  const items = Array.from({ length: 20 }, (_, index) => index);
  const results = await inParallel(items, 3, async (item) => {
    most = Math.max(most, ++running);
    for (let turns = 20 - item; turns > 0; turns--) await turn();
    running--;
    return item * 2;
  });
  expect(results).toEqual(items.map((item) => item * 2));
  expect([running, most]).toEqual([0, 3]);
  expect(await inParallel([], 3, () => Promise.reject(new Error('never')))).toEqual([]);
});

test('after a failure begins no more, and waits for what is under way', async () => {
  const begun: number[] = [];
  let ended = 0;
  const failing = inParallel([0, 1, 2, 3, 4], 2, async (item) => {
    begun.push(item);
    if (item === 1) throw new Error('the second');
    for (let turns = 5; turns > 0; turns--) await turn();
    ended++;
  });
  await expect(failing).rejects.toThrow('the second');
  expect([begun, ended]).toEqual([[0, 1], 1]);
});
