// How long offline sessions wait for what they missed: one alone, and a thousand that return at once,
// over a full ring, with `build/out/cistern` (`npm run build` comes first).
// `node build/with-node24.mjs test/bench/offline-sessions.ts [SESSIONS] [RING_MIB]`
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeControl } from '../../src/codec/control-encoder.ts';
import type { AckType, ControlPacket } from '../../src/codec/control-packet.ts';
import { PacketDecoder, type PublishView } from '../../src/codec/packet-decoder.ts';
import { encodePublish, writeAck } from '../../src/codec/publish-encoder.ts';

const SESSIONS = Number(process.argv[2] ?? 1_000);
const RING_MIB = Number(process.argv[3] ?? 256);
const PORT = 28_831;
const TOPICS = 100;
const PAYLOAD_BYTES = 200;
/** Enough to write every slot at least once. */
const MESSAGES = Math.round((RING_MIB * 1024 * 1024 * 1.1) / (PAYLOAD_BYTES + 12));
const PUBLISH_WINDOW = 2_000;
/** Nothing came for so long: all is there. */
const QUIET_MS = 3_000;

const root = resolve(import.meta.dirname, '../..');
const folder = join(root, 'build/out/bench/offline-sessions');

/** Counts what comes, acknowledges it at once, and notes when the first and the last came. */
class Returning {
  received = 0;
  firstMs = 0;
  lastMs = 0;
  readonly #socket: net.Socket;
  readonly #decoder = new PacketDecoder({ maxPacketBytes: 1 << 20, peer: 'server' });
  #acks = Buffer.alloc(64 * 1024);
  #acked = 0;
  #onControl: (packet: ControlPacket) => void = () => undefined;

  constructor() {
    this.#socket = net.connect({ port: PORT, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk) => {
      this.#decoder.feed(chunk, this);
      if (this.#acked > 0) this.#socket.write(Buffer.from(this.#acks.subarray(0, this.#acked)));
      this.#acked = 0;
    });
    this.#socket.on('error', (error) => {
      throw error;
    });
  }

  connect(clientId: string, cleanStart: boolean): Promise<ControlPacket> {
    const properties = {};
    const connect = { clientId, cleanStart, keepAliveSeconds: 0, properties };
    return this.request({ type: 'connect', protocolVersion: 4, ...connect });
  }

  request(packet: Parameters<typeof encodeControl>[0]): Promise<ControlPacket> {
    return new Promise((resolved) => {
      this.#onControl = resolved;
      this.#socket.write(encodeControl(packet, 4));
    });
  }

  subscribe(...filters: string[]): Promise<ControlPacket> {
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const subscriptions = filters.map((filter) => ({ filter, qos: 1 as const, ...options }));
    return this.request({ type: 'subscribe', packetId: 1, subscriptions });
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }

  onAcked: (count: number) => void = () => undefined;

  onPublish({ packetId, qos }: PublishView): void {
    this.received++;
    this.lastMs = performance.now();
    if (this.received === 1) this.firstMs = this.lastMs;
    if (qos === 0) return;
    if (this.#acked + 4 > this.#acks.length) {
      this.#socket.write(Buffer.from(this.#acks.subarray(0, this.#acked)));
      this.#acked = 0;
    }
    writeAck(this.#acks, this.#acked, 4, packetId);
    this.#acked += 4;
  }

  onAck(_type: AckType, _packetId: number): void {
    this.onAcked(1);
  }

  onControl(packet: ControlPacket): void {
    this.#onControl(packet);
  }
}

function broker(): ChildProcess {
  const data = join(folder, 'data');
  const args = ['run', '--config', join(folder, 'cistern.toml'), '--data', data];
  const listen = ['--listen', `127.0.0.1:${PORT}`];
  const child = spawn(join(root, 'build/out/cistern'), [...args, ...listen], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  child.on('exit', (code) => {
    if (code !== 0 && code !== null) throw new Error(`the broker ended with ${code}`);
  });
  return child;
}

async function start(): Promise<ChildProcess> {
  const child = broker();
  for (;;) {
    const open = await new Promise<boolean>((done) => {
      const socket = net.connect(PORT, '127.0.0.1');
      socket.once('connect', () => done((socket.destroy(), true)));
      socket.once('error', () => done(false));
    });
    if (open) return child;
    await sleep(10);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  await ended;
}

async function makeSessions(): Promise<void> {
  for (let session = 0; session < SESSIONS; session++) {
    const client = new Returning();
    await client.connect(`session-${session}`, false);
    await client.subscribe(`s/${session % TOPICS}/#`, `s/+/alarm`, `s/${session % TOPICS}/value`);
    client.close();
  }
}

async function fill(): Promise<void> {
  const client = new Returning();
  await client.connect('filler', true);
  const payload = Buffer.alloc(PAYLOAD_BYTES);
  let sent = 0;
  let acked = 0;
  let resume: () => void = () => undefined;
  client.onAcked = (count) => {
    acked += count;
    resume();
  };
  while (sent < MESSAGES) {
    const parts: Uint8Array[] = [];
    for (; sent < MESSAGES && sent - acked < PUBLISH_WINDOW; sent++) {
      // Half of it compresses, as telemetry does.
      for (let at = 0; at < PAYLOAD_BYTES / 2; at += 4)
        payload.writeInt32LE(Math.imul(sent ^ (at * 40_503), 2_654_435_761) | 0, at);
      const topic = Buffer.from(sent % 1_000 === 0 ? 's/1/alarm' : `s/${sent % TOPICS}/value`);
      const none = new Uint8Array(0);
      parts.push(
        encodePublish(4, topic, 1, false, false, (sent % 65_535) + 1, none, payload).bytes,
      );
    }
    client.write(Buffer.concat(parts));
    await new Promise<void>((done) => {
      resume = () => {
        if (sent - acked < PUBLISH_WINDOW / 2 || acked === sent) done();
      };
      resume();
    });
  }
  while (acked < sent) await sleep(10);
  client.close();
}

async function allQuiet(clients: readonly Returning[]): Promise<void> {
  for (;;) {
    await sleep(200);
    const last = Math.max(...clients.map(({ lastMs }) => lastMs));
    if (last > 0 && performance.now() - last > QUIET_MS) return;
  }
}

async function comeBack(title: string, ids: readonly number[], pid: number): Promise<void> {
  const cpuBefore = cpuSeconds(pid);
  const began = performance.now();
  const clients = await Promise.all(
    ids.map(async (id) => {
      const client = new Returning();
      await client.connect(`session-${id}`, false);
      return client;
    }),
  );
  await allQuiet(clients);
  const first = clients.map(({ firstMs }) => firstMs - began).sort((a, b) => a - b);
  const last = clients.map(({ lastMs }) => lastMs - began).sort((a, b) => a - b);
  const messages = clients.reduce((sum, { received }) => sum + received, 0);
  const ms = (values: readonly number[], part: number) =>
    (values[Math.floor((values.length - 1) * part)] ?? 0).toFixed(0);
  console.log(
    `${title}: ${messages} messages; first after ${ms(first, 0)} / ${ms(first, 0.5)} / ${ms(first, 1)} ms, ` +
      `last after ${ms(last, 0)} / ${ms(last, 0.5)} / ${ms(last, 1)} ms (least / median / most); ` +
      `broker CPU ${(cpuSeconds(pid) - cpuBefore).toFixed(1)} s, ${residentMib(pid)} MiB resident at most`,
  );
  for (const client of clients) client.close();
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function residentMib(pid: number): string {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024).toFixed(0);
}

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
await writeFile(
  join(folder, 'cistern.toml'),
  [
    `[storage]\nsize = "${RING_MIB}MiB"`,
    `[admin]\nlisten = "127.0.0.1:${PORT + 1}"`,
    '[log]\nlevel = "warn"',
    '[limits]\nconnection_rate = "100000/s"\n',
  ].join('\n'),
);
let child = await start();
try {
  await makeSessions();
  const filling = performance.now();
  await fill();
  console.log(`${MESSAGES} messages in ${((performance.now() - filling) / 1000).toFixed(1)} s`);
  await stop(child);
  const starting = performance.now();
  child = await start();
  console.log(`start: ${(performance.now() - starting).toFixed(0)} ms until it takes connections`);
  const pid = child.pid as number;
  await comeBack('one session', [0], pid);
  const others = Array.from({ length: SESSIONS - 1 }, (_, index) => index + 1);
  await comeBack(`${others.length} sessions at once`, others, pid);
} finally {
  await stop(child);
  await rm(folder, { recursive: true, force: true });
}
