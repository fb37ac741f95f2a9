import type { Socket } from 'node:net';
import { type IPublishPacket, parser } from 'mqtt-packet';
import { afterEach, expect, test } from 'vitest';
import { makeUplink, PARTITION, type UplinkBench } from '../../interop/uplink-mqtt-bench.ts';
import { listenRaw } from './raw-upstream.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A 5.0 server that answers each PUBLISH with the bytes it is told to. */
class AnsweringServer {
  readonly arrived: number[] = [];
  links = 0;
  /** What follows the packet identifier in a PUBACK, or the PUBREC of QoS 2. */
  answer: (n: number) => readonly number[] = () => [];
  connack: readonly number[] = [0x20, 3, 0, 0, 0];

  start(): Promise<number> {
    return listenRaw((socket) => this.#serve(socket), closers);
  }

  #serve(socket: Socket): void {
    this.links += 1;
    const packets = parser({ protocolVersion: 5 });
    packets.on('packet', (packet) => {
      if (packet.cmd === 'connect') socket.write(Uint8Array.from(this.connack));
      if (packet.cmd === 'publish') this.#publish(socket, packet);
      if (packet.cmd === 'pubrel') this.#write(socket, 0x70, packet.messageId, []);
    });
    socket.on('data', (chunk) => packets.parse(chunk));
  }

  #publish(socket: Socket, { payload, qos, messageId }: IPublishPacket): void {
    const n = Number(payload.toString());
    this.arrived.push(n);
    this.#write(socket, qos === 2 ? 0x50 : 0x40, messageId, this.answer(n));
  }

  #write(socket: Socket, header: number, id: number | undefined, more: readonly number[]): void {
    const packetId = id ?? 0;
    const body = [packetId >> 8, packetId & 0xff, ...more];
    socket.write(Uint8Array.from([header, body.length, ...body]));
  }
}

function uplink(port: number, qos: 1 | 2 = 1): UplinkBench {
  const bench = makeUplink(port, {
    config: { version: 5, qos },
    forwarder: { backoff: { baseMs: 2, capMs: 10 }, stallTimeoutMs: 10_000 },
  });
  closers.push(() => bench.forwarder.stop());
  return bench;
}

function append({ reader }: UplinkBench, count: number): void {
  for (let n = 0; n < count; n += 1) reader.append(PARTITION, `t/${n}`, `${n}`);
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

test.each([1, 2] as const)(
  'packet too large, said in the ack of QoS %d, costs that record alone',
  async (qos) => {
    const server = new AnsweringServer();
    // The code is one of DISCONNECT and CONNACK; Mosquitto says it here all the same.
    server.answer = (n) => (n === 50 ? [0x95] : []);
    const bench = uplink(await server.start(), qos);
    append(bench, 300);
    bench.forwarder.start();
    await expect
      .poll(() => bench.forwarder.status(), { timeout: 5_000, interval: 10 })
      .toMatchObject({ state: 'connected', backlogRecords: 0, acknowledgedRecords: 299 });
    const { deadLettered, lastError } = bench.forwarder.status();
    expect(deadLettered).toBe(1);
    expect(lastError).toContain('packet too large (0x95)');
    expect(lastError).toContain('topic t/50');
    expect(server.links).toBe(1);
    expect(server.arrived.toSorted((a, b) => a - b)).toEqual(
      [...upTo(300), 50, 50].toSorted((a, b) => a - b),
    );
  },
);

test('an ack that cannot be read ends the link at once, and its record is found', async () => {
  const server = new AnsweringServer();
  server.answer = (n) => (n === 50 ? [0x42] : []);
  const bench = uplink(await server.start());
  append(bench, 100);
  const errors = new Set<string | null>();
  bench.forwarder.start();
  await expect
    .poll(
      () => {
        const status = bench.forwarder.status();
        errors.add(status.lastError);
        return status;
      },
      { timeout: 5_000, interval: 1 },
    )
    .toMatchObject({ state: 'connected', backlogRecords: 0, acknowledgedRecords: 99 });
  expect(bench.forwarder.status().deadLettered).toBe(1);
  expect([...errors].join('\n')).toContain('not MQTT as we speak it: Invalid puback reason code');
  expect(new Set(server.arrived)).toEqual(new Set(upTo(100)));
});

test('a peer that speaks something else is named as such, without waiting', async () => {
  const server = new AnsweringServer();
  server.connack = [...Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')];
  const bench = uplink(await server.start());
  append(bench, 1);
  bench.forwarder.start();
  await expect
    .poll(() => bench.forwarder.status().lastError, { timeout: 3_000 })
    .toContain('not MQTT as we speak it');
  expect(bench.forwarder.status()).toMatchObject({ deadLettered: 0, backlogRecords: 1 });
});

test('while one record is not authorised, no other arrives again', async () => {
  const server = new AnsweringServer();
  let isForbidden = true;
  server.answer = (n) => (n === 20 && isForbidden ? [0x87] : []);
  const bench = uplink(await server.start());
  append(bench, 100);
  bench.forwarder.start();
  await expect.poll(() => server.links, { timeout: 5_000 }).toBeGreaterThan(20);
  expect(bench.forwarder.status()).toMatchObject({ state: 'stalled', acknowledgedRecords: 20 });
  expect(bench.forwarder.status().lastError).toMatch(/not authorised \(0x87\).*topic t\/20/);
  isForbidden = false;
  await expect
    .poll(() => bench.forwarder.status(), { timeout: 5_000 })
    .toMatchObject({ state: 'connected', backlogRecords: 0, acknowledgedRecords: 100 });
  const others = server.arrived.filter((n) => n !== 20);
  expect(others.length).toBeLessThanOrEqual(99 + 79);
});
