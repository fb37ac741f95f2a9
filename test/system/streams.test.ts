import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { afterEach, describe, expect, test } from 'vitest';
import { Cistern } from '../support/executable.ts';
import { Link } from '../support/link.ts';
import { Mosquitto } from '../support/mosquitto.ts';

const QUOTA_EXCEEDED = 0x97;
const KIB = 1024;

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface StreamStatus {
  readonly name: string;
  readonly dropped: Readonly<Record<string, number>>;
  readonly partitions: readonly {
    readonly id: number;
    readonly headOffset: number;
    readonly tailOffset: number;
    readonly bytes: number;
  }[];
}

async function streamOf(broker: Cistern, name: string): Promise<StreamStatus> {
  const response = await fetch(`http://127.0.0.1:${broker.adminPort}/api/v1/status`);
  const { streams } = (await response.json()) as { streams: StreamStatus[] };
  const found = streams.find((stream) => stream.name === name);
  if (found === undefined) throw new Error(`there is no stream ${name} in the status`);
  return found;
}

async function client(port: number, options: IClientOptions = {}): Promise<MqttClient> {
  const made = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
    reconnectPeriod: 0,
    ...options,
  });
  closers.push(() => made.endAsync(true));
  return made;
}

/** The broker with one stream of 64 KiB that must lose nothing, and its upstream behind a link. */
async function fullWhileTheLinkIsDown(whenFull: 'reject' | 'block') {
  const upstream = await Mosquitto.start();
  closers.push(() => upstream.stop());
  const link = await Link.open(upstream.port);
  closers.push(() => link.close());
  const broker = await Cistern.start({
    size: '16MiB',
    segment: '1MiB',
    toml: [
      '[[stream]]',
      'name = "alarms"',
      'topics = ["alarms/#"]',
      'quota = "64KiB"',
      `when_full = "${whenFull}"`,
      '[[stream]]',
      'name = "rest"',
      'topics = ["#"]',
      '[[uplink]]',
      'name = "cloud"',
      `mqtt = { url = "mqtt://127.0.0.1:${link.port}", qos = 1 }`,
      'backoff = { base = "100ms", cap = "200ms" }',
    ].join('\n'),
  });
  closers.push(() => broker.stop());
  const cloud = await client(upstream.port);
  const arrived: string[] = [];
  cloud.on('message', (_, payload) => arrived.push(payload.toString().slice(0, 8)));
  await cloud.subscribeAsync('alarms/#', { qos: 1 });
  link.cut();
  return { broker, link, arrived };
}

const message = (number: number): string => `alarm-${String(number).padStart(2, '0')}`.padEnd(KIB);

async function publish(publisher: MqttClient, number: number): Promise<number> {
  try {
    await publisher.publishAsync('alarms/1', message(number), { qos: 1 });
    return 0;
  } catch (error) {
    return (error as { code?: number }).code ?? -1;
  }
}

/** Publishes until one is refused. Returns how many were taken. */
async function fill(publisher: MqttClient): Promise<number> {
  for (let number = 0; number < 200; number += 1) {
    if ((await publish(publisher, number)) === QUOTA_EXCEEDED) return number;
  }
  throw new Error('the stream is never full');
}

describe('a stream that rejects when it is full', () => {
  test('refuses a 5.0 client with 0x97 and nobody gets the message; room comes with the link', async () => {
    const { broker, link, arrived } = await fullWhileTheLinkIsDown('reject');
    const publisher = await client(broker.mqttPort);
    const heard: string[] = [];
    const listener = await client(broker.mqttPort);
    listener.on('message', (_, payload) => heard.push(payload.toString().slice(0, 8)));
    await listener.subscribeAsync('alarms/#', { qos: 1 });
    const taken = await fill(publisher);
    expect(taken).toBeGreaterThan(55);
    expect(taken).toBeLessThanOrEqual(64);
    await publisher.publishAsync('alarms/1', message(99), { qos: 0 });
    expect(await publish(publisher, 98)).toBe(QUOTA_EXCEEDED);
    await publisher.publishAsync('other/1', 'x', { qos: 1 });
    await expect.poll(() => heard.length).toBe(taken);
    const { dropped } = await streamOf(broker, 'alarms');
    expect(dropped).toEqual({ rejected: 3 });

    link.restore();
    await expect.poll(() => publish(publisher, 97), { timeout: 10_000, interval: 50 }).toBe(0);
    await expect.poll(() => arrived.at(-1), { timeout: 10_000 }).toBe('alarm-97');
    const numbers = Array.from({ length: taken }, (_, n) => message(n).slice(0, 8));
    expect([...new Set(arrived)]).toEqual([...numbers, 'alarm-97']);
  });

  test('closes a 3.1.1 connection without the ack, and keeps the count over kill -9', async () => {
    const { broker } = await fullWhileTheLinkIsDown('reject');
    const taken = await fill(await client(broker.mqttPort));
    const old = await client(broker.mqttPort, { protocolVersion: 4 });
    const closed = new Promise<void>((resolve) => {
      old.once('close', resolve);
    });
    const acked = old.publishAsync('alarms/1', message(1), { qos: 1 }).then(
      () => 'acknowledged',
      () => 'refused',
    );
    await closed;
    old.end(true);
    expect(await Promise.race([acked, sleep(200, 'nothing')])).not.toBe('acknowledged');
    await broker.kill9();
    await broker.launch();
    const publisher = await client(broker.mqttPort);
    expect(await publish(publisher, 90)).toBe(QUOTA_EXCEEDED);
    const { partitions } = await streamOf(broker, 'alarms');
    expect(partitions[0]).toMatchObject({ headOffset: 0, tailOffset: taken });
  });
});

describe('a stream that blocks when it is full', () => {
  test('holds the message and does not read its socket until the link is back', async () => {
    const { broker, link, arrived } = await fullWhileTheLinkIsDown('block');
    const publisher = await client(broker.mqttPort);
    const other = await client(broker.mqttPort);
    let acked = 0;
    const all = Array.from({ length: 80 }, async (_, number) => {
      await publisher.publishAsync('alarms/1', message(number), { qos: 1 });
      acked += 1;
    });
    await expect.poll(() => acked).toBeGreaterThan(55);
    await sleep(300);
    const before = acked;
    expect(before).toBeLessThanOrEqual(64);
    await other.publishAsync('other/1', 'others are not held up', { qos: 1 });
    expect(acked).toBe(before);
    link.restore();
    await Promise.all(all);
    const numbers = Array.from({ length: 80 }, (_, n) => message(n).slice(0, 8));
    await expect.poll(() => [...new Set(arrived)], { timeout: 10_000 }).toEqual(numbers);
    expect((await streamOf(broker, 'alarms')).dropped).toEqual({});
  });
});

describe('quotas', () => {
  test('a quiet stream survives lap after lap of a chatty one, and kill -9', async () => {
    const broker = await Cistern.start({
      size: '16MiB',
      segment: '1MiB',
      toml: [
        '[[stream]]',
        'name = "quiet"',
        'topics = ["quiet/#"]',
        'quota = "2MiB"',
        '[[stream]]',
        'name = "chatty"',
        'topics = ["#"]',
        'quota = "4MiB"',
      ].join('\n'),
    });
    closers.push(() => broker.stop());
    const quiet = await client(broker.mqttPort);
    for (let n = 0; n < 500; n += 1) {
      await quiet.publishAsync('quiet/1', `${n} ${'q'.repeat(500)}`, { qos: n % 50 === 0 ? 1 : 0 });
    }
    await quiet.publishAsync('quiet/1', 'the last', { qos: 1 });
    const chatty = await client(broker.mqttPort);
    const payload = Buffer.alloc(8 * KIB);
    for (let n = 0; n < 6_000; n += 100) {
      for (let at = 0; at < payload.length; at += 4) payload.writeUInt32LE((n * at) ^ at, at);
      const burst = Array.from({ length: 100 }, () =>
        chatty.publishAsync('chatty/1', payload, { qos: 1 }),
      );
      await Promise.all(burst);
      if (n === 3_000) {
        await broker.kill9();
        await broker.launch();
        chatty.reconnect();
        await expect.poll(() => chatty.connected).toBe(true);
      }
    }
    expect((await streamOf(broker, 'quiet')).partitions).toMatchObject([
      { headOffset: 0, tailOffset: 501 },
    ]);
    const { partitions, dropped } = await streamOf(broker, 'chatty');
    expect(partitions[0]?.bytes).toBeLessThanOrEqual(4 * KIB * KIB);
    expect(partitions[0]?.bytes).toBeGreaterThan(3.8 * KIB * KIB);
    expect(dropped['quota']).toBeGreaterThan(1_000);
  });
});
