import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Status } from '../../src/admin/status.ts';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { FakeWallClock } from '../support/fake-wall-clock.ts';
import { waitFor } from '../support/wait-for.ts';

const run = promisify(execFile);
const told = Date.UTC(2031, 4, 5, 12);

let folder: string;
let broker: Cistern;
const clients: MqttClient[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cistern-clock-'));
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.end(true);
  await broker?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function connect(clientId: string, expirySeconds = 0): Promise<MqttClient> {
  const client = await connectAsync(`mqtt://127.0.0.1:${broker.mqttPort}`, {
    clientId,
    protocolVersion: 5,
    clean: expirySeconds === 0,
    properties: { sessionExpiryInterval: expirySeconds },
    reconnectPeriod: 0,
  });
  clients.push(client);
  return client;
}

/** What a new subscriber is given of the retained message, and how many seconds it has left. */
async function retained(): Promise<{ payload: string; leftSeconds: number | undefined }> {
  const client = await connect(`reader-${clients.length}`);
  const arrived = new Promise<{ payload: string; leftSeconds: number | undefined }>((resolve) => {
    client.once('message', (_topic, payload, packet) => {
      const leftSeconds = packet.properties?.messageExpiryInterval;
      resolve({ payload: payload.toString(), leftSeconds });
    });
  });
  await client.subscribeAsync('t', { qos: 1 });
  return arrived;
}

test('a machine that starts in 1970 and is told the time loses nothing, and dates what it had', async () => {
  const clock = await FakeWallClock.make(folder, 10_000);
  const options = { size: '16MiB', segment: '1MiB', env: clock.env };
  broker = await startCistern({ ...options, dataDir: join(folder, 'data') });
  const says = (event: string) => broker.stderr.some((line) => line.includes(event));
  expect(says('clock.not_trusted')).toBe(true);
  expect((await broker.status<Status>()).node.clockTrusted).toBe(false);
  const away = await connect('away', 3600);
  await away.subscribeAsync('t', { qos: 1 });
  await away.endAsync();
  const publisher = await connect('publisher');
  const properties = { messageExpiryInterval: 3600 };
  await publisher.publishAsync('t', 'early', { qos: 1, retain: true, properties });

  await clock.set(told);
  await waitFor('the broker believes the clock', async () => says('clock.trusted'));
  expect((await broker.status<Status>()).node.clockTrusted).toBe(true);
  const early = await retained();
  expect(early.payload).toBe('early');
  expect(early.leftSeconds).toBeGreaterThan(3500);
  expect(early.leftSeconds).toBeLessThanOrEqual(3600);

  await broker.kill9();
  await broker.launch();
  expect(says('clock.not_trusted')).toBe(false);
  expect((await retained()).leftSeconds).toBeGreaterThan(3500);
  const { clients: known } = await broker.status<Status>();
  expect(known.sessions, 'the one that is away').toBe(known.connected + 1);
  await broker.shutDown();

  const dump = await run(executablePath(), ['log', 'dump', broker.dataDir, '--json']);
  const [record] = dump.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(record).toMatchObject({ payload: 'early', timeTrusted: true });
  const shown = Date.parse((record as { time: string }).time);
  expect(shown).toBeGreaterThan(told - 60_000);
  expect(shown).toBeLessThan(told + 1_000);
});
