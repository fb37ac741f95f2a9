import { MemoryCheckpoint } from '../../src/metadata/memory-checkpoint.ts';
import type { Socket } from '../../src/platform/network.ts';
import { SimCistern } from '../support/sim-cistern.ts';
import { SimClock } from '../support/sim-clock.ts';
import { CUT_MODES } from '../support/sim-disk-image.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { SimRandom } from '../support/sim-random.ts';

const ADDRESS = '127.0.0.1:1883';

/** Each client may use `secret/<its id>/…`, and everybody `public/…`. */
const ACL = 'topic readwrite public/#\npattern readwrite secret/%c/#\n';
const TOML = `[auth]\nacl_file = "acl"\n[limits]\nsubscriptions_per_client = 50\ninflight = 30\n`;

/** The real broker on a simulated world, which may be stopped, killed and started again. */
export class FuzzWorld {
  #clock = new SimClock();
  #disk = new SimDisk({ clock: this.#clock });
  #checkpoints = new MemoryCheckpoint();
  #cistern = this.#made();

  static async start(): Promise<FuzzWorld> {
    const world = new FuzzWorld();
    await world.#cistern.start(TOML);
    return world;
  }

  connect(): Socket {
    return this.#cistern.network.connect(ADDRESS);
  }

  pass(ms: number): Promise<void> {
    return this.#clock.advance(ms);
  }

  /** `cut` is the power: what was not synced is gone or garbled, by the seed. */
  async restart(how: 'stopped' | 'killed' | 'cut', seed: number): Promise<void> {
    if (how === 'stopped') await this.#cistern.stop();
    if (how === 'cut') this.#disk.cut(seed, new SimRandom(seed).pick(CUT_MODES));
    else this.#disk.kill(seed);
    this.#clock = new SimClock({ startMs: this.#clock.monotonicMs() + 1000 });
    this.#disk = this.#disk.reboot({ clock: this.#clock });
    this.#checkpoints = this.#checkpoints.crash();
    this.#cistern = this.#made();
    await this.#cistern.start(TOML);
  }

  stop(): Promise<void> {
    return this.#cistern.stop();
  }

  get status() {
    const { running } = this.#cistern;
    if (running === undefined) throw new Error('the broker is not running');
    return running.status();
  }

  #made(): SimCistern {
    const { clock, volume, checkpoints } = {
      clock: this.#clock,
      volume: this.#disk,
      checkpoints: this.#checkpoints,
    };
    const cistern = new SimCistern({ volume, checkpoints, clock });
    cistern.files['acl'] = ACL;
    return cistern;
  }
}
