import { bootTimesOf } from '../../src/cli/boot-times.ts';
import { MemoryCheckpoint } from '../../src/metadata/memory-checkpoint.ts';
import { nodeCompressor, nodeCrc32 } from '../../src/platform/node/compression.ts';
import type { BootTimes } from '../../src/ring/event-time.ts';
import { dumpRing } from '../../src/ring/dump.ts';
import type { RecordView } from '../../src/ring/types.ts';
import { SimCistern } from './sim-cistern.ts';
import { SimClock } from './sim-clock.ts';
import { SimDisk } from './sim-disk.ts';
import type { CutMode } from './sim-disk-image.ts';

/**
 * A board without a clock chip, with a broker on it: at each boot its wall clock starts in 1970, and
 * its monotonic clock at 0. Nothing says that the wall clock is right, until NTP sets it.
 */
export class SimBoard {
  #boots = 1;
  #clock: SimClock;
  #disk: SimDisk;
  #checkpoints = new MemoryCheckpoint();
  #toml: string;
  cistern: SimCistern;

  constructor(toml = '', wallMs = 0) {
    this.#toml = toml;
    this.#clock = new SimClock({ startMs: 1_000, wallMs, bootId: 'boot-1' });
    this.#disk = new SimDisk({ clock: this.#clock });
    this.cistern = this.#make();
  }

  get clock(): SimClock {
    return this.#clock;
  }

  get disk(): SimDisk {
    return this.#disk;
  }

  async start(): Promise<void> {
    await this.cistern.start(this.#toml);
  }

  async stop(): Promise<void> {
    await this.cistern.stop();
  }

  /** What the ring on the disk holds, read as `cistern log dump` does, and what it says of the clocks. */
  async inspect(): Promise<{ records: RecordView[]; times: BootTimes }> {
    const options = { volume: this.#disk, crc32: nodeCrc32, compressor: nodeCompressor };
    const times = await this.#clock.runUntil(bootTimesOf(dumpRing(options)));
    const records = await this.#clock.runUntil(all(dumpRing(options)));
    return { records, times };
  }

  /** NTP answers: the wall clock is right from now on. */
  tellTime(wallMs: number): void {
    this.#clock.stepWall(wallMs - this.#clock.wallMs());
  }

  /** The power goes and comes back; the wall clock starts at `wallMs`. What was not synced is lost. */
  async powerCycle(
    options: { wallMs?: number; seed?: number; mode?: CutMode } = {},
  ): Promise<void> {
    if (!this.#disk.isCut) this.#disk.cut(options.seed ?? 1, options.mode ?? 'none');
    this.#boots += 1;
    const bootId = `boot-${this.#boots}`;
    this.#clock = new SimClock({ startMs: 1_000, wallMs: options.wallMs ?? 0, bootId });
    await this.#boot();
  }

  /** The broker alone is killed and started again. */
  async restart(): Promise<void> {
    this.#disk.kill(1);
    const { bootId } = this.#clock;
    const startMs = this.#clock.monotonicMs() + 500;
    this.#clock = new SimClock({ startMs, wallMs: this.#clock.wallMs() + 500, bootId });
    await this.#boot();
  }

  async #boot(): Promise<void> {
    this.#disk = this.#disk.reboot({ clock: this.#clock });
    this.#checkpoints = this.#checkpoints.crash();
    this.cistern = this.#make();
    await this.start();
  }

  #make(): SimCistern {
    const [clock, volume] = [this.#clock, this.#disk];
    const cistern = new SimCistern({ volume, checkpoints: this.#checkpoints, clock });
    cistern.clockWord = 'none';
    return cistern;
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
