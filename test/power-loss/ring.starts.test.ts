import { expect, test } from 'vitest';
import { checkCut, freshLife, headsOf, recover } from './scenario.ts';
import type { Observation } from './observe.ts';
import { type Moment, type World, worldAfterCut } from './world.ts';
import { appendWorkload } from './workload.ts';

const PAGE_BYTES = 4096;

/**
 * Three starts in a row, each cut short, after the first of which a segment without its header lies
 * where a later segment will be named as the next one. Found with the model (`test/model`): the
 * header that told of it is torn in turn, and so its epoch may be given out again.
 */
test('a batch that lost its header, and the header that named its slot, does not outdo what is written later', async () => {
  const life = await freshLife({ seed: 5, groups: 120 });
  let moment = life.moment('everything acknowledged');
  moment = await startOf(moment, 1, ({ world, found }) => endOf(world, moment, found));
  // Its first batch lands, without the header page in front of it.
  moment = await startOf(moment, 2, ({ writing }) => {
    const image = writing.moment.disk.cut('all', 1);
    const before = writing.moment.disk.cut('none', 1).contents(writing.slot);
    image.file(writing.slot).writeDurable(0, before.subarray(0, PAGE_BYTES));
    return { ...writing.moment, disk: image };
  });
  // Of the next one nothing can be read.
  moment = await startOf(moment, 3, ({ writing }) => {
    const image = writing.moment.disk.cut('none', 1);
    image.garble(writing.slot, 0, 2 * PAGE_BYTES, 7);
    return { ...writing.moment, disk: image };
  });
  const world = worldAfterCut(moment, 'none', 4);
  world.start(await recover(world, moment));
  await world.run(appendWorkload(world, { seed: 6, groups: 1 }));
  expect(world.ledger.acked).toBe(world.ledger.entries.length);
  await checkCut(world.moment('all is acknowledged'), 'none', 5);
});

test('a start of which only the header page landed counts for nothing', async () => {
  // So little that the start copies the whole segment: its header does not call that one live.
  const life = await freshLife({ seed: 5, groups: 4 });
  const moment = await startOf(life.moment('everything acknowledged'), 1, ({ writing }) => {
    const image = writing.moment.disk.cut('none', 1);
    const written = writing.moment.disk.cut('all', 1).contents(writing.slot);
    image.file(writing.slot).writeDurable(0, written.subarray(0, PAGE_BYTES));
    return { ...writing.moment, disk: image };
  });
  await checkCut(moment, 'none', 2);
});

interface Start {
  readonly world: World;
  readonly found: Observation;
  /** While its first batch was being written. */
  readonly writing: { readonly moment: Moment; readonly slot: string };
}

async function startOf(
  moment: Moment,
  seed: number,
  cut: (start: Start) => Moment,
): Promise<Moment> {
  const world = worldAfterCut(moment, 'none', seed);
  world.keepMoments();
  const found = await recover(world, moment);
  const first = world.moments.find(({ what }) => what.startsWith('writeDurable'));
  const slot = first?.what.split(' ')[1];
  if (first === undefined || slot === undefined) throw new Error('the start wrote nothing');
  return cut({ world, found, writing: { moment: first, slot } });
}

function endOf(world: World, { ledger }: Moment, found: Observation): Moment {
  return { ...world.moment('started'), ledger, heads: headsOf(found) };
}
