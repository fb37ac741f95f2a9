import { describe, expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../support/sim-cistern.ts';
import { SimClock } from '../support/sim-clock.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { CUT_MODES, type CutMode } from '../support/sim-disk-image.ts';
import { StoringPublisher, StoringSubscriber } from './broker-peers.ts';

/**
 * The whole broker on a disk that loses power at every operation in turn, with peers that keep to
 * the protocol. What they must see whatever happens is in `verify`.
 */
class BrokerWorld {
  readonly publisher = new StoringPublisher('publisher');
  /** There all the time: hears QoS 1 from memory, before it is durable. */
  readonly subscriber = new StoringSubscriber('subscriber', 'm/#');
  /** Subscribes, leaves, and comes back when all is over: gets everything from the ring. */
  readonly absent = new StoringSubscriber('absent', 'm/#');
  #disk = new SimDisk({ clock: new SimClock() });
  #checkpoints: MemoryCheckpoint;
  #clock: SimClock;
  cistern: SimCistern;
  readonly #losesCheckpoint: boolean;

  constructor(losesCheckpoint: boolean) {
    this.#losesCheckpoint = losesCheckpoint;
    this.#clock = new SimClock();
    this.#disk = new SimDisk({ clock: this.#clock });
    this.#checkpoints = new MemoryCheckpoint();
    this.cistern = this.#make();
  }

  get operations(): number {
    return this.#disk.operations;
  }

  crashAt(operation: number, seed: number, mode: CutMode): void {
    this.#disk.crashAt(operation, seed, mode);
  }

  cutNow(seed: number, mode: CutMode): void {
    this.#disk.cut(seed, mode);
  }

  get isCut(): boolean {
    return this.#disk.isCut;
  }

  /** The machine starts again on what survived; the peers come back. */
  async reboot(): Promise<void> {
    this.#clock = new SimClock({ startMs: 1000, bootId: `boot-${this.#clock.monotonicMs()}` });
    this.#disk = this.#disk.reboot({ clock: this.#clock });
    const survivor = this.#checkpoints.crash();
    this.#checkpoints = this.#losesCheckpoint ? new MemoryCheckpoint() : survivor;
    this.cistern = this.#make();
    await this.cistern.start();
    this.subscriber.connect(this.cistern);
    this.publisher.connect(this.cistern);
    await this.step();
  }

  async step(): Promise<void> {
    for (let i = 0; i < 6 && !this.isCut; i++) {
      await this.cistern.settle(2);
      this.subscriber.work();
      this.absent.work();
    }
  }

  /** Both subscribers are known to the broker, and the second has left. */
  async prepare(): Promise<void> {
    if (!this.absent.subscribed) this.absent.connect(this.cistern);
    for (let i = 0; i < 10 && !this.isCut; i++) {
      await this.step();
      if (this.absent.subscribed && this.subscriber.subscribed) break;
    }
    this.absent.disconnect();
    await this.step();
  }

  async start(): Promise<void> {
    await this.cistern.start();
    this.subscriber.connect(this.cistern);
    this.publisher.connect(this.cistern);
  }

  #make(): SimCistern {
    return new SimCistern({
      volume: this.#disk,
      checkpoints: this.#checkpoints,
      clock: this.#clock,
    });
  }
}

const ROUNDS = 8;

/** Publishes everything there is to try; stops early when the power goes. */
async function publishRounds(world: BrokerWorld, from: number, count: number): Promise<void> {
  for (let round = from; round < from + count && !world.isCut; round++) {
    const filler = 'x'.repeat((round * 331) % 1500);
    const one = () => world.publisher.publish('m/one', `one-${round}-${filler}`, 1);
    const two = () => world.publisher.publish('m/two', `two-${round}-${filler}`, 2);
    // Acks wait for those before them, so each must be the first one now and then.
    for (const publish of round % 2 === 0 ? [one, two] : [two, one]) publish();
    world.publisher.publish('r/last', `${round}`, 1, true);
    await world.step();
  }
}

async function scenario(world: BrokerWorld): Promise<void> {
  await world.prepare();
  await publishRounds(world, 1, ROUNDS);
}

/** Lets every open hand-shake end, now that the power stays. */
async function drain(world: BrokerWorld): Promise<void> {
  for (let i = 0; i < 50 && world.publisher.openMessages > 0; i++) await world.step();
  for (let i = 0; i < 10; i++) await world.step();
}

async function verify(world: BrokerWorld): Promise<void> {
  const { publisher, subscriber, absent } = world;
  absent.connect(world.cistern);
  for (let i = 0; i < 10; i++) await world.step();
  expect(publisher.openMessages).toBe(0);
  const wanted = publisher.tried.filter(({ topic }) => topic.startsWith('m/'));
  const arrived = (at: StoringSubscriber, qos: number) =>
    at.delivered.filter((message) => message.qos === qos).map(({ payload }) => payload);
  const tried = (qos: number) =>
    wanted.filter((message) => message.qos === qos).map(({ payload }) => payload);
  for (const each of [subscriber, absent]) {
    // QoS 2: each once, in order. The application on the other side hears no repeat at all.
    expect(arrived(each, 2)).toEqual(tried(2));
    // QoS 1: each at least once; first arrivals in order.
    expect([...new Set(arrived(each, 1))]).toEqual(tried(1));
  }
  const late = await world.cistern.connected({ clientId: 'late' });
  late.subscribe(1, ['r/last', 1]);
  await world.cistern.settle(50);
  const last = publisher.tried.findLast(({ topic }) => topic === 'r/last');
  expect(late.received.map(({ payload }) => payload)).toEqual(last ? [last.payload] : []);
  await world.cistern.stop();
}

async function operationsOf(): Promise<{ first: number; total: number }> {
  const world = new BrokerWorld(false);
  await world.start();
  const first = world.operations;
  await scenario(world);
  const total = world.operations;
  await world.cistern.stop();
  return { first, total };
}

async function cutAndVerify(
  operation: number,
  seed: number,
  mode: CutMode,
  losesCheckpoint: boolean,
): Promise<void> {
  const world = new BrokerWorld(losesCheckpoint);
  await world.start();
  world.crashAt(operation, seed, mode);
  await scenario(world);
  // A run may need an operation less than the one that counted them; then the cut comes at the end.
  if (!world.isCut) world.cutNow(seed, mode);
  await world.reboot();
  await world.prepare();
  await drain(world);
  // Identifiers are used again: what a release lost would show now.
  await publishRounds(world, 100, 3);
  await drain(world);
  await verify(world);
}

describe('the broker, its power cut at every operation', () => {
  for (const losesCheckpoint of [false, true]) {
    const name = losesCheckpoint ? 'with the checkpoint lost as well' : 'with its checkpoint';
    test(`${name}: QoS 2 exactly once, QoS 1 at least once, the retained value the last`, async () => {
      const { first, total } = await operationsOf();
      expect(total - first).toBeGreaterThan(20);
      for (let operation = first + 1; operation <= total; operation++) {
        const mode = CUT_MODES[operation % CUT_MODES.length] as CutMode;
        const label = `operation ${operation}, ${mode}`;
        await cutAndVerify(operation, operation * 31, mode, losesCheckpoint).catch((error) => {
          throw new Error(`${label}: ${(error as Error).message}`, { cause: error });
        });
      }
    }, 60_000);
  }
});
