import { describe, expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../support/sim-cistern.ts';
import { SimClock } from '../support/sim-clock.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { CUT_MODES } from '../support/sim-disk-image.ts';
import { SimRandom } from '../support/sim-random.ts';
import { StoringPublisher } from './broker-peers.ts';
import { GroupMember, type Willingness } from './group-member.ts';

const FILTER = '$share/workers/m/#';
/** Nothing is to be lost to rotation. */
const CONFIG = '[storage]\nsize = "8MiB"\nsegment = "256KiB"\n';
const LIVES = 4;
const TICKS = 20;
const WILLINGNESS: readonly Willingness[] = ['all', 'pubrec', 'pubrec', 'nothing'];

/**
 * A group whose members come and go, some slow to answer, and a broker that is killed or loses power
 * again and again, all by one seed.
 */
class ChurnWorld {
  readonly publisher = new StoringPublisher('publisher');
  readonly members: readonly GroupMember[];
  readonly #random: SimRandom;
  /** Whether members give up their sessions now and then. */
  readonly #endsSessions: boolean;
  #clock = new SimClock();
  #disk = new SimDisk({ clock: this.#clock });
  #checkpoints = new MemoryCheckpoint();
  #published = 0;
  cistern = this.#make();

  constructor(seed: number, endsSessions: boolean) {
    this.#random = new SimRandom(seed);
    this.#endsSessions = endsSessions;
    this.members = ['a', 'b', 'c'].map(
      (clientId) => new GroupMember(clientId, FILTER, this.#random.pick([2, 5, 20])),
    );
  }

  /** All are there once, so that the group lasts. */
  async begin(): Promise<void> {
    await this.cistern.start(CONFIG);
    for (const member of this.members) member.connect(this.cistern);
    this.publisher.connect(this.cistern);
    await this.settle(50);
  }

  async live(): Promise<void> {
    const random = this.#random;
    for (let tick = 0; tick < TICKS; tick++) {
      for (let i = random.below(random.pick([1, 3, 12, 60])); i > 0; i--) this.#publish();
      if (random.chance(0.4)) this.#churn(random.pick(this.members));
      // Cursors that moved are saved after seconds, checkpoints are written after a minute.
      await this.settle(random.chance(0.03) ? random.pick([8_000, 70_000]) : 1 + random.below(8));
    }
  }

  async settle(ms: number): Promise<void> {
    const fine = Math.min(ms, 12);
    for (let i = 0; i < fine; i++) {
      await this.cistern.settle(i === 0 ? ms - fine + 1 : 1);
      for (const member of this.members) member.work();
    }
  }

  async die(): Promise<void> {
    const random = this.#random;
    const seed = random.uint32();
    const isStopped = random.chance(0.1);
    if (isStopped) await this.cistern.stop();
    if (isStopped || random.chance(0.5)) this.#disk.kill(seed);
    else this.#disk.cut(seed, random.pick(CUT_MODES));
    this.#clock = new SimClock({ startMs: this.#clock.monotonicMs() + 1_000 });
    this.#disk = this.#disk.reboot({ clock: this.#clock });
    const survivor = this.#checkpoints.crash();
    this.#checkpoints = random.chance(0.2) ? new MemoryCheckpoint() : survivor;
    for (const member of this.members) member.drop();
    this.cistern = this.#make();
    await this.cistern.start(CONFIG);
    this.publisher.connect(this.cistern);
    // Whoever comes first ends its hand-shakes while the ring is read for the group.
    const first = random.pick(this.members);
    first.willingness = 'all';
    first.connect(this.cistern);
  }

  /** Everybody is there and answers, until nothing is left to do. */
  async finish(): Promise<void> {
    for (const member of this.members) {
      member.willingness = 'all';
      member.drop();
      member.connect(this.cistern);
    }
    for (let quiet = 0, rounds = 0, before = -1; quiet < 10; rounds++) {
      if (rounds > 500) throw new Error('it does not come to rest');
      await this.settle(40);
      const now = this.arrived(1).length + this.arrived(2).length;
      quiet = now === before && this.publisher.openMessages === 0 ? quiet + 1 : 0;
      before = now;
    }
    await this.cistern.stop();
  }

  arrived(qos: number): string[] {
    const all = this.members.flatMap(({ delivered }) => delivered);
    return all.filter((message) => message.qos === qos).map(({ payload }) => payload);
  }

  #publish(): void {
    this.#published++;
    const qos = this.#random.chance(0.7) ? 2 : 1;
    this.publisher.publish(`m/${this.#random.below(3)}`, `${qos}-${this.#published}`, qos);
  }

  #churn(member: GroupMember): void {
    const random = this.#random;
    if (random.chance(0.4)) {
      member.willingness = random.pick(WILLINGNESS);
    } else {
      // Otherwise the next connection takes the session over from this one.
      if (random.chance(0.8)) member.drop();
      const anew = this.#endsSessions && random.chance(0.3);
      if (random.chance(0.6)) member.connect(this.cistern, anew);
    }
  }

  #make(): SimCistern {
    return new SimCistern({
      volume: this.#disk,
      checkpoints: this.#checkpoints,
      clock: this.#clock,
    });
  }
}

async function run(seed: number, endsSessions: boolean): Promise<ChurnWorld> {
  const world = new ChurnWorld(seed, endsSessions);
  await world.begin();
  for (let life = 0; life < LIVES; life++) {
    await world.live();
    await world.die();
  }
  await world.live();
  await world.finish();
  return world;
}

function repeated(payloads: readonly string[]): string[] {
  return payloads.filter((payload, at) => payloads.indexOf(payload) !== at);
}

const SEEDS = Array.from({ length: 12 }, (_, index) => index + 1);

describe('a shared subscription whose members come and go, the broker killed again and again', () => {
  test.each(SEEDS)('QoS 2 by one member once, QoS 1 by some member; seed %i', async (seed) => {
    const world = await run(seed, false);
    const tried = (qos: number) =>
      world.publisher.tried.filter((message) => message.qos === qos).map(({ payload }) => payload);
    const [atLeastOnce, once] = [world.arrived(1), world.arrived(2)];
    expect(repeated(once)).toEqual([]);
    expect(once.sort()).toEqual(tried(2).sort());
    expect([...new Set(atLeastOnce)].sort()).toEqual(tried(1).sort());
  });

  test.each(SEEDS)('what ends with a session is for nobody else; seed %i', async (seed) => {
    const world = await run(seed, true);
    expect(repeated(world.arrived(2))).toEqual([]);
  });
});
