import { pbkdf2Sync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodePublishProperties } from '../../src/codec/publish-properties.ts';
import { encodeMessageAttributes } from '../../src/codec/stored-message.ts';
import { createNodeClock } from '../../src/platform/node/clock.ts';
import { plainTimes } from '../support/plain-times.ts';
import { Mosquitto } from '../support/mosquitto.ts';
import {
  makeUplink,
  Observer,
  PARTITION,
  Proxy,
  type UplinkBench,
  type UplinkBenchOptions,
} from './uplink-mqtt-bench.ts';

/** Mosquitto announces a Receive Maximum of 20 unless it is told otherwise. */
const RECEIVE_MAXIMUM = 20;

let mosquitto: Mosquitto;
let proxy: Proxy;
const closers: (() => Promise<void>)[] = [];

async function open(config: readonly string[] = [], files: Record<string, string> = {}) {
  mosquitto = await Mosquitto.start({ config, files });
  closers.push(() => mosquitto.stop());
  proxy = await Proxy.start(mosquitto.port);
  closers.push(() => proxy.stop());
}

async function observe(username?: string, password?: string): Promise<Observer> {
  const observer = await Observer.start(mosquitto.port, username, password);
  closers.push(() => observer.stop());
  return observer;
}

function uplink(options: UplinkBenchOptions = {}): UplinkBench {
  const bench = makeUplink(proxy.port, options);
  closers.push(() => bench.forwarder.stop());
  return bench;
}

function append(bench: UplinkBench, from: number, count: number): void {
  for (let i = from; i < from + count; i += 1) bench.reader.append(PARTITION, `t/${i % 7}`, `${i}`);
}

const numbers = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => String(from + i));

/** Duplicates are those after the first; first arrivals must be complete and in order. */
function expectOnceOrTwice(arrived: readonly string[], total: number, duplicatesMax: number): void {
  const firsts = [...new Set(arrived)];
  expect(firsts).toEqual(numbers(0, total));
  expect(arrived.length - firsts.length).toBeLessThanOrEqual(duplicatesMax);
}

async function drained(bench: UplinkBench): Promise<void> {
  await expect
    .poll(() => bench.forwarder.status(), { timeout: 15_000, interval: 10 })
    .toMatchObject({ backlogRecords: 0, state: 'connected' });
}

async function arrives(observer: Observer, count: number): Promise<void> {
  await expect
    .poll(() => new Set(observer.payloads).size, { timeout: 15_000, interval: 10 })
    .toBe(count);
}

/** A line of Mosquitto's password file, `$7$` (PBKDF2 with SHA-512). */
function passwordLine(user: string, password: string): string {
  const salt = Buffer.from('a salt of 12');
  const hash = pbkdf2Sync(password, salt, 101, 64, 'sha512');
  return `${user}:$7$101$${salt.toString('base64')}$${hash.toString('base64')}\n`;
}

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

describe.each([
  [5, 1],
  [4, 1],
  [5, 2],
] as const)('an uplink to Mosquitto, version %i at QoS %i', (version, qos) => {
  beforeEach(() => open());

  it('brings every record up in order, far more of them than the peer takes at a time', async () => {
    const observer = await observe();
    const bench = uplink({ config: { version, qos } });
    append(bench, 0, 3000);
    bench.forwarder.start();
    await arrives(observer, 3000);
    expect(observer.payloads).toEqual(numbers(0, 3000));
    await drained(bench);
    append(bench, 3000, 1);
    await arrives(observer, 3001);
  });

  it('survives cuts of the link: nothing lost, order kept, repeats only of what was in flight', async () => {
    const observer = await observe();
    const bench = uplink({ config: { version, qos } });
    append(bench, 0, 1000);
    bench.forwarder.start();
    const cuts = 4;
    for (let i = 1; i <= cuts; i += 1) {
      await expect.poll(() => observer.payloads.length, { interval: 1 }).toBeGreaterThan(i * 500);
      proxy.refuse();
      append(bench, i * 1000, 1000);
      await new Promise((resolve) => setTimeout(resolve, 60));
      proxy.forward();
    }
    await arrives(observer, 5000);
    await drained(bench);
    const window = version === 5 ? RECEIVE_MAXIMUM : 100;
    expectOnceOrTwice(observer.payloads, 5000, cuts * window);
  });
});

describe('an uplink to Mosquitto', () => {
  it('drains the backlog after kill -9 and return of the server', async () => {
    await open();
    const first = await observe();
    const bench = uplink();
    append(bench, 0, 2000);
    bench.forwarder.start();
    await expect.poll(() => first.payloads.length, { interval: 1 }).toBeGreaterThan(300);
    await mosquitto.kill();
    proxy.refuse();
    append(bench, 2000, 2000);
    await expect.poll(() => bench.forwarder.status().state).toBe('backoff');
    await mosquitto.restart();
    const second = await observe();
    proxy.forward();
    await drained(bench);
    await expect
      .poll(() => new Set([...first.payloads, ...second.payloads]).size, { timeout: 10_000 })
      .toBe(4000);
    expectOnceOrTwice([...first.payloads, ...second.payloads], 4000, RECEIVE_MAXIMUM);
    expect(second.payloads.length).toBeGreaterThanOrEqual(2000);
  });

  it('resumes after its own restart where the acknowledgements ended', async () => {
    await open();
    const observer = await observe();
    const bench = uplink();
    append(bench, 0, 100);
    bench.forwarder.start();
    await drained(bench);
    await bench.forwarder.stop();
    expect(bench.cursors.load('cloud', PARTITION)).toBe(100);
    const again = uplink({ forwarder: { reader: bench.reader, cursors: bench.cursors } });
    append(bench, 100, 10);
    again.forwarder.start();
    await drained(again);
    await arrives(observer, 110);
    expect(observer.payloads).toEqual(numbers(0, 110));
  });

  it.each(['connected', 'cut off', 'frozen'])('stops at once while it is %s', async (how) => {
    await open();
    const bench = uplink({ forwarder: { backoff: { baseMs: 60_000, capMs: 60_000 } } });
    append(bench, 0, 10);
    bench.forwarder.start();
    await drained(bench);
    if (how === 'cut off') {
      proxy.refuse();
      await expect.poll(() => bench.forwarder.status().state).toBe('backoff');
    }
    if (how === 'frozen') proxy.freeze();
    append(bench, 10, 10);
    const beganMs = performance.now();
    await bench.forwarder.stop();
    expect(performance.now() - beganMs).toBeLessThan(1000);
  });

  it('leaves a half-open link that acknowledges nothing', async () => {
    await open();
    const observer = await observe();
    const bench = uplink({ forwarder: { stallTimeoutMs: 400 } });
    append(bench, 0, 10);
    bench.forwarder.start();
    await drained(bench);
    proxy.freeze();
    append(bench, 10, 10);
    await arrives(observer, 20);
    await drained(bench);
    expectOnceOrTwice(observer.payloads, 20, 0);
    const codes = bench.logger.entries.map(({ fields }) => fields['code']);
    expect(codes).toContain('UPSTREAM_STALLED');
  });

  it.each([4, 5] as const)(
    'says that the password is wrong, and takes a new one (version %i)',
    async (version) => {
      await open(['allow_anonymous false', 'password_file {folder}/passwd'], {
        passwd: passwordLine('gw', 'right'),
      });
      let password = 'wrong';
      const bench = uplink({ username: 'gw', password: () => password, config: { version } });
      append(bench, 0, 5);
      bench.forwarder.start();
      await expect.poll(() => bench.forwarder.status().state).toBe('stalled');
      const { lastError, backlogRecords } = bench.forwarder.status();
      expect(lastError).toMatch(/refused the connection: .*(password|not authorised)/);
      expect(lastError).not.toContain('wrong');
      expect(backlogRecords).toBe(5);
      password = 'right';
      await drained(bench);
      expect(bench.forwarder.status().lastError).toBeNull();
    },
  );

  it.each([
    ['127.0.0.1:1', 'ECONNREFUSED'],
    ['localhost:1', 'ECONNREFUSED'],
    ['nowhere.invalid:1883', 'nowhere.invalid'],
  ])('says what is wrong with an upstream that is not there (%s)', async (host, why) => {
    const bench = makeUplink(1, { config: { url: `mqtt://${host}` } });
    closers.push(() => bench.forwarder.stop());
    bench.forwarder.start();
    await expect.poll(() => bench.forwarder.status().lastError).toContain(why);
    expect(bench.forwarder.status().state).toBe('backoff');
  });

  it('passes over records too large for the peer, and illegal topics, and goes on', async () => {
    await open(['max_packet_size 2000']);
    const observer = await observe();
    const bench = uplink({ config: { topic: '{property:to}' } });
    const to = (topic: string) =>
      encodeMessageAttributes(
        1,
        false,
        encodePublishProperties({ userProperties: [['to', topic]], subscriptionIds: [] }),
      );
    bench.reader.append(PARTITION, 't', 'small', to('up'));
    bench.reader.append(PARTITION, 't', 'x'.repeat(2500), to('up'));
    bench.reader.append(PARTITION, 't', 'no topic');
    bench.reader.append(PARTITION, 't', 'wild', to('a/+/#'));
    bench.reader.append(PARTITION, 't', 'last', to('up'));
    bench.forwarder.start();
    await arrives(observer, 3);
    expect(observer.payloads).toEqual(['small', 'wild', 'last']);
    expect(observer.topics[1]).toBe('a/_/_');
    await drained(bench);
    expect(bench.forwarder.status()).toMatchObject({ deadLettered: 2, acknowledgedRecords: 3 });
  });

  it('fills a packet to the last byte that the peer takes', async () => {
    await open(['max_packet_size 2000']);
    const observer = await observe();
    const bench = uplink();
    for (let bytes = 1850; bytes < 2000; bytes += 1) {
      bench.reader.append(PARTITION, 't', `${bytes}`.padEnd(bytes, 'x'));
    }
    bench.forwarder.start();
    await drained(bench);
    const { acknowledgedRecords, deadLettered } = bench.forwarder.status();
    expect(acknowledgedRecords + deadLettered).toBe(150);
    expect(deadLettered).toBeGreaterThan(0);
    await arrives(observer, acknowledgedRecords);
    // Nothing was tried that made the server end the link.
    expect(bench.logger.entries.map(({ event }) => event)).not.toContain('uplink.disconnected');
    // The origin's number of digits is part of the packet, so a border of one byte may be blurred.
    const longest = Math.max(...observer.payloads.map((payload) => payload.length));
    expect(longest).toBe(1850 + acknowledgedRecords - 1);
  });

  it('keeps retain, content type and user properties, and adds origin and time', async () => {
    await open();
    const bench = uplink({ config: { topic: 'site/{node}/{topic}' } });
    const properties = encodePublishProperties({
      contentType: 'application/json',
      messageExpirySeconds: 1000,
      userProperties: [
        ['unit', 'C'],
        ['unit', 'F'],
      ],
      subscriptionIds: [],
    });
    const attributes = encodeMessageAttributes(1, true, properties);
    bench.reader.append(PARTITION, 'a/b', '{"t":21}', attributes);
    bench.forwarder.start();
    await drained(bench);
    const late = await observe();
    await arrives(late, 1);
    expect(late.topics).toEqual(['site/gw/a/b']);
    const packet = late.packets[0];
    expect(packet?.retain).toBe(true);
    expect(packet?.properties?.contentType).toBe('application/json');
    expect(packet?.properties?.messageExpiryInterval).toBeGreaterThan(900);
    expect(packet?.properties?.userProperties).toMatchObject({
      unit: ['C', 'F'],
      'cistern.origin': 'gw/cafe/telemetry/0/0',
      'cistern.time': expect.stringMatching(/^\d{13}$/),
    });
    expect(packet?.properties?.userProperties).not.toHaveProperty(['cistern.time_trusted']);
  });

  it('says where the time is a guess', async () => {
    await open();
    const observer = await observe();
    const clock = createNodeClock();
    const times = { ...plainTimes(clock), wallMs: () => undefined, estimateMs: () => 61_000 };
    const bench = uplink({ forwarder: { times } });
    bench.reader.append(PARTITION, 'a', 'early');
    bench.forwarder.start();
    await arrives(observer, 1);
    expect(observer.packets[0]?.properties?.userProperties).toMatchObject({
      'cistern.time': '61000',
      'cistern.time_trusted': 'false',
    });
  });

  it('stalls, and keeps everything, where it may not publish', async () => {
    const acl = 'topic read #\ntopic readwrite up/#\n';
    await open(['acl_file {folder}/acl'], { acl });
    const observer = await observe();
    const bench = uplink();
    bench.reader.append(PARTITION, 'up/1', 'allowed');
    bench.reader.append(PARTITION, 'secret/1', 'denied');
    bench.forwarder.start();
    await expect.poll(() => bench.forwarder.status().state).toBe('stalled');
    expect(bench.forwarder.status().lastError).toContain('not authorised (0x87)');
    expect(bench.forwarder.status()).toMatchObject({ deadLettered: 0, backlogRecords: 1 });
    expect(observer.payloads).toContain('allowed');
    expect(observer.payloads).not.toContain('denied');
  });
});
