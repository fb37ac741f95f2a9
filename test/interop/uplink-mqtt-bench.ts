import { once } from 'node:events';
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { type IPublishPacket, connectAsync, type MqttClient } from 'mqtt';
import { createNodeClock } from '../../src/platform/node/clock.ts';
import type { CursorStore } from '../../src/uplink/cursor-store.ts';
import { Forwarder, type ForwarderOptions } from '../../src/uplink/forwarder.ts';
import { MqttSink, type MqttSinkConfig } from '../../src/uplink/sinks/mqtt.ts';
import { MemoryLogger } from '../support/memory-logger.ts';
import { plainTimes } from '../support/plain-times.ts';
import { SimRandom } from '../support/sim-random.ts';
import { MemoryReader } from '../unit/uplink/memory-reader.ts';

export const PARTITION = 16;

/** Stands between an uplink and its upstream, and misbehaves on demand. */
export class Proxy {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #mode: 'forward' | 'refuse' | 'silent' = 'forward';

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    this.port = address.port;
    server.on('connection', (near) => this.#accept(near, targetPort));
  }

  static async start(targetPort: number): Promise<Proxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Proxy(server, targetPort);
  }

  forward(): void {
    this.#mode = 'forward';
  }

  /** Every connection ends, and new ones end at once. */
  refuse(): void {
    this.#mode = 'refuse';
    this.#cut();
  }

  /** Every link goes half-open: nothing passes, nothing is closed. New links work. */
  freeze(): void {
    for (const [near, far] of this.#pairs) {
      near.removeAllListeners('data');
      far.removeAllListeners('data');
      near.resume();
      far.resume();
    }
  }

  async stop(): Promise<void> {
    this.#cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  #accept(near: Socket, targetPort: number): void {
    near.on('error', () => near.destroy());
    if (this.#mode === 'refuse') {
      near.destroy();
      return;
    }
    const far = connectSocket(targetPort, '127.0.0.1');
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    far.on('error', () => far.destroy());
    near.on('data', (chunk: Buffer) => far.write(chunk));
    far.on('data', (chunk: Buffer) => near.write(chunk));
    near.on('close', () => far.destroy());
    far.on('close', () => {
      near.destroy();
      this.#pairs.delete(pair);
    });
  }
}

/** Somebody upstream who writes down what arrives, and knows nothing of the uplink. */
export class Observer {
  readonly topics: string[] = [];
  readonly payloads: string[] = [];
  readonly packets: IPublishPacket[] = [];
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
    client.on('message', (topic, payload, packet) => {
      this.topics.push(topic);
      this.payloads.push(payload.toString());
      this.packets.push(packet);
    });
  }

  static async start(port: number, username?: string, password?: string): Promise<Observer> {
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
      protocolVersion: 5,
      reconnectPeriod: 0,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    });
    client.on('error', () => undefined);
    const observer = new Observer(client);
    // QoS 0: what the server has taken it passes on at once, so its death takes nothing with it.
    await client.subscribeAsync('#', { qos: 0 });
    return observer;
  }

  async stop(): Promise<void> {
    await this.#client.endAsync(true);
  }
}

export class MemoryCursors implements CursorStore {
  readonly saved = new Map<number, number>();

  load(_uplink: string, partitionId: number): number | undefined {
    return this.saved.get(partitionId);
  }

  save(_uplink: string, partitionId: number, offset: number): void {
    this.saved.set(partitionId, offset);
  }
}

export interface UplinkBench {
  readonly reader: MemoryReader;
  readonly cursors: MemoryCursors;
  readonly logger: MemoryLogger;
  readonly forwarder: Forwarder;
}

export interface UplinkBenchOptions {
  readonly config?: Partial<MqttSinkConfig>;
  readonly forwarder?: Partial<ForwarderOptions>;
  readonly username?: string;
  /** Asked at each attempt. */
  readonly password?: () => string;
}

/** A real forwarder with a real MQTT sink on the real clock, over a stream in memory. */
export function makeUplink(port: number, options: UplinkBenchOptions = {}): UplinkBench {
  const clock = createNodeClock();
  const reader = new MemoryReader({ telemetry: 1 }, () => clock.wallMs());
  const cursors = new MemoryCursors();
  const logger = new MemoryLogger();
  const sink = new MqttSink({
    config: {
      url: `mqtt://127.0.0.1:${port}`,
      version: 5,
      qos: 1,
      topic: '{topic}',
      retain: 'keep',
      keepAliveMs: 60_000,
      ...options.config,
    },
    clientId: 'gw-cloud',
    nodeId: 'gw',
    clock,
    credentials: async () => ({ username: options.username, password: options.password?.() }),
  });
  const forwarder = new Forwarder({
    name: 'cloud',
    streams: ['telemetry'],
    start: 'earliest',
    batch: { records: 500, bytes: 262_144, lingerMs: 50 },
    backoff: { baseMs: 50, capMs: 200 },
    stallTimeoutMs: 10_000,
    poisonAttempts: 3,
    sink,
    reader,
    cursors,
    clock,
    times: plainTimes(clock),
    random: new SimRandom(1),
    logger,
    nodeId: 'gw',
    lineage: 'cafe',
    ...options.forwarder,
  });
  return { reader, cursors, logger, forwarder };
}
