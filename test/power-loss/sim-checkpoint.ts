import type { SimClock } from '../support/sim-clock.ts';
import type { CutMode } from '../support/sim-disk-image.ts';
import { SimRandom } from '../support/sim-random.ts';
import type { Entry } from './ledger.ts';

/** Every control record up to `sequence`, folded; never a place on flash. */
export interface CheckpointState {
  /** A checkpoint of another ring says nothing about this one. */
  readonly ringId: string;
  readonly sequence: number;
  readonly controls: ReadonlyMap<string, Entry>;
  /** `tailOffset` of each partition, so that a damaged ring never gives an offset out twice. */
  readonly tails: ReadonlyMap<number, number>;
}

/** The store at one moment, with the transaction that was on its way. */
export interface CheckpointMoment {
  readonly durable: CheckpointState | undefined;
  readonly inFlight: CheckpointState | undefined;
}

/** Virtual; now and then a flush takes as long as a busy card makes it. */
const QUICK_COMMIT_MS = 5;
const SLOW_COMMIT_MS = 400;

/**
 * A transactional store in which a commit lasts only once its flush has returned. Transactions are
 * flushed one after the other, in the order they were begun.
 */
export class SimCheckpoint {
  /** Called when a commit is about to become durable. */
  onCommit: (() => void) | undefined;
  readonly #clock: SimClock;
  readonly #random: SimRandom;
  #durable: CheckpointState | undefined;
  #inFlight: CheckpointState | undefined;
  #previous: Promise<void> = Promise.resolve();

  constructor(clock: SimClock, durable: CheckpointState | undefined, seed: number) {
    this.#clock = clock;
    this.#random = new SimRandom(seed);
    this.#durable = durable;
  }

  load(): CheckpointState | undefined {
    return this.#durable;
  }

  moment(): CheckpointMoment {
    return { durable: this.#durable, inFlight: this.#inFlight };
  }

  commit(state: CheckpointState): Promise<void> {
    this.#previous = this.#previous.then(() => this.#flush(state));
    return this.#previous;
  }

  async #flush(state: CheckpointState): Promise<void> {
    this.#inFlight = state;
    await new Promise<void>((resolve) => {
      this.#clock.after(this.#random.chance(0.4) ? SLOW_COMMIT_MS : QUICK_COMMIT_MS, resolve);
    });
    this.onCommit?.();
    this.#durable = state;
    this.#inFlight = undefined;
  }
}

/** What the store holds after a power cut: a transaction is there whole, or not at all. */
export function checkpointAfterCut(
  moment: CheckpointMoment,
  mode: CutMode,
  seed: number,
): CheckpointState | undefined {
  if (moment.inFlight === undefined || mode === 'none') return moment.durable;
  if (mode === 'all') return moment.inFlight;
  return new SimRandom(seed).chance(0.5) ? moment.inFlight : moment.durable;
}
