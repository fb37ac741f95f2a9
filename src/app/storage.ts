import { assert } from '../base/assert.ts';
import { CisternError } from '../base/errors.ts';
import type { Config } from '../config/types.ts';
import { decodeControl, encodeControl } from '../metadata/control-record.ts';
import { meterCheckpoints } from '../metadata/metered-checkpoint.ts';
import { StateStore } from '../metadata/state-store.ts';
import type { CheckpointStore, ControlLog } from '../metadata/types.ts';
import type { Timer } from '../platform/clock.ts';
import { openRing } from '../ring/ring.ts';
import type { Evacuator, RecordView, Ring } from '../ring/types.ts';
import { RecordFlag, STATE_PARTITION_ID } from '../ring/types.ts';
import { savedCursors } from '../uplink/cursor-store.ts';
import type { DataPlace } from './data-place.ts';
import type { Environment } from './environment.ts';

const NO_BYTES = new Uint8Array(0);
/** A start reads at most about this much of the ring to catch up with the checkpoint. */
const CHECKPOINT_EVERY_BYTES = 32 * 1024 * 1024;
const CHECKPOINT_CHECK_MS = 5_000;

/** The ring, the state over it, and the checkpoint, opened together and closed in reverse order. */
export class Storage {
  readonly ring: Ring;
  readonly state: StateStore;
  readonly checkpoints: CheckpointStore;
  readonly place: DataPlace;
  readonly #environment: Environment;
  #timer: Timer | undefined;
  #checkpointedBytes = 0;
  #tailLost = false;

  private constructor(
    ring: Ring,
    state: StateStore,
    checkpoints: CheckpointStore,
    place: DataPlace,
    environment: Environment,
  ) {
    this.ring = ring;
    this.state = state;
    this.checkpoints = checkpoints;
    this.place = place;
    this.#environment = environment;
  }

  /** Recovers the ring and takes up the checkpoint; `replay` then joins the two. */
  static async open(config: Config, environment: Environment, place: DataPlace): Promise<Storage> {
    const { clock, random, crc32, compressor, logger } = environment;
    const { path, sizeBytes, segmentSizeBytes, maxCommitWindowMs, wear } = config.storage;
    const volume = await environment.openVolume(path, 'ring');
    await settle(place, environment);
    const ring = await openRing({
      volume,
      clock,
      random,
      crc32,
      compressor,
      logger: logger.child('ring'),
      sizeBytes,
      segmentSizeBytes,
      maxCommitWindowMs,
      budgetBytesPerDay: wear.budgetBytesPerDay,
      compress: true,
      onProgress: environment.onProgress,
    });
    const stateVolume = await environment.openVolume(path, 'state');
    const store = await environment.openCheckpoints(path, stateVolume);
    const checkpoints = meterCheckpoints(store, (bytes) => ring.payFor(bytes));
    const log = controlLog(ring, config.storage.onFailure === 'memory');
    const state = new StateStore({ log, checkpoints, clock, logger, ringId: ring.ringId });
    return new Storage(ring, state, checkpoints, place, environment);
  }

  /**
   * Reads what the checkpoint does not cover: control records go to the state, the others that
   * matter to `onRecord`. Then the ring takes appends, and `evacuator` decides what is carried.
   * `onStarted` is called in the same turn: recycling begins at once, and whoever decides for it must
   * know by then what is still needed.
   */
  async replay(
    onRecord: (record: RecordView) => void,
    evacuator: Omit<Evacuator, 'checkpoint'>,
    onStarted: () => void,
  ): Promise<void> {
    const { ring, state } = this;
    const { clock, logger } = this.#environment;
    const startedMs = clock.monotonicMs();
    this.#raiseSequence();
    const { sequence } = state.load();
    this.#raiseTails();
    const anyFlag = RecordFlag.control | RecordFlag.retained | RecordFlag.receipt;
    let count = 0;
    for await (const records of ring.scan({ fromSequence: sequence + 1, anyFlag })) {
      for (const record of records) this.#replayOne(record, onRecord);
      count += records.length;
    }
    const durationMs = clock.monotonicMs() - startedMs;
    logger.info('state.replayed', { records: count, fromSequence: sequence + 1, durationMs });
    ring.start({
      release: (held, fruitlessLaps) => evacuator.release(held, fruitlessLaps),
      keeps: (record) => evacuator.keeps(record),
      copiedFlags: (record) => evacuator.copiedFlags?.(record) ?? record.flags,
      decide: (record) => {
        if (record.partitionId !== STATE_PARTITION_ID) return evacuator.decide(record);
        const { key } = decodeControl(record.payload);
        return state.isLive(key, record.offset, record.carried) ? 'carry' : 'drop';
      },
      checkpoint: (covered) => state.checkpointCovering(covered),
    });
    state.pay();
    onStarted();
    this.#checkpointNowAndThen();
  }

  /** True when the checkpoint knew of records that the ring has not got any more. */
  get tailLost(): boolean {
    return this.#tailLost;
  }

  /**
   * Commits and checkpoints what is there, then closes. A checkpoint that cannot be written costs
   * the next start some time and nothing else, so it is a warning.
   */
  async close(): Promise<void> {
    this.#timer?.cancel();
    if (!this.ring.failed && (await this.ring.flushOrGiveUp())) {
      await this.state.close().catch((error: unknown) => this.#checkpointFailed(error));
    }
    await this.ring.close();
    await this.checkpoints.close();
  }

  /** The checkpoint was durable after the ring was: where it is ahead, the ring has lost its tail. */
  #raiseSequence(): void {
    const checkpoint = this.checkpoints.load();
    const sequence = checkpoint?.ringId === this.ring.ringId ? checkpoint.sequence : 0;
    if (sequence <= this.ring.lastSequence) return;
    this.#tailLost = true;
    this.ring.ensureSequence(sequence);
  }

  /** An offset that an upstream has acknowledged is never given out again. */
  #raiseTails(): void {
    for (const { partitionId, offset } of savedCursors(this.state)) {
      const tail = this.ring.partition(partitionId)?.tailOffset;
      if (tail === undefined || offset <= tail) continue;
      this.#tailLost = true;
      this.ring.ensureTail(partitionId, offset);
    }
  }

  #replayOne(record: RecordView, onRecord: (record: RecordView) => void): void {
    if ((record.flags & RecordFlag.control) === 0) {
      onRecord(record);
      return;
    }
    const { key, value } = decodeControl(record.payload);
    this.state.replay(key, value, record.offset, record.sequence);
  }

  /** So that a start after a long time of plain messages has little to scan. */
  #checkpointNowAndThen(): void {
    this.#timer = this.#environment.clock.after(CHECKPOINT_CHECK_MS, () => {
      this.#checkpointNowAndThen();
      const { flashBytes } = this.ring.statistics();
      if (this.ring.failed || flashBytes - this.#checkpointedBytes < CHECKPOINT_EVERY_BYTES) return;
      this.#checkpointedBytes = flashBytes;
      this.state.checkpoint().catch((error: unknown) => this.#checkpointFailed(error));
    });
  }

  #checkpointFailed(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#environment.logger.warn('checkpoint.failed', { error: message });
  }
}

/** Says what is doubtful about the place, and makes the best of it while the ring is not made yet. */
async function settle(place: DataPlace, { disks, logger }: Environment): Promise<void> {
  const { ringPath, warnings, copiesOnWrite, plan } = place;
  for (const { code, message, remedy } of warnings) {
    logger.warn(code, { path: ringPath, meaning: message, remedy });
  }
  if (!copiesOnWrite || plan.kind !== 'makes') return;
  if (await disks.stopCopyOnWrite(ringPath)) {
    logger.info('storage.nocow_set', { path: ringPath });
  } else {
    const remedy = `Stop it, empty ${ringPath}, type: chattr +C ${ringPath}`;
    logger.warn('storage.nocow_failed', { path: ringPath, remedy });
  }
}

/** The partition `$state` as the state store writes to it. */
function controlLog(ring: Ring, mayUseMemory: boolean): ControlLog {
  return {
    append(key, value, rides) {
      if (ring.failed) return undefined;
      const payload = encodeControl(key, value);
      const sequence = appendControl(ring, payload, rides);
      if (sequence === undefined) return undefined;
      const info = ring.partition(STATE_PARTITION_ID);
      assert(info !== undefined, 'the partition $state always exists');
      return { offset: info.tailOffset - 1, sequence };
    },
    whenDurable: (sequence) =>
      ring.durableSequence >= sequence
        ? Promise.resolve()
        : new Promise((resolve) => ring.whenDurable({ onDurable: () => resolve() })),
    onRoom: (fn) => ring.onAccepting(fn, true),
    get isSuspended() {
      return mayUseMemory && ring.failed;
    },
    get lastSequence() {
      return ring.lastSequence;
    },
    get checkpointSequence() {
      return ring.checkpointSequence;
    },
  };
}

/** Undefined where the ring has not even room for what is small. */
function appendControl(ring: Ring, payload: Uint8Array, rides: boolean): number | undefined {
  try {
    return ring.append({
      partitionId: STATE_PARTITION_ID,
      source: null,
      flags: RecordFlag.control,
      attributes: NO_BYTES,
      payload,
      rides,
    });
  } catch (error) {
    if (error instanceof CisternError && error.code === 'RING_FULL') return undefined;
    throw error;
  }
}
