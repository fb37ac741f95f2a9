import { afterEach, describe, expect, test } from 'vitest';
import { noProperties } from '../../../src/codec/properties.ts';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import type { SimClient } from '../../support/sim-client.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';

const QUOTA_EXCEEDED = 0x97;
let running: SimCistern | undefined;

afterEach(async () => {
  await running?.stop();
  running = undefined;
});

/** A stream of 8 KiB whose only reader is an uplink that never comes up: nothing listens on port 9. */
async function withStream(policy: string): Promise<SimCistern> {
  const clock = new SimClock();
  const cistern = new SimCistern({
    volume: new SimDisk({ clock }),
    checkpoints: new MemoryCheckpoint(),
    clock,
  });
  running = cistern;
  await cistern.start(
    `[[stream]]\nname = "a"\ntopics = ["a/#"]\n${policy}\n` +
      '[[stream]]\nname = "rest"\ntopics = ["#"]\n' +
      '[[uplink]]\nname = "u"\nmqtt.url = "mqtt://127.0.0.1:9"\nbackoff = { base = "1h", cap = "1h" }\n',
  );
  return cistern;
}

const BLOCK = 'quota = "8KiB"\nwhen_full = "block"';
const REJECT = 'quota = "8KiB"\nwhen_full = "reject"';
const KIB = 'x'.repeat(1_000);

async function fill(cistern: SimCistern, client: SimClient): Promise<void> {
  for (let packetId = 1; packetId <= 8; packetId++) {
    client.publish('a/1', KIB, { qos: 1, packetId });
  }
  await cistern.settle(50);
  expect(client.acks.map(({ packetId }) => packetId)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
}

function dropped(cistern: SimCistern): unknown {
  return cistern.running?.status().streams.find(({ name }) => name === 'a')?.dropped;
}

test('the status says how full of what is not sent a stream is', async () => {
  const cistern = await withStream(REJECT);
  const client = await cistern.connected({ clientId: 'c' });
  await fill(cistern, client);
  const [full, rest] = cistern.running?.status().streams ?? [];
  expect(full).toMatchObject({ name: 'a', whenFull: 'reject', quotaBytes: 8_192 });
  // What counts is payload, properties and 8 bytes a message.
  expect(full?.quotaUsedBytes).toBeGreaterThanOrEqual(8 * 1_008);
  expect(full?.quotaUsedBytes).toBeLessThanOrEqual(8_192);
  expect(rest).toMatchObject({ whenFull: 'drop_oldest', quotaBytes: null, quotaUsedBytes: null });
});

describe('a publisher to a stream that blocks', () => {
  test('is closed after 30 s, and told why where it can be', async () => {
    const cistern = await withStream(BLOCK);
    const client = await cistern.connected({ clientId: 'c' }, 5);
    await fill(cistern, client);
    client.publish('a/1', KIB, { qos: 1, packetId: 9 });
    client.publish('rest/1', 'waits behind it', { qos: 1, packetId: 10 });
    await cistern.settle(29_000);
    expect(client.closed).toBe(false);
    expect(client.acks).toHaveLength(8);
    await cistern.settle(2_000);
    expect(client.closed).toBe(true);
    expect(client.acks).toHaveLength(8);
    expect(client.last('disconnect')).toMatchObject({ reasonCode: QUOTA_EXCEEDED });
    expect(dropped(cistern)).toEqual({ block_timeout: 1 });
  });

  test('holds up nobody else, and is forgotten when it goes', async () => {
    const cistern = await withStream(BLOCK);
    const client = await cistern.connected({ clientId: 'c' });
    await fill(cistern, client);
    client.publish('a/1', KIB, { qos: 2, packetId: 9 });
    await cistern.settle();
    const other = await cistern.connected({ clientId: 'other' });
    other.publish('rest/1', 'x', { qos: 1, packetId: 1 });
    await cistern.settle();
    expect(other.acks).toHaveLength(1);
    client.drop();
    await cistern.settle(60_000);
    expect(dropped(cistern)).toEqual({});
    expect(cistern.running?.status().clients.connected).toBe(1);
  });
});

describe('a stream that rejects', () => {
  test('refuses each kind of message in its way, and lets other streams pass', async () => {
    const cistern = await withStream(REJECT);
    const client = await cistern.connected({ clientId: 'c' }, 5);
    client.autoAck = false;
    client.subscribe(1, ['#', 0]);
    await cistern.settle();
    await fill(cistern, client);
    const heard = client.received.length;
    client.publish('a/1', KIB, { qos: 0, packetId: 0 });
    client.publish('a/1', KIB, { qos: 1, packetId: 9 });
    client.publish('a/1', KIB, { qos: 2, packetId: 10 });
    client.publish('rest/1', KIB, { qos: 1, packetId: 11 });
    await cistern.settle();
    expect(client.acks.filter(({ packetId }) => packetId > 8)).toMatchObject([
      { packetId: 9, reasonCode: QUOTA_EXCEEDED },
      { packetId: 10, reasonCode: QUOTA_EXCEEDED },
      { packetId: 11, reasonCode: 0 },
    ]);
    expect(client.received.slice(heard).map(({ topic }) => topic)).toEqual(['rest/1']);
    expect(dropped(cistern)).toEqual({ rejected: 3 });
    expect(client.closed).toBe(false);
    await cistern.settle(1_000);
    const alarms = cistern.running?.status().alarms.filter(({ code }) => code === 'stream.full');
    expect(alarms).toMatchObject([{ message: expect.stringContaining('The stream a is full') }]);
    expect(cistern.logger.entries.filter(({ event }) => event === 'stream.full')).toHaveLength(1);
  });

  test('refuses a will, too, which nobody then gets', async () => {
    const cistern = await withStream(REJECT);
    const watcher = await cistern.connected({ clientId: 'watcher' });
    watcher.subscribe(1, ['#', 0]);
    await fill(cistern, await cistern.connected({ clientId: 'c' }));
    const heard = watcher.received.length;
    const will = { topic: 'a/will', payload: Buffer.from(KIB), qos: 1, retain: false } as const;
    const mortal = await cistern.connected({
      clientId: 'mortal',
      will: { ...will, properties: noProperties() },
    });
    mortal.drop();
    await cistern.settle(2_000);
    expect(watcher.received).toHaveLength(heard);
    expect(dropped(cistern)).toEqual({ rejected: 1 });
  });

  test('answers the repeat of a QoS 2 message that it took as it did before', async () => {
    const cistern = await withStream(REJECT);
    const client = await cistern.connected({ clientId: 'c' });
    client.autoAck = false;
    client.publish('a/1', KIB, { qos: 2, packetId: 100 });
    await cistern.settle();
    for (let packetId = 1; packetId <= 7; packetId++) {
      client.publish('a/1', KIB, { qos: 1, packetId });
    }
    await cistern.settle();
    client.publish('a/1', KIB, { qos: 2, packetId: 100, dup: true });
    await cistern.settle();
    expect(client.acks.filter(({ packetId }) => packetId === 100)).toHaveLength(2);
    expect(client.closed).toBe(false);
  });
});

test('a stream with ack = "memory" acknowledges at once, and stores within the window', async () => {
  const cistern = await withStream('ack = "memory"');
  const client = await cistern.connected({ clientId: 'c' });
  client.publish('a/1', KIB, { qos: 1, packetId: 1 });
  await cistern.settle(1);
  expect(client.acks).toHaveLength(1);
  const durable = () => cistern.running?.status().streams[0]?.partitions[0]?.durableOffset;
  expect(durable()).toBe(0);
  await cistern.settle(600);
  expect(durable()).toBe(1);
});

test('an alarm knows since when it stands, though nobody asked', async () => {
  const cistern = await withStream(REJECT);
  const client = await cistern.connected({ clientId: 'c' }, 5);
  await fill(cistern, client);
  client.publish('a/1', KIB, { qos: 1, packetId: 9 });
  await cistern.settle(120_000);
  const [alarm] =
    cistern.running?.status().alarms.filter(({ code }) => code === 'stream.full') ?? [];
  expect(alarm?.sinceSeconds).toBeGreaterThan(110);
});
