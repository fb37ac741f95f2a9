import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cistern } from '../support/executable.ts';
import { SimRandom } from '../support/sim-random.ts';
import { BlockImage } from './block-image.ts';
import { complaintsOfBroker, complaintsOfRing } from './image-check.ts';
import { type Acknowledged, Load } from './image-load.ts';

/** Small, so that the ring goes round and carries while the images are taken. */
const MIB = 2 ** 20;
const SIZE = { ringBytes: 4 * MIB, segmentBytes: MIB / 4 };
const SNAPSHOTS = 60;
/** Of the images, one in so many is started by the executable as well, with clients that look. */
const STARTED = 6;
const WITHOUT_SYNC = 6;

let disk: BlockImage;
let broker: Cistern | undefined;

// Without root or loop devices this fails, loudly: a test of the real thing that is skipped in
// silence would be taken for a proof.
beforeEach(() => {
  disk = new BlockImage({ imageMiB: 64, hostMiB: 2048 });
});

afterEach(async () => {
  await broker?.stop();
  disk?.dispose();
});

interface Turning {
  readonly ring: { readonly epoch: number };
  readonly wear: { readonly carriedBytes: number };
}

interface Snapshot {
  readonly image: string;
  readonly acknowledged: Acknowledged;
}

test(`${SNAPSHOTS} images of the block device under load hold all that was acknowledged by then`, async () => {
  broker = await startOn(disk.path);
  const snapshots = await snapshotsUnderLoad(broker, SNAPSHOTS);
  const { ring, wear } = await broker.status<Turning>();
  await broker.kill9();
  expect(ring.epoch, 'segments, which go round more than once').toBeGreaterThan(
    (2 * SIZE.ringBytes) / SIZE.segmentBytes,
  );
  expect(wear.carriedBytes).toBeGreaterThan(0);
  for (const [index, snapshot] of snapshots.entries()) {
    const complaints = await complaintsOf(snapshot, index % STARTED === 0);
    expect(complaints, `image ${index} of ${snapshots.length}`).toEqual([]);
  }
}, 120_000);

test('the same check finds what is lost where nothing is synced', async () => {
  broker = await startOn(disk.path);
  await broker.shutDown();
  const folder = mkdtempSync(join(tmpdir(), 'cistern-no-sync-'));
  try {
    broker = await startOn(disk.path, { LD_PRELOAD: compileNoSync(folder) });
    const snapshots = await snapshotsUnderLoad(broker, WITHOUT_SYNC);
    await broker.kill9();
    const complaints: string[] = [];
    for (const snapshot of snapshots) complaints.push(...(await complaintsOf(snapshot, false)));
    expect(complaints.filter((text) => text.includes('lost')).length).toBeGreaterThan(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);

async function snapshotsUnderLoad(running: Cistern, count: number): Promise<readonly Snapshot[]> {
  const load = await Load.start(running.mqttPort);
  const random = new SimRandom(1);
  const snapshots: Snapshot[] = [];
  for (let index = 0; index < count; index += 1) {
    await sleep(20 + random.below(250));
    // The ledger first: what is acknowledged while the image is taken may or may not be in it.
    const acknowledged = load.acknowledged();
    snapshots.push({ image: disk.snapshot(), acknowledged });
  }
  await load.stop();
  // Images of a load that was never let in would prove nothing.
  const { fleet, retained, night } = load.acknowledged();
  expect(Math.min(...fleet, retained, night)).toBeGreaterThan(count / 2);
  return snapshots;
}

async function complaintsOf(
  { image, acknowledged }: Snapshot,
  starts: boolean,
): Promise<readonly string[]> {
  const { path, unmount } = disk.mountSnapshot(image);
  try {
    if (!starts) return await complaintsOfRing(path, SIZE, acknowledged);
    const restarted = await startOn(path);
    const complaints = await complaintsOfBroker(restarted.mqttPort, acknowledged);
    await restarted.kill9();
    await restarted.stop();
    return [...complaints, ...(await complaintsOfRing(path, SIZE, acknowledged))];
  } finally {
    unmount();
  }
}

function startOn(path: string, env?: NodeJS.ProcessEnv): Promise<Cistern> {
  return Cistern.start({
    dataDir: join(path, 'data'),
    size: `${SIZE.ringBytes / MIB}MiB`,
    segment: `${SIZE.segmentBytes / 1024}KiB`,
    ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
  });
}

function compileNoSync(folder: string): string {
  const library = join(folder, 'no-sync.so');
  const source = fileURLToPath(new URL('no-sync.c', import.meta.url));
  execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl']);
  return library;
}
