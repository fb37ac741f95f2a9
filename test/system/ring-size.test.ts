import { execFileSync, type StdioOptions } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { SimRandom } from '../support/sim-random.ts';
import { waitFor } from '../support/wait-for.ts';
import { WireClient } from '../support/wire-client.ts';

const MIB = 2 ** 20;
const RETAINED = 300;
const MESSAGES = 70_000;
const KILLS = 4;

interface Status {
  readonly ring: { readonly sizeBytes: number; readonly segments: number };
}

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(dataDir: string, size: string): Promise<Cistern> {
  const broker = await startCistern({ dataDir, size, segment: '1MiB', toml: 'anonymous = true' });
  undo.push(() => broker.stop());
  return broker;
}

const sizeOf = async (broker: Cistern): Promise<number> =>
  (await broker.status<Status>()).ring.sizeBytes;

/** More than the ring holds: what no compression shrinks. */
async function fill(broker: Cistern): Promise<void> {
  const random = new SimRandom(3);
  const { client } = await WireClient.connect(broker.mqttPort, { clientId: 'filler' });
  const qos1 = { cmd: 'publish', qos: 1, dup: false } as const;
  for (let index = 1; index <= RETAINED; index += 1) {
    const payload = Buffer.from(`value ${index}`);
    client.send({ ...qos1, topic: `state/${index}`, payload, retain: true, messageId: index });
  }
  for (let index = 1; index <= MESSAGES; index += 1) {
    const payload = Buffer.from(random.bytes(1000)).toString('base64');
    const messageId = (index % 60_000) + 1_000;
    client.send({ ...qos1, topic: 'telemetry', payload, retain: false, messageId });
    if (index % 500 === 0) await client.next('puback', (ack) => ack.messageId === messageId);
  }
  client.destroy();
}

async function retainedTopics(broker: Cistern): Promise<ReadonlyMap<string, string>> {
  const { client } = await WireClient.connect(broker.mqttPort, { clientId: 'reader' });
  const found = new Map<string, string>();
  client.onPacket = (packet) => {
    if (packet.cmd === 'publish') found.set(packet.topic, packet.payload.toString());
  };
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'state/+', qos: 0 }] });
  await waitFor('all retained messages', () => found.size === RETAINED, 20_000);
  client.destroy();
  return found;
}

/** Fails where it ends with anything but 0. */
function log(...args: readonly string[]): string {
  const options = { maxBuffer: 512 * MIB, stdio: ['ignore', 'pipe', 'inherit'] as StdioOptions };
  return execFileSync(executablePath(), ['log', ...args], options).toString();
}

test('a ring shrinks between starts, through kill -9, and keeps its newest and what is retained', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cistern-size-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const dataDir = join(folder, 'data');
  const large = await start(dataDir, '64MiB');
  await fill(large);
  await large.shutDown();
  expect(await readdir(join(dataDir, 'ring'))).toHaveLength(64);

  const small = await start(dataDir, '20MiB');
  for (let count = 0; count < KILLS; count += 1) {
    await sleep(40 * count);
    await small.kill9();
    await small.launch();
  }
  await waitFor('the new size', async () => (await sizeOf(small)) === 20 * MIB, 30_000);
  await waitFor(
    'the room',
    async () => (await readdir(join(dataDir, 'ring'))).length === 20,
    5_000,
  );
  expect((await retainedTopics(small)).get('state/7')).toBe('value 7');
  expect(await small.shutDown()).toBe(0);

  expect(log('verify', dataDir)).toContain('every checksum is right');
  const numbers = log('dump', dataDir, '--json')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { topic: string; offset: number })
    .filter(({ topic }) => topic === 'telemetry')
    .map(({ offset }) => offset)
    .sort((a, b) => a - b);
  // Without a gap up to the last, and most of what fits.
  const newest = RETAINED + MESSAGES - 1;
  expect(numbers.at(-1)).toBe(newest);
  expect(numbers).toEqual(Array.from(numbers, (_, index) => newest - numbers.length + 1 + index));
  expect(numbers.length).toBeGreaterThan(8_000);
}, 180_000);
