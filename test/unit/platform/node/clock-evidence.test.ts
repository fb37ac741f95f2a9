import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createNodeClockEvidence } from '../../../../src/platform/node/clock-evidence.ts';

const now = Date.UTC(2026, 10, 20, 8);
let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cistern-clock-'));
});

afterEach(() => rm(folder, { recursive: true }));

function evidence(arch: string) {
  return createNodeClockEvidence({
    synchronised: join(folder, 'synchronized'),
    chips: join(folder, 'rtc'),
    arch,
    wallMs: () => now,
  });
}

async function addChip(name: string, shown: string | undefined): Promise<void> {
  const path = join(folder, 'rtc', name);
  await mkdir(path, { recursive: true });
  if (shown !== undefined) await writeFile(join(path, 'since_epoch'), shown);
}

test('a synchroniser’s word comes first', async () => {
  expect(await evidence('arm64').read()).toBe('none');
  await writeFile(join(folder, 'synchronized'), '');
  expect(await evidence('arm64').read()).toBe('synchronised');
});

test('a clock chip counts where it agrees with the wall clock, in local time too', async () => {
  await addChip('rtc0', `${now / 1000 + 3 * 3600}\n`);
  expect(await evidence('arm64').read()).toBe('chip');
});

test.each([
  ['has lost its battery', '946684812\n'],
  ['disagrees', `${now / 1000 + 90 * 86_400}\n`],
  ['shows no valid time', undefined],
])('a chip that %s does not, nor does being a PC then', async (_, shown) => {
  await addChip('rtc0', shown);
  expect(await evidence('x64').read()).toBe('none');
});

test('without one to be seen, a PC has its time from below and a board may have none', async () => {
  expect(await evidence('x64').read()).toBe('chip');
  expect(await evidence('arm64').read()).toBe('none');
  await addChip('rtc0', '12\n');
  await addChip('rtc1', `${now / 1000}\n`);
  expect(await evidence('arm64').read()).toBe('chip');
});
