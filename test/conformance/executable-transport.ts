import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectSocket, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Cistern } from '../support/executable.ts';
import type { Needs } from './scenario.ts';
import type { Link, Transport, WebSocketLink } from './transport.ts';
import { TcpWebSocketLink } from './web-socket-link.ts';

/** Real time in which the broker does whatever it was asked for, also on a busy machine. */
const SETTLE_MS = 60;
const PATIENCE_MS = 8_000;

class TcpLink implements Link {
  closed = false;
  readonly #socket: Socket;
  #received: Uint8Array[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#received.push(chunk));
    // The close that follows is what a scenario asks about.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
    });
  }

  send(bytes: Uint8Array): void {
    if (!this.closed) this.#socket.write(bytes);
  }

  drop(): void {
    this.#socket.destroy();
  }

  take(): Uint8Array {
    return Buffer.concat(this.#received.splice(0));
  }
}

/** The executable as a process of its own, over TCP and in real time. */
export class ExecutableTransport implements Transport {
  readonly #cistern: Cistern;
  readonly #folder: string;

  private constructor(cistern: Cistern, folder: string) {
    this.#cistern = cistern;
    this.#folder = folder;
  }

  static async start({ toml, files }: Needs): Promise<ExecutableTransport> {
    const folder = await mkdtemp(join(tmpdir(), 'cistern-conformance-'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const ring = { size: '1MiB', segment: '64KiB' };
    const cistern = await Cistern.start({ ...ring, toml: toml.replaceAll('{files}', folder) });
    return new ExecutableTransport(cistern, folder);
  }

  async open(): Promise<Link> {
    const socket = connectSocket(this.#cistern.mqttPort, '127.0.0.1');
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new TcpLink(socket);
  }

  openWebSocket(subprotocols: readonly string[]): Promise<WebSocketLink> {
    return TcpWebSocketLink.open(this.#cistern.mqttPort, subprotocols);
  }

  async until(holds: () => boolean): Promise<boolean> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (!holds()) {
      if (performance.now() > deadlineMs) return false;
      await delay(1);
    }
    return true;
  }

  settle(): Promise<void> {
    return delay(SETTLE_MS);
  }

  pass(ms: number): Promise<void> {
    return delay(ms);
  }

  breakDisk(): void {
    throw new Error('a real disk is not broken for a test');
  }

  async restart(how: 'stopped' | 'killed'): Promise<void> {
    if (how === 'stopped') await this.#cistern.shutDown();
    else await this.#cistern.kill9();
    await this.#cistern.launch();
  }

  async stop(): Promise<void> {
    await this.#cistern.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
