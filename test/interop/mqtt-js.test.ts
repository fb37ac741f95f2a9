import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectMqtt, type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Cistern, startCistern } from '../support/executable.ts';
import { assertRunning } from '../support/last-words.ts';
import { waitFor } from '../support/wait-for.ts';

const RECONNECT_MS = 50;

let broker: Cistern;
const clients: MqttClient[] = [];

beforeAll(async () => {
  broker = await startCistern({ toml: 'anonymous = true' });
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)));
  assertRunning(broker);
});

afterAll(async () => {
  await broker?.stop();
});

interface Guest {
  readonly client: MqttClient;
  readonly sessionPresent: boolean;
  /** `topic payload`, with ` (retained)` where it was. */
  readonly received: readonly string[];
  /** 5.0: reason codes of the DISCONNECTs the broker sent. */
  readonly goodbyes: readonly number[];
}

describe.each([4, 5] as const)('MQTT.js, protocol level %i', (protocolVersion) => {
  let uses = 0;
  let own: string;

  beforeEach(() => {
    uses += 1;
    own = `js${protocolVersion}/${uses}`;
  });

  async function connect(name: string, options: IClientOptions = {}): Promise<Guest> {
    const received: string[] = [];
    const goodbyes: number[] = [];
    const clientId = `js${protocolVersion}-${uses}-${name}`;
    const fixed = { protocolVersion, clientId, reconnectPeriod: 0 } as const;
    const client = connectMqtt(`mqtt://127.0.0.1:${broker.mqttPort}`, { ...fixed, ...options });
    clients.push(client);
    client.on('message', (topic, payload, { retain }) => {
      received.push(`${topic} ${payload.toString()}${retain ? ' (retained)' : ''}`);
    });
    client.on('disconnect', ({ reasonCode }) => goodbyes.push(reasonCode ?? 0));
    const sessionPresent = await new Promise<boolean>((resolve, reject) => {
      client.once('connect', (connack) => resolve(connack.sessionPresent));
      client.once('error', reject);
    });
    // A broker that goes away is part of some tests; what matters is asserted there.
    client.on('error', () => undefined);
    return { client, sessionPresent, received, goodbyes };
  }

  /** A session that stays. */
  function lasting(seconds = 3600): IClientOptions {
    if (protocolVersion === 4) return { clean: false };
    return { clean: false, properties: { sessionExpiryInterval: seconds } };
  }

  async function expectMessages(guest: Guest, messages: readonly string[]): Promise<void> {
    const isThere = () => guest.received.length >= messages.length;
    // What is missing shows best in the comparison.
    await waitFor('messages', isThere, 10_000).catch(() => undefined);
    expect(guest.received).toEqual(messages);
  }

  test.each([0, 1, 2] as const)('500 messages of QoS %i there and back, in order', async (qos) => {
    const subscriber = await connect('subscriber');
    await subscriber.client.subscribeAsync(`${own}/#`, { qos });
    const publisher = await connect('publisher');
    const numbers = Array.from({ length: 500 }, (_, index) => index);
    await Promise.all(
      numbers.map((number) => publisher.client.publishAsync(`${own}/n`, `${number}`, { qos })),
    );
    await expectMessages(
      subscriber,
      numbers.map((number) => `${own}/n ${number}`),
    );
  });

  test('retained: set, seen by a newcomer, removed', async () => {
    const publisher = await connect('publisher');
    await publisher.client.publishAsync(`${own}/kept`, 'value', { qos: 1, retain: true });
    const first = await connect('first');
    await first.client.subscribeAsync(`${own}/+`, { qos: 1 });
    await expectMessages(first, [`${own}/kept value (retained)`]);
    await publisher.client.publishAsync(`${own}/kept`, '', { qos: 1, retain: true });
    const second = await connect('second');
    await second.client.subscribeAsync(`${own}/+`, { qos: 1 });
    await publisher.client.publishAsync(`${own}/kept`, 'after', { qos: 1 });
    await expectMessages(second, [`${own}/kept after`]);
  });

  test('unsubscribed is unsubscribed', async () => {
    const subscriber = await connect('subscriber');
    await subscriber.client.subscribeAsync([`${own}/a`, `${own}/b`], { qos: 1 });
    await subscriber.client.unsubscribeAsync(`${own}/a`);
    await subscriber.client.publishAsync(`${own}/a`, 'no', { qos: 1 });
    await subscriber.client.publishAsync(`${own}/b`, 'yes', { qos: 1 });
    await expectMessages(subscriber, [`${own}/b yes`]);
  });

  test('a will upon an unclean close, retained where it says so', async () => {
    const watcher = await connect('watcher');
    await watcher.client.subscribeAsync(`${own}/will`, { qos: 1 });
    const will = {
      topic: `${own}/will`,
      payload: Buffer.from('gone'),
      qos: 1,
      retain: true,
    } as const;
    const victim = await connect('victim', { will });
    victim.client.stream.destroy();
    await expectMessages(watcher, [`${own}/will gone`]);
    const late = await connect('late');
    await late.client.subscribeAsync(`${own}/will`, { qos: 1 });
    await expectMessages(late, [`${own}/will gone (retained)`]);
  });

  test('a lasting session: messages while away, in order, then no more of them', async () => {
    const first = await connect('device', lasting());
    expect(first.sessionPresent).toBe(false);
    await first.client.subscribeAsync(`${own}/#`, { qos: 2 });
    await first.client.endAsync();
    const publisher = await connect('publisher');
    // MQTT.js hands out a QoS 2 message at its PUBREL, so QoS 1 behind QoS 2 would seem to overtake.
    for (const [index, qos] of ([1, 1, 2, 2, 0] as const).entries()) {
      await publisher.client.publishAsync(`${own}/m`, `${index}`, { qos });
    }
    const second = await connect('device', lasting());
    expect(second.sessionPresent).toBe(true);
    const expected = [0, 1, 2, 3].map((index) => `${own}/m ${index}`);
    await waitFor('four messages', () => second.received.length >= 4);
    // Whether QoS 0 is kept for those who are away is left to the broker (3.1.1 section 3.1.2.4).
    expect(second.received.slice(0, 4)).toEqual(expected);
    await sleep(200);
    await second.client.endAsync();
    const third = await connect('device', lasting());
    await sleep(300);
    expect(third.received).toEqual([]);
  });

  test('a clean start ends the session that was there', async () => {
    const first = await connect('device', lasting());
    await first.client.subscribeAsync(`${own}/#`, { qos: 1 });
    await first.client.endAsync();
    const clean = await connect('device', { clean: true });
    expect(clean.sessionPresent).toBe(false);
    await clean.client.endAsync();
    const again = await connect('device', lasting());
    expect(again.sessionPresent).toBe(false);
    await again.client.publishAsync(`${own}/m`, 'm', { qos: 1 });
    await sleep(200);
    expect(again.received).toEqual([]);
  });

  test('a second client of the same id takes over; the first is told (5.0) and disconnected', async () => {
    const first = await connect('same', lasting());
    await first.client.subscribeAsync(`${own}/#`, { qos: 1 });
    const closed = new Promise<void>((resolve) => first.client.once('close', () => resolve()));
    const second = await connect('same', lasting());
    await closed;
    expect(second.sessionPresent).toBe(true);
    expect(first.goodbyes).toEqual(protocolVersion === 5 ? [0x8e] : []);
    await second.client.publishAsync(`${own}/m`, 'm', { qos: 1 });
    await expectMessages(second, [`${own}/m m`]);
  });

  test('over kill -9: both sides come back by themselves; QoS 2 arrives exactly once', async () => {
    const options = { ...lasting(), reconnectPeriod: RECONNECT_MS };
    const subscriber = await connect('subscriber', options);
    await subscriber.client.subscribeAsync(`${own}/#`, { qos: 2 });
    const publisher = await connect('publisher', options);
    const numbers = Array.from({ length: 300 }, (_, index) => index);
    const published: Promise<unknown>[] = [];
    for (const number of numbers) {
      published.push(publisher.client.publishAsync(`${own}/n`, `${number}`, { qos: 2 }));
      if (number === 150) {
        await broker.kill9();
        await broker.launch();
      }
    }
    await Promise.all(published);
    await waitFor('300 messages', () => subscriber.received.length >= numbers.length);
    await sleep(300);
    expect(subscriber.received.toSorted()).toEqual(
      numbers.map((number) => `${own}/n ${number}`).toSorted(),
    );
  });
});

describe('MQTT.js, what only 5.0 has', () => {
  async function connect(clientId: string, expirySeconds: number): Promise<boolean> {
    const client = connectMqtt(`mqtt://127.0.0.1:${broker.mqttPort}`, {
      protocolVersion: 5,
      clientId,
      clean: false,
      reconnectPeriod: 0,
      properties: { sessionExpiryInterval: expirySeconds },
    });
    clients.push(client);
    const connack = await new Promise<{ sessionPresent: boolean }>((resolve, reject) => {
      client.once('connect', resolve);
      client.once('error', reject);
    });
    client.stream.destroy();
    return connack.sessionPresent;
  }

  test('a session lives as long as its expiry says, counted from the disconnection', async () => {
    await connect('expires-short', 1);
    await connect('expires-long', 60);
    await sleep(2_500);
    expect(await connect('expires-short', 1)).toBe(false);
    expect(await connect('expires-long', 60)).toBe(true);
  });
});
