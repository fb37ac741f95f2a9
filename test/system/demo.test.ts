import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { TestProcess } from '../support/child-process.ts';
import type { LedgerEntry } from '../support/ledger.ts';
import { reckon } from '../support/reckoning.ts';

function entries(event: LedgerEntry['event'], ...numbers: readonly number[]): LedgerEntry[] {
  return numbers.map((number) => ({ event, device: 'device-01', number, atMs: number }));
}

test('the reckoning finds what is lost, repeated, late and invented', () => {
  const publisher = [
    ...entries('tried', 1, 2, 3, 4, 5, 3, 4),
    ...entries('acknowledged', 1, 2, 3, 4),
  ];
  // 4 overtook 3; 1 came again, which says nothing about order; nobody ever sent 9; 2 is missing.
  const upstream = entries('arrived', 1, 4, 3, 1, 9);
  expect(reckon(publisher, upstream)).toEqual({
    published: 5,
    repeated: 2,
    acknowledged: 4,
    arrived: 4,
    duplicated: 1,
    lost: ['device-01#2'],
    unknown: ['device-01#9'],
    outOfOrder: ['device-01#3'],
  });
});

test('what nobody acknowledged is not lost when it does not arrive', () => {
  const reckoning = reckon(entries('tried', 1, 2), entries('arrived', 1));
  expect(reckoning.lost).toEqual([]);
});

test('npm run demo, cut short: exit code 0, and a table that says lost 0, out of order 0', async () => {
  const program = fileURLToPath(new URL('demo/run.ts', import.meta.url));
  const demo = new TestProcess(process.execPath, [program, '--seconds', '9', '--rate', '500']);
  try {
    const exitCode = await demo.exited();
    const figure = (word: string): string | undefined =>
      new RegExp(`^ {2}${word} +([\\d,]+) {3}`, 'm').exec(demo.output())?.[1];
    expect(exitCode, demo.output()).toBe(0);
    expect(figure('lost')).toBe('0');
    expect(figure('out of order')).toBe('0');
    expect(figure('arrived upstream')).toBe(figure('acknowledged'));
    expect(Number(figure('published')?.replace(',', ''))).toBeGreaterThan(3_000);
  } finally {
    if (demo.isRunning) await demo.end('SIGTERM', 20_000);
  }
}, 90_000);
