import { describe, expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../support/sim-cistern.ts';
import { SimClock } from '../support/sim-clock.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { CUT_MODES, type CutMode } from '../support/sim-disk-image.ts';
import { StoringPublisher, StoringSubscriber } from './broker-peers.ts';

const FILTER = '$share/workers/m/#';
const ROUNDS = 6;

/** A group of two durable members, of whom one is away while the power goes. */
class SharedWorld {
  readonly publisher = new StoringPublisher('publisher');
  readonly steady = new StoringSubscriber('steady', FILTER);
  readonly absent = new StoringSubscriber('absent', FILTER);
  readonly #losesCheckpoint: boolean;
  #clock = new SimClock();
  #disk = new SimDisk({ clock: this.#clock });
  #checkpoints = new MemoryCheckpoint();
  cistern = this.#make();

  constructor(losesCheckpoint: boolean) {
    this.#losesCheckpoint = losesCheckpoint;
  }

  get disk(): SimDisk {
    return this.#disk;
  }

  async start(): Promise<void> {
    await this.cistern.start();
    for (const peer of [this.steady, this.absent, this.publisher]) peer.connect(this.cistern);
  }

  async reboot(): Promise<void> {
    this.#clock = new SimClock({ bootId: `boot-${this.#clock.monotonicMs()}` });
    this.#disk = this.#disk.reboot({ clock: this.#clock });
    const survivor = this.#checkpoints.crash();
    this.#checkpoints = this.#losesCheckpoint ? new MemoryCheckpoint() : survivor;
    this.cistern = this.#make();
    await this.start();
  }

  async step(times = 1): Promise<void> {
    for (let i = 0; i < 6 * times && !this.#disk.isCut; i++) {
      await this.cistern.settle(2);
      this.steady.work();
      this.absent.work();
    }
  }

  /** The absent member leaves in the middle, with whatever it has in flight. */
  async publishRounds(from: number, count: number): Promise<void> {
    for (let round = from; round < from + count && !this.#disk.isCut; round++) {
      if (round === from + Math.floor(count / 2)) this.absent.disconnect();
      for (const each of ['a', 'b']) {
        this.publisher.publish('m/one', `one-${round}-${each}`, 1);
        this.publisher.publish('m/two', `two-${round}-${each}`, 2);
      }
      await this.step();
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

async function scenario(world: SharedWorld): Promise<void> {
  await world.step(3);
  await world.publishRounds(1, ROUNDS);
}

async function verify(world: SharedWorld): Promise<void> {
  const { publisher, steady, absent } = world;
  absent.connect(world.cistern);
  for (let i = 0; i < 30 && publisher.openMessages > 0; i++) await world.step();
  await world.step(10);
  expect(publisher.openMessages).toBe(0);
  for (const qos of [1, 2]) {
    const tried = publisher.tried.filter((message) => message.qos === qos);
    const arrived = [steady, absent].flatMap(({ delivered }) =>
      delivered.filter((message) => message.qos === qos).map(({ payload }) => payload),
    );
    // QoS 2: by one member, once. QoS 1: by some member, at least once.
    const got = qos === 2 ? arrived : [...new Set(arrived)];
    expect(got.sort()).toEqual(tried.map(({ payload }) => payload).sort());
  }
  await world.cistern.stop();
}

async function operationsOf(): Promise<{ first: number; total: number }> {
  const world = new SharedWorld(false);
  await world.start();
  await world.step(3);
  const first = world.disk.operations;
  await world.publishRounds(1, ROUNDS);
  const total = world.disk.operations;
  await world.cistern.stop();
  return { first, total };
}

async function cutAndVerify(operation: number, mode: CutMode, losesCheckpoint: boolean) {
  const world = new SharedWorld(losesCheckpoint);
  await world.start();
  world.disk.crashAt(operation, operation * 17, mode);
  await scenario(world);
  if (!world.disk.isCut) world.disk.cut(operation * 17, mode);
  await world.reboot();
  await world.step(3);
  await world.publishRounds(100, 2);
  await verify(world);
}

describe('a shared subscription, the power cut at every operation', () => {
  for (const losesCheckpoint of [false, true]) {
    const name = losesCheckpoint ? 'with the checkpoint lost as well' : 'with its checkpoint';
    test(`${name}: QoS 2 by one member once, QoS 1 by some member`, async () => {
      const { first, total } = await operationsOf();
      expect(total - first).toBeGreaterThan(15);
      for (let operation = first + 1; operation <= total; operation++) {
        const mode = CUT_MODES[operation % CUT_MODES.length] as CutMode;
        await cutAndVerify(operation, mode, losesCheckpoint).catch((error: unknown) => {
          const { message } = error as Error;
          throw new Error(`operation ${operation}, ${mode}: ${message}`, { cause: error });
        });
      }
    }, 60_000);
  }
});
