import type { Socket } from 'node:net';
import { generate, type IPublishPacket, parser } from 'mqtt-packet';
import { afterEach, expect, test } from 'vitest';
import { makeUplink, PARTITION, type UplinkBench } from '../../interop/uplink-mqtt-bench.ts';
import { listenRaw } from './raw-upstream.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/**
 * A 3.1.1 server as the standard lets it be: it says nothing of a PUBLISH that it will not take, it
 * closes the connection.
 */
class EndingServer {
  readonly arrived: string[] = [];
  /** Bytes of each connection, as one text of hexadecimal digits. */
  readonly heard: string[] = [];
  takes: (packet: IPublishPacket) => boolean = () => true;
  answers = true;

  start(): Promise<number> {
    return listenRaw((socket) => this.#serve(socket), closers);
  }

  #serve(socket: Socket): void {
    const packets = parser({ protocolVersion: 4 });
    const connection = this.heard.push('') - 1;
    let isEnded = false;
    packets.on('packet', (packet) => {
      if (isEnded) return;
      if (packet.cmd === 'connect') {
        socket.write(generate({ cmd: 'connack', returnCode: 0, sessionPresent: false }));
      }
      if (packet.cmd !== 'publish' || !this.answers) return;
      if (!this.takes(packet)) {
        isEnded = true;
        socket.destroy();
        return;
      }
      this.arrived.push(packet.payload.toString().slice(0, 8));
      socket.write(generate({ cmd: 'puback', messageId: packet.messageId ?? 0 }));
    });
    socket.on('data', (chunk) => {
      this.heard[connection] += chunk.toString('hex');
      packets.parse(chunk);
    });
  }
}

function uplink(port: number, stallTimeoutMs = 10_000): UplinkBench {
  const bench = makeUplink(port, {
    config: { version: 4 },
    forwarder: { backoff: { baseMs: 2, capMs: 10 }, stallTimeoutMs },
  });
  closers.push(() => bench.forwarder.stop());
  return bench;
}

function append({ reader }: UplinkBench, from: number, to: number, bytes = 8): void {
  for (let n = from; n < to; n += 1) reader.append(PARTITION, 't', `${n}`.padEnd(bytes, ' '));
}

const numbers = (arrived: readonly string[]): number[] => [...new Set(arrived.map(Number))];

test('records too large for a 3.1.1 server are given up one by one, and the others arrive in order', async () => {
  const server = new EndingServer();
  server.takes = ({ length = 0 }) => length <= 1000;
  const bench = uplink(await server.start());
  append(bench, 0, 150);
  append(bench, 150, 152, 2000);
  append(bench, 152, 300);
  append(bench, 300, 301, 2000);
  append(bench, 301, 302);
  bench.forwarder.start();
  await expect
    .poll(() => bench.forwarder.status(), { timeout: 10_000, interval: 10 })
    .toMatchObject({ state: 'connected', backlogRecords: 0 });
  expect(bench.forwarder.status()).toMatchObject({
    appendedRecords: 302,
    acknowledgedRecords: 299,
    deadLettered: 3,
  });
  const expected = Array.from({ length: 302 }, (_, n) => n);
  expect(numbers(server.arrived)).toEqual(expected.filter((n) => ![150, 151, 300].includes(n)));
  expect(
    bench.logger.entries
      .filter(({ event }) => event === 'uplink.dead_lettered')
      .map(({ fields }) => fields['origin']),
  ).toEqual([150, 151, 300].map((n) => `gw/cafe/telemetry/0/${n}`));
});

test('a server that takes nothing, and one that never answers, cost no record', async () => {
  const server = new EndingServer();
  server.takes = () => false;
  const bench = uplink(await server.start(), 100);
  append(bench, 0, 50);
  bench.forwarder.start();
  await expect.poll(() => server.heard.length, { timeout: 10_000 }).toBeGreaterThan(60);
  expect(bench.forwarder.status()).toMatchObject({ state: 'stalled', deadLettered: 0 });
  server.answers = false;
  await expect
    .poll(() => bench.forwarder.status().lastError, { timeout: 5_000 })
    .toContain('acknowledged nothing');
  server.answers = true;
  server.takes = () => true;
  await expect
    .poll(() => bench.forwarder.status(), { timeout: 5_000 })
    .toMatchObject({ state: 'connected', backlogRecords: 0, acknowledgedRecords: 50 });
});

test('stopping says goodbye to the server, also with records in flight', async () => {
  const server = new EndingServer();
  server.answers = false;
  const bench = uplink(await server.start());
  append(bench, 0, 10);
  bench.forwarder.start();
  const lastPublish = `${Buffer.from('9'.padEnd(8, ' ')).toString('hex')}`;
  await expect.poll(() => server.heard[0]).toContain(lastPublish);
  const beganMs = performance.now();
  await bench.forwarder.stop();
  expect(performance.now() - beganMs).toBeLessThan(1000);
  // [MQTT-3.14.4-1]: DISCONNECT is the last thing that is sent.
  expect(server.heard[0]).toMatch(/e000$/);
});
