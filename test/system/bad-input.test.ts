import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cistern, startCistern } from '../support/executable.ts';
import { Neighbour } from '../support/neighbour.ts';
import { anonymousBytes } from '../support/process-memory.ts';
import { SimRandom } from '../support/sim-random.ts';
import { WireClient } from '../support/wire-client.ts';

const MIB = 2 ** 20;
const PACKET_LIMIT_BYTES = 256 * 1024;

let broker: Cistern;
let neighbour: Neighbour;
let connections = 0;
const guests: WireClient[] = [];

beforeAll(async () => {
  broker = await startCistern({
    toml: `anonymous = true
[limits]
packet_size = "256KiB"
connection_rate = "5000/s"
`,
  });
  neighbour = await Neighbour.moveIn(broker.mqttPort);
});

afterAll(async () => {
  neighbour?.moveOut();
  for (const guest of guests) guest.destroy();
  await broker?.stop();
});

async function open(version: 4 | 5 = 4): Promise<WireClient> {
  const client = await WireClient.open(broker.mqttPort, version);
  guests.push(client);
  return client;
}

async function connected(version: 4 | 5): Promise<WireClient> {
  connections += 1;
  const { client } = await WireClient.connect(broker.mqttPort, {
    clientId: `guest-${connections}`,
    protocolVersion: version,
  });
  guests.push(client);
  return client;
}

const PUBREL_1 = Buffer.from([0x62, 0x02, 0x00, 0x01]);
const topicA = [0x00, 0x01, 0x61];

/** Bytes after a good CONNECT; the 5.0 reason codes, of which the specification allows those named. */
const FAULTS: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ['packet type 0', [0x00, 0x00], [0x81]],
  ['a remaining length of five bytes', [0x30, 0xff, 0xff, 0xff, 0xff, 0x01], [0x81]],
  ['a PUBLISH with QoS 3', [0x36, 0x06, ...topicA, 0x00, 0x01, 0x00], [0x81]],
  ['a PUBLISH of QoS 1 with packet identifier 0', [0x32, 0x06, ...topicA, 0, 0, 0], [0x81, 0x82]],
  ['a PUBLISH shorter than its topic', [0x30, 0x03, 0x00, 0x09, 0x61], [0x81]],
  ['a PUBLISH to a filter', [0x30, 0x05, 0x00, 0x02, 0x61, 0x23, 0x00], [0x90]],
  ['a topic that is not UTF-8', [0x30, 0x05, 0x00, 0x02, 0xc3, 0x28, 0x00], [0x81]],
  ['a topic alias of 0', [0x30, 0x07, ...topicA, 0x03, 0x23, 0x00, 0x00], [0x82, 0x94]],
  ['a SUBSCRIBE without the fixed flags', [0x80, 0x07, 0, 1, 0, ...topicA, 0], [0x81]],
  ['a SUBSCRIBE without a filter', [0x82, 0x03, 0x00, 0x01, 0x00], [0x82]],
  ['a second CONNECT', [0x10, 13, 0, 4, 77, 81, 84, 84, 5, 2, 0, 0, 0, 0, 0], [0x82]],
  ['a CONNACK', [0x20, 0x03, 0x00, 0x00, 0x00], [0x82]],
  ['a packet beyond packet_size', [0x30, 0xff, 0xff, 0xff, 0x7f, ...topicA], [0x95]],
];

test.each(FAULTS)(
  '%s: DISCONNECT with the reason, for this connection alone',
  async (_, bytes, codes) => {
    const client = await connected(5);
    await neighbour.during(async () => {
      client.sendBytes(Uint8Array.from(bytes));
      const { reasonCode } = await client.next('disconnect');
      expect(codes).toContain(reasonCode);
      await client.closed();
    });
  },
);

test('a fault below 5.0 closes the connection without a word, and the will is published', async () => {
  const watcher = await connected(4);
  watcher.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'last/#', qos: 0 }] });
  await watcher.next('suback');
  const { client } = await WireClient.connect(broker.mqttPort, {
    clientId: 'faulty',
    will: { topic: 'last/words', payload: Buffer.from('gone'), qos: 0, retain: false },
  });
  guests.push(client);
  client.sendBytes(Uint8Array.of(0x36, 0x06, ...topicA, 0x00, 0x01, 0x00));
  await client.closed();
  expect(client.received.map(({ cmd }) => cmd)).toEqual(['connack']);
  const { payload } = await watcher.next('publish');
  expect(payload.toString()).toBe('gone');
});

test.each([
  ['a PUBLISH', [0x30, 0x05, ...topicA, 0x68, 0x69]],
  ['a PINGREQ', [0xc0, 0x00]],
  ['HTTP', [...Buffer.from('GET / HTTP/1.1\r\nHost: gateway\r\n\r\n')]],
  ['a TLS hello', [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]],
])('%s instead of CONNECT: closed at once, nothing said', async (_, bytes) => {
  const client = await open();
  await neighbour.during(async () => {
    client.sendBytes(Uint8Array.from(bytes));
    await client.closed(2_000);
  });
  expect(client.received).toEqual([]);
});

test('an unknown protocol level is refused by CONNACK', async () => {
  const client = await open();
  client.sendBytes(Uint8Array.of(0x10, 12, 0, 4, 77, 81, 84, 84, 9, 2, 0, 0, 0, 0));
  const connack = await client.next('connack');
  // [MQTT-3.1.2-2] of 3.1.1.
  expect(connack.returnCode).toBe(1);
  await client.closed();
});

test('random bytes, before and after CONNECT: every such connection ends or is waited for, nobody else notices', async () => {
  const seed = Number(process.env['CISTERN_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
  console.log(`bad-input: seed ${seed}`);
  const random = new SimRandom(seed);
  const before = anonymousBytes(broker.pid);
  const pulses = await neighbour.during(async () => {
    for (let round = 0; round < 20; round += 1) {
      const clients = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          index % 2 === 0 ? open() : connected(index % 4 === 1 ? 5 : 4),
        ),
      );
      for (const client of clients) client.sendBytes(random.bytes(1 + random.below(2_000)));
      await sleep(20);
      for (const client of clients) client.destroy();
    }
  });
  expect(pulses).toBeGreaterThan(5);
  expect(broker.isRunning).toBe(true);
  expect(anonymousBytes(broker.pid) - before).toBeLessThan(40 * MIB);
});

test('packets that never end cost no more than what was really sent', async () => {
  const before = anonymousBytes(broker.pid);
  const clients = await Promise.all(Array.from({ length: 400 }, () => connected(4)));
  const idle = anonymousBytes(broker.pid);
  // Each claims nearly the limit, 100 MiB in all, and sends 1 KiB of it.
  const claimed = PACKET_LIMIT_BYTES - 16;
  const length = [(claimed & 0x7f) | 0x80, ((claimed >> 7) & 0x7f) | 0x80, claimed >> 14];
  const beginning = Buffer.concat([Uint8Array.of(0x30, ...length, ...topicA), Buffer.alloc(1024)]);
  await neighbour.during(async () => {
    for (const client of clients) client.sendBytes(beginning);
    await sleep(500);
  });
  const grown = anonymousBytes(broker.pid) - idle;
  console.log(
    `bad-input: 400 connections took ${((idle - before) / MIB).toFixed(1)} MiB, ` +
      `their unfinished packets ${(grown / MIB).toFixed(1)} MiB`,
  );
  expect(grown).toBeLessThan(30 * MIB);
  for (const client of clients) client.destroy();
});

test('a truncated packet and then the end of the connection: nobody else notices', async () => {
  await neighbour.during(async () => {
    for (let length = 1; length < 14; length += 1) {
      const before = await open();
      const connect = [0x10, 13, 0, 4, 77, 81, 84, 84, 4, 2, 0, 0, 0, 1, 97];
      before.sendBytes(Uint8Array.from(connect.slice(0, length)));
      before.destroy();
      const after = await connected(4);
      after.sendBytes(Uint8Array.from([0x32, 0x0c, ...topicA, 0, 1, 1, 2, 3, 4].slice(0, length)));
      after.destroy();
    }
  });
});

test('who connects and says nothing is sent away; 300 of them keep nobody out', async () => {
  const silent = await Promise.all(Array.from({ length: 300 }, () => open()));
  // Half a CONNECT is no better than none.
  for (const client of silent.slice(150)) client.sendBytes(Uint8Array.of(0x10, 13, 0, 4, 77));
  await neighbour.during(async () => {
    const newcomer = await connected(5);
    newcomer.send({ cmd: 'pingreq' });
    await newcomer.next('pingresp');
    await Promise.all(silent.map((client) => client.closed(20_000)));
  });
  expect(silent.flatMap(({ received }) => received)).toEqual([]);
}, 30_000);

test('a subscriber that stops reading costs its own messages, not memory', async () => {
  const stuck = await connected(4);
  stuck.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'flood', qos: 0 }] });
  await stuck.next('suback');
  stuck.pause();
  const publisher = await connected(4);
  const payload = Buffer.alloc(10_000, 'x');
  const flood = async (): Promise<number> => {
    // 100 MB, with a pause for each 1 MB so that the publisher's own queue stays short.
    for (let chunk = 0; chunk < 100; chunk += 1) {
      for (let count = 0; count < 100; count += 1) {
        publisher.send({
          cmd: 'publish',
          topic: 'flood',
          payload,
          qos: 0,
          retain: false,
          dup: false,
        });
      }
      publisher.send({ cmd: 'pingreq' });
      await publisher.next('pingresp');
    }
    return anonymousBytes(broker.pid);
  };
  await neighbour.during(async () => {
    const before = anonymousBytes(broker.pid);
    // The first flood fills what may be filled (the ring's memory of recent messages, the heap's
    // young generation); a second one must find it filled.
    const once = await flood();
    const twice = await flood();
    console.log(
      `bad-input: 100 MB past a stuck subscriber took ${((once - before) / MIB).toFixed(1)} MiB, ` +
        `another 100 MB ${((twice - once) / MIB).toFixed(1)} MiB`,
    );
    expect(once - before).toBeLessThan(100 * MIB);
    expect(twice - once).toBeLessThan(30 * MIB);
  });
  stuck.destroy();
});

test('a client that asks and never reads the answers is not read either', async () => {
  const socket = createConnection({ port: broker.mqttPort, host: '127.0.0.1' });
  socket.on('error', () => socket.destroy());
  socket.pause();
  const clientId = 'deaf';
  const head = [0x10, 12 + clientId.length, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0];
  socket.write(Buffer.from([...head, 0, clientId.length, ...Buffer.from(clientId)]));
  const before = anonymousBytes(broker.pid);
  await neighbour.during(async () => {
    // PUBREL for identifiers that are not open: each is answered with a PUBCOMP of its own size.
    const releases = Buffer.concat(Array.from({ length: 16_384 }, () => PUBREL_1));
    for (let count = 0; count < 2_000 && socket.writableLength < 8 * MIB; count += 1) {
      socket.write(releases);
      await sleep(1);
    }
  });
  // It took what fits its buffers, out of 125 MiB, and no more.
  expect(socket.writableLength).toBeGreaterThanOrEqual(8 * MIB);
  expect(anonymousBytes(broker.pid) - before).toBeLessThan(48 * MIB);
  socket.destroy();
});

test('a storm of connections beyond connection_rate is shed; who is in stays in, and later ones get in', async () => {
  const guarded = await startCistern({
    toml: 'anonymous = true\n[limits]\nconnection_rate = "50/s"\n',
  });
  const beside = await Neighbour.moveIn(guarded.mqttPort);
  const storm: WireClient[] = [];
  try {
    await beside.during(async () => {
      for (let count = 0; count < 400; count += 1) {
        storm.push(await WireClient.open(guarded.mqttPort));
      }
      await sleep(300);
    });
    const shed = storm.filter(({ isClosed }) => isClosed).length;
    expect(shed).toBeGreaterThan(200);
    expect(shed).toBeLessThan(400);
    await sleep(1_500);
    const { connack } = await WireClient.connect(guarded.mqttPort, { clientId: 'later' });
    expect(connack.returnCode).toBe(0);
  } finally {
    for (const client of storm) client.destroy();
    beside.moveOut();
    await guarded.stop();
  }
});
