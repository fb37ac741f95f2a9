import { setTimeout as delay } from 'node:timers/promises';
import { MemoryCheckpoint } from '../../src/metadata/memory-checkpoint.ts';
import type { Socket } from '../../src/platform/network.ts';
import { SimCistern } from '../support/sim-cistern.ts';
import { SimClock } from '../support/sim-clock.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { join } from './bytes.ts';
import type { Needs } from './scenario.ts';
import type { Link, Transport } from './transport.ts';

const ADDRESS = '127.0.0.1:1883';
/** Virtual; a commit takes about 2 ms of it. */
const SETTLE_MS = 20;
/** A seed by which the first writes in flight do not reach the page cache: the harshest death. */
const LOSES_WHAT_IS_IN_FLIGHT = 246;
const PATIENCE_MS = 500;

class SimLink implements Link {
  closed = false;
  readonly #socket: Socket;
  #received: Uint8Array[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.onData = (chunk) => this.#received.push(new Uint8Array(chunk));
    socket.onClose = () => {
      this.closed = true;
    };
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  drop(): void {
    this.#socket.destroy();
  }

  take(): Uint8Array {
    return join(...this.#received.splice(0));
  }
}

/** The real broker on virtual time, a simulated disk and a network within the process. */
export class SimulatedTransport implements Transport {
  #clock = new SimClock();
  #disk = new SimDisk({ clock: this.#clock });
  #checkpoints = new MemoryCheckpoint();
  readonly #toml: string;
  readonly #files: Needs['files'];
  #cistern: SimCistern;

  private constructor({ toml, files }: Needs) {
    this.#files = files;
    this.#toml = `[[listener]]\nlisten = "${ADDRESS}"\n${toml.replaceAll('{files}/', '')}`;
    this.#cistern = this.#made();
  }

  static async start(needs: Needs): Promise<SimulatedTransport> {
    const transport = new SimulatedTransport(needs);
    await transport.#cistern.start(transport.#toml);
    return transport;
  }

  async open(): Promise<Link> {
    return new SimLink(this.#cistern.network.connect(ADDRESS));
  }

  async openWebSocket(): Promise<never> {
    throw new Error('the simulated network has no WebSocket');
  }

  async until(holds: () => boolean): Promise<boolean> {
    await this.#clock.settle();
    for (let ms = 0; ms < PATIENCE_MS; ms += 1) {
      if (holds()) return true;
      await this.#clock.advance(1);
    }
    // Passwords are hashed on other threads, in real time.
    for (let tries = 0; 'passwd' in this.#files && tries < 200 && !holds(); tries += 1) {
      await delay(10);
      await this.#clock.settle();
    }
    return holds();
  }

  settle(): Promise<void> {
    return this.#clock.advance(SETTLE_MS);
  }

  pass(ms: number): Promise<void> {
    return this.#clock.advance(ms);
  }

  breakDisk(): void {
    this.#disk.failAt(this.#disk.operations + 1, 'EIO', true);
  }

  async restart(how: 'stopped' | 'killed'): Promise<void> {
    if (how === 'stopped') await this.#cistern.stop();
    this.#disk.kill(LOSES_WHAT_IS_IN_FLIGHT);
    this.#clock = new SimClock({ startMs: this.#clock.monotonicMs() + 1000 });
    this.#disk = this.#disk.reboot({ clock: this.#clock });
    this.#checkpoints = this.#checkpoints.crash();
    this.#cistern = this.#made();
    await this.#cistern.start(this.#toml);
  }

  async stop(): Promise<void> {
    await this.#cistern.stop();
  }

  #made(): SimCistern {
    const clock = this.#clock;
    const cistern = new SimCistern({ volume: this.#disk, checkpoints: this.#checkpoints, clock });
    Object.assign(cistern.files, this.#files);
    return cistern;
  }
}
