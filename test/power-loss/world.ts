import { nodeCompressor, nodeCrc32 } from '../../src/platform/node/compression.ts';
import { openRing } from '../../src/ring/ring.ts';
import type { Ring } from '../../src/ring/types.ts';
import { MemoryLogger } from '../support/memory-logger.ts';
import { SimClock } from '../support/sim-clock.ts';
import { SimDisk } from '../support/sim-disk.ts';
import type { CutMode, DiskImage } from '../support/sim-disk-image.ts';
import { SimRandom } from '../support/sim-random.ts';
import { entryOf, Ledger, type LedgerView } from './ledger.ts';
import { observe, type Observation } from './observe.ts';
import { Owner, type OwnerState, recoverOwner } from './owner.ts';
import {
  checkpointAfterCut,
  type CheckpointMoment,
  type CheckpointState,
  SimCheckpoint,
} from './sim-checkpoint.ts';

export const SEGMENT_BYTES = 64 * 1024;
export const SLOTS = 16;

/** Everything a power cut at one moment would leave, and what had been promised by then. */
export interface Moment {
  /** What was about to take effect, for messages. */
  readonly what: string;
  /** The file whose start was written last: the slot of the newest segment. */
  readonly newestSlot: string | undefined;
  readonly disk: DiskImage;
  readonly checkpoint: CheckpointMoment;
  readonly ledger: LedgerView;
  /** `headOffset` of each partition: what lies below was let go by rotation. */
  readonly heads: ReadonlyMap<number, number>;
  /** Bytes by stream. */
  readonly quotas: ReadonlyMap<string, number>;
  /** Slots that the ring was opened with. */
  readonly slots: number;
}

export interface WorldOptions {
  readonly disk?: DiskImage;
  readonly checkpoint?: CheckpointMoment['durable'];
  /** Of the life before, which ended in order: its ledger goes on. */
  readonly ledger?: Ledger;
  /** What the lives before had promised when the power went. */
  readonly before?: LedgerView;
  readonly heads?: ReadonlyMap<number, number>;
  /** Another one means another boot. */
  readonly bootId?: string;
  readonly seed?: number;
  readonly compress?: boolean;
  /** Bytes by stream; the others keep what rotation leaves them. */
  readonly quotas?: ReadonlyMap<string, number>;
  /** Default: {@link SLOTS}. */
  readonly slots?: number;
}

/** One life of the ring: from power on to power off, on its own disk, clock and checkpoint store. */
export class World {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly checkpoint: SimCheckpoint;
  readonly logger = new MemoryLogger();
  readonly moments: Moment[] = [];
  readonly slots: number;
  #ledger: Ledger;
  /** Until `start`, what counts is what earlier lives promised. */
  #before: LedgerView | undefined;
  #newestSlot: string | undefined;
  #ring: Ring | undefined;
  #owner: Owner | undefined;
  #heads: ReadonlyMap<number, number>;
  readonly #quotas: ReadonlyMap<string, number>;
  readonly #options: WorldOptions;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.slots = options.slots ?? SLOTS;
    const seed = options.seed ?? 1;
    this.clock = new SimClock({ bootId: options.bootId ?? 'boot-1' });
    this.disk = new SimDisk({
      seed,
      clock: this.clock,
      ...(options.disk === undefined ? {} : { image: options.disk }),
    });
    this.checkpoint = new SimCheckpoint(this.clock, options.checkpoint, seed);
    this.#ledger = options.ledger ?? new Ledger();
    this.#before = options.before;
    this.#heads = options.heads ?? new Map();
    this.#quotas = options.quotas ?? new Map();
  }

  get ledger(): Ledger {
    return this.#ledger;
  }

  get ring(): Ring {
    if (this.#ring === undefined) throw new Error('the ring is not open');
    return this.#ring;
  }

  get owner(): Owner {
    if (this.#owner === undefined) throw new Error('the ring is not started');
    return this.#owner;
  }

  /** Keeps a moment at every operation from now on. */
  keepMoments(): void {
    this.disk.onOperation = (operation) => {
      this.mark(`${operation.kind} ${operation.name} (${operation.number})`);
      if (operation.kind === 'writeDurable' && operation.offset === 0) {
        this.#newestSlot = operation.name;
      }
    };
    this.checkpoint.onCommit = () => this.mark('checkpoint');
  }

  mark(what: string): void {
    this.moments.push(this.moment(what));
  }

  moment(what: string): Moment {
    return {
      what,
      newestSlot: this.#newestSlot,
      disk: this.disk.image(),
      checkpoint: this.checkpoint.moment(),
      ledger: this.#before ?? this.#ledger.view(),
      heads: this.#currentHeads(),
      quotas: this.#quotas,
      slots: this.slots,
    };
  }

  run<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    return this.clock.runUntil(promise, limitMs);
  }

  async open(): Promise<Ring> {
    const options = {
      volume: this.disk,
      clock: this.clock,
      random: new SimRandom((this.#options.seed ?? 1) + 1),
      crc32: nodeCrc32,
      compressor: nodeCompressor,
      logger: this.logger,
      sizeBytes: this.slots * SEGMENT_BYTES,
      segmentSizeBytes: SEGMENT_BYTES,
      maxCommitWindowMs: 50,
      compress: this.#options.compress ?? true,
    };
    this.#ring = await this.run(openRing(options));
    return this.#ring;
  }

  /** All that the ring shows, read in both ways. */
  observe(): Promise<Observation> {
    return this.run(observe(this.ring));
  }

  /**
   * Recovers the model of the broker from what was observed, and starts the ring with it. After a
   * cut the ledger begins anew with what was shown: that must stay, and nothing else may come back.
   */
  start(observation: Observation): OwnerState {
    const checkpoint = this.#checkpointOfThisRing();
    if (checkpoint !== undefined) {
      this.ring.ensureSequence(checkpoint.sequence);
      // A partition that nothing was ever written to may be gone.
      for (const [id, tail] of checkpoint.tails) if (tail > 0) this.ring.ensureTail(id, tail);
    }
    const state = recoverOwner(checkpoint, observation.scanned);
    if (this.#options.ledger === undefined) this.#ledger = observedLedger(observation, state);
    this.#before = undefined;
    const { ring, clock } = this;
    const quotas = this.#quotas;
    const parts = { ring, clock, ledger: this.#ledger, store: this.checkpoint, quotas };
    this.#owner = new Owner(parts, state);
    this.ring.start(this.#owner);
    return state;
  }

  #checkpointOfThisRing(): CheckpointState | undefined {
    const checkpoint = this.checkpoint.load();
    return checkpoint?.ringId === this.ring.ringId ? checkpoint : undefined;
  }

  #currentHeads(): ReadonlyMap<number, number> {
    if (this.#ring === undefined) return this.#heads;
    return new Map(this.#ring.partitions().map((info) => [info.id, info.headOffset]));
  }
}

function observedLedger(found: Observation, state: OwnerState): Ledger {
  return Ledger.fromObserved([
    ...[...found.read.values()].flat().map(entryOf),
    ...found.scanned.map(entryOf),
    ...state.controls.values(),
    ...state.retained.values(),
  ]);
}

/** The next life after a power cut at the moment. */
export function worldAfterCut(moment: Moment, mode: CutMode, seed: number): World {
  const checkpoint = checkpointAfterCut(moment.checkpoint, mode, seed);
  return new World({
    bootId: 'boot-2',
    seed,
    slots: moment.slots,
    before: moment.ledger,
    disk: moment.disk.cut(mode, seed),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    heads: moment.heads,
    quotas: moment.quotas,
  });
}

/** The next life after a `kill -9` at the moment: what was written is in the page cache, synced or not. */
export function worldAfterKill(moment: Moment): World {
  const checkpoint = moment.checkpoint.durable;
  return new World({
    disk: moment.disk.copy(),
    slots: moment.slots,
    before: moment.ledger,
    heads: moment.heads,
    quotas: moment.quotas,
    ...(checkpoint === undefined ? {} : { checkpoint }),
  });
}
