import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type Cistern, startCistern } from '../support/executable.ts';
import { SimRandom } from '../support/sim-random.ts';
import { WireClient } from '../support/wire-client.ts';

const PAGE_BYTES = 4096;
const RETAINED = 300;
const DAMAGES = 16;

const seed = Number(process.env['CISTERN_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function connect(broker: Cistern, clientId: string, clean: boolean) {
  const { client, connack } = await WireClient.connect(broker.mqttPort, { clientId, clean });
  undo.push(() => client.destroy());
  return { client, connack };
}

/** What a card that rots, a copy that was cut short or a careless restore leaves of the file. */
function damaged(sound: Buffer, random: SimRandom): { what: string; bytes: Buffer | undefined } {
  const bytes = Buffer.from(sound);
  const pages = bytes.length / PAGE_BYTES;
  // The first two pages lead to all others, so they have more than their share.
  const page = (): number =>
    PAGE_BYTES * (random.chance(0.3) ? random.below(2) : random.below(pages));
  const ways: Readonly<Record<string, () => Buffer | undefined>> = {
    lost: () => undefined,
    'cut off': () => bytes.subarray(0, random.below(bytes.length)),
    'with pages of zeros': () => {
      for (let n = 0; n < 3; n += 1) bytes.fill(0, page(), page() + PAGE_BYTES);
      return bytes;
    },
    'with pages of garbage': () => {
      for (let n = 0; n < 2; n += 1) bytes.set(random.bytes(PAGE_BYTES), page());
      return bytes;
    },
    'with pages exchanged': () => {
      const [one, other] = [page(), page()];
      sound.copy(bytes, one, other, other + PAGE_BYTES);
      sound.copy(bytes, other, one, one + PAGE_BYTES);
      return bytes;
    },
    'with flipped bits': () => {
      for (let n = 0; n < 20; n += 1) {
        const at = page() + random.below(random.pick([160, PAGE_BYTES]));
        bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      }
      return bytes;
    },
  };
  const what = random.pick(Object.keys(ways));
  return { what, bytes: ways[what]?.() };
}

async function check(broker: Cistern): Promise<void> {
  const { client: device, connack } = await connect(broker, 'device', false);
  expect(connack.sessionPresent).toBe(true);
  const { client: reader } = await connect(broker, 'reader', true);
  reader.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'state/#', qos: 0 }] });
  const found = new Set<string>();
  for (let n = 0; n < RETAINED; n += 1) {
    const { topic, payload } = await reader.next('publish');
    found.add(`${topic} ${payload.toString()}`);
  }
  expect(found.size).toBe(RETAINED);
  await reader.publish('commands/go', 'now', 1, false);
  const { payload, messageId } = await device.next('publish');
  expect(payload.toString()).toBe('now');
  device.send({ cmd: 'puback', messageId: messageId ?? 0 });
  device.destroy();
  reader.destroy();
}

test(`whatever has happened to the checkpoint, the first start has all that the ring has (seed ${seed})`, async () => {
  console.log(`damaged-checkpoint: seed ${seed}`);
  const dataDir = await mkdtemp(join(tmpdir(), 'cistern-checkpoint-'));
  undo.push(() => rm(dataDir, { recursive: true, force: true }));
  const broker = await startCistern({ dataDir, toml: 'anonymous = true' });
  undo.push(() => broker.stop());
  const { client: device } = await connect(broker, 'device', false);
  const subscriptions = [{ topic: 'commands/#', qos: 1 as const }];
  device.send({ cmd: 'subscribe', messageId: 1, subscriptions });
  await device.next('suback');
  device.destroy();
  const { client: publisher } = await connect(broker, 'publisher', true);
  for (let n = 1; n <= RETAINED; n += 1) {
    await publisher.publish(`state/${n}`.padEnd(n % 60, '-'), `${n}`, n, true);
  }
  publisher.destroy();
  expect(await broker.shutDown()).toBe(0);
  const file = join(dataDir, 'state', 'checkpoint.mdb');
  const random = new SimRandom(seed);
  const seen: string[] = [];
  for (let n = 0; n < DAMAGES; n += 1) {
    const { what, bytes } = damaged(readFileSync(file), random);
    seen.push(what);
    if (bytes === undefined) rmSync(file);
    else writeFileSync(file, bytes);
    // Rejects where the process does not listen, be it for a signal.
    await broker.launch();
    await check(broker);
    expect(await broker.shutDown(), what).toBe(0);
  }
  console.log(`damaged-checkpoint: ${seen.join(', ')}`);
}, 120_000);
