import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { Status } from '../../src/admin/status.ts';
import { type Cistern, startCistern } from '../support/executable.ts';
import { freePort } from '../support/free-port.ts';
import { anonymousBytes } from '../support/process-memory.ts';
import { SimRandom } from '../support/sim-random.ts';
import { accepts, waitFor } from '../support/wait-for.ts';
import { WireClient } from '../support/wire-client.ts';

const MIB = 2 ** 20;

let broker: Cistern;
const clients: WireClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await broker?.stop();
});

async function connect(
  clientId: string,
  options: { readonly version?: 4 | 5; readonly clean?: boolean } = {},
): Promise<{ readonly client: WireClient; readonly sessionPresent: boolean }> {
  const { version = 5, clean = true } = options;
  const { client, connack } = await WireClient.connect(broker.mqttPort, {
    clientId,
    protocolVersion: version,
    clean,
    ...(version === 5 && !clean ? { properties: { sessionExpiryInterval: 3600 } } : {}),
  });
  clients.push(client);
  return { client, sessionPresent: connack.sessionPresent };
}

async function subscribe(client: WireClient, topic: string, qos: 0 | 1 | 2): Promise<void> {
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] });
  await client.next('suback');
}

async function publish(
  client: WireClient,
  message: { readonly topic: string; readonly payload: string; readonly retain?: boolean },
  messageId: number,
): Promise<void> {
  const { topic, payload, retain = false } = message;
  client.send({ cmd: 'publish', topic, payload, qos: 1, retain, dup: false, messageId });
  await client.next('puback', (ack) => ack.messageId === messageId);
}

test('the first start says how far it is, and where everything is', async () => {
  broker = await startCistern({ size: '64MiB', toml: 'anonymous = true' });
  const output = broker.stdout.join('\n');
  const percents = [...output.matchAll(/(\d+) % of 64 MiB/g)].map(([, percent]) => Number(percent));
  expect(percents.length).toBeGreaterThan(3);
  expect(percents).toEqual(percents.toSorted((a, b) => a - b));
  expect(percents.at(-1)).toBe(100);
  expect(output).toContain(broker.dataDir);
  expect(output).toContain(`127.0.0.1:${broker.mqttPort}`);
  expect(output).toContain(`http://127.0.0.1:${broker.adminPort}/api/v1/status`);

  await broker.shutDown();
  await broker.launch();
  expect(broker.stdout.join('\n')).not.toContain('% of 64 MiB');
});

test('SIGTERM: goodbye to the clients, exit code 0, and the next start finds everything whole', async () => {
  broker = await startCistern({ toml: 'anonymous = true' });
  const { client: away } = await connect('away', { clean: false });
  await subscribe(away, 'news/#', 1);
  away.send({ cmd: 'disconnect' });
  await away.closed();
  const { client: publisher } = await connect('publisher');
  await publish(publisher, { topic: 'kept', payload: 'value', retain: true }, 1);
  for (let id = 2; id <= 20; id += 1) {
    await publish(publisher, { topic: 'news/today', payload: `item ${id}` }, id);
  }
  const { client: old } = await connect('old', { version: 4 });
  const before = await broker.status<Status>();

  const exited = broker.shutDown();
  const { reasonCode } = await publisher.next('disconnect');
  expect(reasonCode).toBe(0x8b);
  await publisher.closed();
  await old.closed();
  // 3.1.1 has no DISCONNECT from a server.
  expect(old.received.map(({ cmd }) => cmd)).toEqual(['connack']);
  expect(await exited).toBe(0);

  await broker.launch();
  const after = await broker.status<Status>();
  expect(after.ring.recovery).toMatchObject({ tornRecords: 0, corruptRecords: 0 });
  expect(after.streams[0]?.partitions[0]?.tailOffset).toBe(
    before.streams[0]?.partitions[0]?.tailOffset,
  );
  expect(after.node).toMatchObject({ id: before.node.id, lineage: before.node.lineage });
  // What the temporary folder is on is the machine's affair.
  expect(after.alarms.filter(({ code }) => !code.startsWith('storage.'))).toEqual([]);
  const back = await connect('away', { clean: false });
  expect(back.sessionPresent).toBe(true);
  for (let id = 2; id <= 20; id += 1) {
    const { payload, messageId } = await back.client.next('publish');
    expect(payload.toString()).toBe(`item ${id}`);
    back.client.send({ cmd: 'puback', messageId: messageId ?? 0 });
  }
  const { client: reader } = await connect('reader');
  await subscribe(reader, 'kept', 0);
  expect((await reader.next('publish')).payload.toString()).toBe('value');
});

const UPLINK_TO_NOBODY = (port: number): string => `anonymous = true
[[uplink]]
name = "cloud"
backoff = { base = "100ms", cap = "200ms" }
mqtt = { url = "mqtt://127.0.0.1:${port}" }
`;

test('while the upstream is down it is healthy, ready and honest about the backlog', async () => {
  broker = await startCistern({ toml: UPLINK_TO_NOBODY(await freePort()) });
  const { client } = await connect('publisher');
  for (let id = 1; id <= 5; id += 1) await publish(client, { topic: 'a', payload: `${id}` }, id);
  const uplink = async () => (await broker.status<Status>()).uplinks[0];
  await waitFor('the uplink to fail once', async () => (await uplink())?.lastError !== null);
  for (const path of ['/healthz', '/readyz', '/metrics']) {
    const response = await fetch(`http://127.0.0.1:${broker.adminPort}${path}`);
    expect(response.status, path).toBe(200);
    await response.arrayBuffer();
  }
  expect(await uplink()).toMatchObject({
    name: 'cloud',
    type: 'mqtt',
    state: 'backoff',
    backlogRecords: 5,
    appendedRecords: 5,
    acknowledgedRecords: 0,
  });
});

/** Every key of the status contract and what it holds; a list has one example of its entries. */
const STATUS_SHAPE = {
  node: {
    id: 'string',
    lineage: 'string',
    version: 'string',
    uptimeSeconds: 'number',
    clockTrusted: 'boolean',
  },
  alarms: [],
  listeners: [{ protocol: 'string', address: 'string', connections: 'number' }],
  clients: { connected: 'number', sessions: 'number', refusedLogins: {}, turnedAway: {} },
  messages: { received: 'number', delivered: 'number', memoryOnly: 'number', dropped: {} },
  ring: {
    sizeBytes: 'number',
    usedBytes: 'number',
    segments: 'number',
    epoch: 'number',
    retiredSlots: 'number',
    corruptRecords: 'number',
    lost: [],
    recovery: { durationMs: 'number', tornRecords: 'number', corruptRecords: 'number' },
  },
  wear: {
    payloadBytes: 'number',
    flashBytes: 'number',
    carriedBytes: 'number',
    checkpointBytes: 'number',
    deviceBytes: 'number or null',
    flushes: 'number',
    amplification: 'number',
    budgetBytesPerDay: 'number',
    bytesPerDay: 'number or null',
    tokenBytes: 'number',
    bucketBytes: 'number',
    commitWindowMs: 'number',
    laps: 'number',
    yearsLeft: 'number or null',
    device: 'object or null',
  },
  streams: [
    {
      name: 'string',
      whenFull: 'string',
      quotaBytes: 'number or null',
      quotaUsedBytes: 'number or null',
      partitions: [
        {
          id: 'number',
          headOffset: 'number',
          tailOffset: 'number',
          durableOffset: 'number',
          bytes: 'number',
        },
      ],
      dropped: {},
    },
  ],
  uplinks: [
    {
      name: 'string',
      type: 'string',
      state: 'string',
      backlogRecords: 'number',
      backlogBytes: 'number',
      oldestUnackedSeconds: 'number',
      sendRate: 'number',
      drainEtaSeconds: 'number or null',
      appendedRecords: 'number',
      acknowledgedRecords: 'number',
      sentRecords: 'number',
      retriedRecords: 'number',
      duplicatesAvoided: 'number',
      deadLettered: 'number',
      lappedRecords: 'number',
      expiredRecords: 'number',
      lastError: 'string or null',
    },
  ],
};

const NULLABLE = new Map([
  ['bytesPerDay', 'number or null'],
  ['deviceBytes', 'number or null'],
  ['device', 'object or null'],
  ['yearsLeft', 'number or null'],
  ['quotaBytes', 'number or null'],
  ['quotaUsedBytes', 'number or null'],
  ['drainEtaSeconds', 'number or null'],
  ['lastError', 'string or null'],
]);

function shapeOf(value: unknown, key = ''): unknown {
  const nullable = NULLABLE.get(key);
  if (nullable !== undefined) return nullable;
  if (Array.isArray(value)) return value.slice(0, 1).map((entry) => shapeOf(entry));
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([name, part]) => [name, shapeOf(part, name)]);
    return Object.fromEntries(entries);
  }
  return typeof value;
}

test('the status document has the keys of its contract, no more and no less', async () => {
  broker = await startCistern({ toml: UPLINK_TO_NOBODY(await freePort()) });
  expect(shapeOf(await broker.status())).toEqual(STATUS_SHAPE);
  const response = await fetch(`http://127.0.0.1:${broker.adminPort}/api/v1/status`);
  expect(response.headers.get('content-type')).toContain('application/json');
  const status = (await response.json()) as Status;
  expect(status.listeners[0]).toMatchObject({
    protocol: 'mqtt',
    address: `127.0.0.1:${broker.mqttPort}`,
  });
  expect(status.ring.sizeBytes).toBe(64 * MIB);
  expect(status.streams[0]?.name).toBe('default');
});

test('a full 256 MiB ring after kill -9: clients are accepted soon', async () => {
  broker = await startCistern({ size: '256MiB', toml: 'anonymous = true' });
  await fillRing(64 * 1.1);
  await broker.kill9();

  const startMs = performance.now();
  const launched = broker.launch();
  await waitFor('a listener', () => accepts(broker.mqttPort), 20_000);
  await connect('first');
  const connackMs = performance.now() - startMs;
  await launched;
  const { ring } = await broker.status<Status>();
  console.log(
    `lifecycle: full 256 MiB ring after kill -9: first CONNACK ${connackMs.toFixed(0)} ms after the ` +
      `start of the process, recovery ${ring.recovery.durationMs} ms of it, ${ring.segments} segments`,
  );
  expect(ring.segments).toBeGreaterThan(50);
  expect(ring.recovery.corruptRecords).toBe(0);
  expect(connackMs).toBeLessThan(3_000);
}, 180_000);

/** Publishes until the ring has opened that many segments: 1 KiB that no compression shrinks. */
async function fillRing(segments: number): Promise<void> {
  const random = new SimRandom(1);
  const { client } = await connect('filler', { version: 4 });
  let sent = 0;
  let epoch = 0;
  while (epoch < segments) {
    for (let count = 0; count < 2_000; count += 1) {
      sent += 1;
      client.send({
        cmd: 'publish',
        topic: `plant/sensor-${sent % 200}`,
        payload: Buffer.from(random.bytes(1024)),
        qos: 0,
        retain: false,
        dup: false,
      });
    }
    await publish(client, { topic: 'plant/mark', payload: `${sent}` }, 1);
    epoch = (await broker.status<Status>()).ring.epoch;
  }
}

test('idle, with the default ring, it needs little memory', async () => {
  broker = await startCistern({ size: '256MiB', toml: 'anonymous = true' });
  await connect('one');
  await sleep(3_000);
  const bytes = anonymousBytes(broker.pid);
  console.log(`lifecycle: ${(bytes / 1e6).toFixed(1)} MB anonymous memory at idle`);
  expect(bytes).toBeLessThan(60e6);
});
