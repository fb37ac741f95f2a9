import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TestProcess } from '../../support/child-process.ts';
import { type Cistern, startCistern } from '../../support/executable.ts';
import { type LedgerEntry, readLedger } from '../../support/ledger.ts';
import { Link } from '../../support/link.ts';
import { type Mosquitto, startMosquitto } from '../../support/mosquitto.ts';
import { waitFor } from '../../support/wait-for.ts';

export interface StageOptions {
  readonly devices: number;
  /** Messages a second, all devices together. */
  readonly rate: number;
}

const UPLINK = (port: number): string => `anonymous = true
[[uplink]]
name = "cloud"
backoff = { base = "250ms", cap = "1s" }
stall_timeout = "5s"
mqtt = { url = "mqtt://127.0.0.1:${port}", qos = 1 }
`;

/**
 * Everything that takes part in the demo: five processes (broker, upstream, fleet, witness, and this
 * one with the link) and the two ledgers.
 *
 * Invariant: whatever was started is on the undo list, so that `clear` leaves nothing behind.
 */
export class Stage {
  readonly #undo: (() => Promise<unknown>)[] = [];
  readonly #options: StageOptions;
  #folder = '';
  #upstream: Mosquitto | undefined;
  #link: Link | undefined;
  #broker: Cistern | undefined;
  #fleet: TestProcess | undefined;

  constructor(options: StageOptions) {
    this.#options = options;
  }

  /** The upstream, its witness, the link and the broker; the fleet comes with `startFleet`. */
  async build(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'cistern-demo-'));
    this.#undo.push(() => rm(this.#folder, { recursive: true, force: true }));
    // The witness is to miss nothing while it is busy writing.
    const config = ['max_queued_messages 0', 'max_inflight_messages 500'];
    this.#upstream = await startMosquitto({ config });
    this.#undo.push(() => this.upstream.stop());
    const { port } = this.#upstream;
    const witness = this.#start('upstream-subscriber.ts', ['--port', `${port}`], 'upstream');
    await waitFor('the witness', () => witness.stdout.includes('subscribed'));
    this.#link = await Link.open(port);
    this.#undo.push(() => this.link.close());
    this.#broker = await startCistern({ size: '256MiB', toml: UPLINK(this.#link.port) });
    this.#undo.push(() => this.broker.stop());
  }

  get broker(): Cistern {
    return present(this.#broker);
  }

  get link(): Link {
    return present(this.#link);
  }

  get upstream(): Mosquitto {
    return present(this.#upstream);
  }

  startFleet(): void {
    const { devices, rate } = this.#options;
    const port = `${this.broker.mqttPort}`;
    const args = ['--port', port, '--devices', `${devices}`, '--rate', `${rate}`];
    this.#fleet = this.#start('fleet.ts', args, 'publisher');
  }

  /** No new readings; resolves with the devices' complaints when all is acknowledged. */
  async endFleet(): Promise<readonly string[]> {
    const fleet = present(this.#fleet);
    await fleet.end('SIGTERM', 30_000);
    return fleet.stderr;
  }

  publisherLedger(): LedgerEntry[] {
    return readLedger(join(this.#folder, 'publisher.ledger'));
  }

  upstreamLedger(): LedgerEntry[] {
    return readLedger(join(this.#folder, 'upstream.ledger'));
  }

  /** Grows with every arrival; cheap to ask for. */
  upstreamLedgerBytes(): number {
    const path = join(this.#folder, 'upstream.ledger');
    return existsSync(path) ? statSync(path).size : 0;
  }

  /** The end of what the broker printed, for whoever has to find out why the demo stopped. */
  brokerWords(): readonly string[] {
    return this.#broker?.stderr.slice(-10) ?? [];
  }

  async clear(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) {
      await undo().catch((error: Error) => console.error(error.message));
    }
  }

  #start(program: string, args: readonly string[], ledger: string): TestProcess {
    const path = fileURLToPath(new URL(program, import.meta.url));
    const ledgerPath = join(this.#folder, `${ledger}.ledger`);
    const started = new TestProcess(process.execPath, [path, ...args, '--ledger', ledgerPath]);
    this.#undo.push(async () => {
      if (started.isRunning) await started.end('SIGKILL');
    });
    return started;
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the stage was not built');
  return value;
}
