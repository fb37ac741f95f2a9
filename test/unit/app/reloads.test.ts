import { expect, test } from 'vitest';
import { Reloads } from '../../../src/app/reloads.ts';
import { CisternError } from '../../../src/base/errors.ts';
import { MemoryLogger } from '../../support/memory-logger.ts';
import { SimClock } from '../../support/sim-clock.ts';

/** A folder of files that exist by name and content alone. */
async function watch(): Promise<{
  readonly files: Map<string, string>;
  readonly used: string[];
  readonly reloads: Reloads;
  readonly clock: SimClock;
}> {
  const files = new Map([
    ['cert', '1'],
    ['key', '1'],
  ]);
  const used: string[] = [];
  const clock = new SimClock();
  const reloads = new Reloads({
    clock,
    logger: new MemoryLogger(),
    stampFiles: async (paths) => paths.map((path) => files.get(path)).join(' '),
  });
  await reloads.add({
    name: 'the pair',
    files: ['cert', 'key'],
    async reload() {
      if (files.get('cert') !== files.get('key')) {
        throw new CisternError('CONFIG_INVALID', 'the two do not match');
      }
      used.push(files.get('cert') ?? '');
    },
  });
  return { files, used, reloads, clock };
}

test('a change is taken up within five seconds, once', async () => {
  const { files, used, reloads, clock } = await watch();
  await clock.advance(10_000);
  expect(used).toEqual([]);
  files.set('cert', '2').set('key', '2');
  await clock.advance(5_000);
  expect(used).toEqual(['2']);
  await clock.advance(10_000);
  expect(used).toEqual(['2']);
  await reloads.stop();
});

test('two files that are replaced one second apart are one change, and no alarm', async () => {
  const { files, used, reloads, clock } = await watch();
  files.set('cert', '2');
  await clock.advance(3_000);
  expect(reloads.conditions()).toEqual([]);
  files.set('key', '2');
  await clock.advance(5_000);
  expect(used).toEqual(['2']);
  expect(reloads.conditions()).toEqual([]);
  await reloads.stop();
});

test('what cannot be used is an alarm until it is mended', async () => {
  const { files, used, reloads, clock } = await watch();
  files.set('cert', '2');
  await clock.advance(5_000);
  expect(used).toEqual([]);
  expect(reloads.conditions()).toEqual([
    {
      code: 'config.reload_failed',
      message: 'What changed in the pair is not used: the two do not match',
    },
  ]);
  files.set('key', '2');
  await clock.advance(5_000);
  expect(used).toEqual(['2']);
  expect(reloads.conditions()).toEqual([]);
  await reloads.stop();
});

test('SIGHUP reads at once, changed or not, and after the stop nothing is read', async () => {
  const { files, used, reloads, clock } = await watch();
  await reloads.reloadAll();
  expect(used).toEqual(['1']);
  await reloads.stop();
  await reloads.reloadAll();
  files.set('cert', '2').set('key', '2');
  await clock.advance(10_000);
  expect(used).toEqual(['1']);
});
