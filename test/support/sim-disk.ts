import { CisternError } from '../../src/base/errors.ts';
import type { Volume, VolumeFile } from '../../src/platform/volume.ts';
import type { SimClock } from './sim-clock.ts';
import { type CutMode, type DirectoryChange, DiskImage, FileImage } from './sim-disk-image.ts';
import { SimRandom } from './sim-random.ts';

export type OperationKind =
  | 'create'
  | 'write'
  | 'sync'
  | 'writeDurable'
  | 'rename'
  | 'remove'
  | 'syncDirectory';

/** A mutating call, numbered from 1 in the order of the calls. */
export interface Operation {
  readonly number: number;
  readonly kind: OperationKind;
  /** The file's name, or '' for the directory. */
  readonly name: string;
  /** Where in the file; 0 where the operation writes nothing. */
  readonly offset: number;
  /** Bytes to write; 0 where the operation writes nothing. */
  readonly length: number;
}

/** `SHORT`: half of the data is written, to the cache only, and the call fails as EIO does. */
export type Fault = 'EIO' | 'ENOSPC' | 'EROFS' | 'SHORT';

export interface SimDiskOptions {
  /** Of latencies and of what a failed write leaves behind. Default 1. */
  readonly seed?: number;
  /** Calls take virtual time on it; without one each takes one turn of the real event loop. */
  readonly clock?: SimClock;
  /**
   * What a call does after the power was cut: it fails (the default), so that a test sees who still
   * calls, or it never returns, as in a machine that is gone.
   */
  readonly afterCut?: 'fails' | 'hangs';
  /** What is on the disk at the start; taken over, not copied. Default: an empty directory. */
  readonly image?: DiskImage;
}

interface Call {
  readonly kind: OperationKind;
  readonly name: string;
  readonly takesMs: number;
  readonly offset?: number;
  readonly data?: Uint8Array;
}

interface Effect {
  /** What the call puts in question in a copy of the disk while it is in flight. */
  readonly pend: (image: DiskImage, fileIn: Map<FileImage, FileImage>) => void;
  readonly apply: () => void;
  /** What is left behind where the call fails. */
  readonly fail?: (fault: Fault) => void;
}

/** Virtual milliseconds: a cheap card's flush, and everything else. */
const FLUSH_MS = 2;
const TRANSFER_MS = 0.2;

/**
 * A disk and the directory on it, with a page cache that a power cut empties. See
 * `src/platform/volume.ts` for what is promised; this one keeps exactly that promise and no more.
 *
 * Invariants:
 * - A call takes effect when it completes, never when it is made, so that calls overlap.
 * - After a cut, calls in flight never settle (whoever waited is gone) and later ones reject.
 * - `image()` at any moment is what a cut at that moment starts from.
 */
export class SimDisk implements Volume {
  /** Called when an operation is about to take effect, with it and all others still in flight. */
  onOperation: ((operation: Operation) => void) | undefined;
  /** Uses of the interface that its contract forbids; empty for a correct program. */
  readonly violations: string[] = [];
  readonly #clock: SimClock | undefined;
  readonly #afterCut: 'fails' | 'hangs';
  readonly #random: SimRandom;
  readonly #image: DiskImage;
  readonly #inFlight = new Set<Effect>();
  readonly #writing = new Set<FileImage>();
  readonly #badFiles = new Map<string, Fault>();
  readonly #badReads: { name: string; from: number; to: number }[] = [];
  #operations = 0;
  #openFiles = 0;
  #bytesWritten = 0;
  #crash: { at: number; seed: number; mode: CutMode } | undefined;
  #fault: { at: number; fault: Fault; forever: boolean } | undefined;
  #survivor: DiskImage | undefined;

  constructor(options: SimDiskOptions = {}) {
    this.#random = new SimRandom(options.seed ?? 1);
    this.#clock = options.clock;
    this.#afterCut = options.afterCut ?? 'fails';
    this.#image = options.image ?? new DiskImage();
  }

  /** Mutating calls made so far. */
  get operations(): number {
    return this.#operations;
  }

  /** Handles that were opened and not closed. */
  get openFiles(): number {
    return this.#openFiles;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  get isCut(): boolean {
    return this.#survivor !== undefined;
  }

  /** Cuts the power while operation `at` is in flight, at the moment it would have completed. */
  crashAt(at: number, seed: number, mode: CutMode): void {
    this.#crash = { at, seed, mode };
  }

  /** Cuts the power now. */
  cut(seed: number, mode: CutMode): void {
    this.#survivor = this.image().cut(mode, seed);
  }

  /** Ends the process now, by `kill -9`: the cache survives, and so what is not synced stays so. */
  kill(seed: number): void {
    this.#survivor = this.imageAfterKill(seed);
  }

  /** The disk as a new process finds it. Only after a cut or a kill. */
  reboot(options: { seed?: number; clock?: SimClock } = {}): SimDisk {
    if (this.#survivor === undefined) throw new Error('the power was never cut');
    return new SimDisk({
      ...options,
      afterCut: this.#afterCut,
      image: this.#survivor.copy(),
    });
  }

  /** A copy of the disk, in which everything in flight is pending. */
  image(): DiskImage {
    const { copy, fileIn } = DiskImage.copyWithFiles(this.#image);
    for (const { pend } of this.#inFlight) pend(copy, fileIn);
    return copy;
  }

  /** A copy of the disk as `kill -9` leaves it: each call in flight has reached the cache or not. */
  imageAfterKill(seed: number): DiskImage {
    const random = new SimRandom(seed);
    const { copy, fileIn } = DiskImage.copyWithFiles(this.#image);
    for (const { pend } of this.#inFlight) {
      if (random.chance(0.7)) pend(copy, fileIn);
    }
    return copy;
  }

  /** Makes operation `at` fail, and with `forever` every later one too. */
  failAt(at: number, fault: Fault, forever = false): void {
    this.#fault = { at, fault, forever };
  }

  /** Every operation on this one file fails from now on, as on a worn block. */
  failFile(name: string, fault: Fault): void {
    this.#badFiles.set(name, fault);
  }

  /** The device is repaired: operations and reads succeed again. */
  heal(): void {
    this.#fault = undefined;
    this.#badFiles.clear();
    this.#badReads.length = 0;
  }

  /** Reads that touch bytes [from, to) of the file fail. */
  failReads(name: string, from: number, to: number): void {
    this.#badReads.push({ name, from, to });
  }

  async list(): Promise<string[]> {
    await this.#pause(TRANSFER_MS);
    return this.#image.names();
  }

  async create(name: string): Promise<VolumeFile> {
    const file = new FileImage();
    await this.#changeDirectory({ kind: 'create', name, file });
    return this.#handle(name, file, true);
  }

  async open(name: string, mode: 'read' | 'write'): Promise<VolumeFile> {
    await this.#pause(TRANSFER_MS);
    const file = this.#image.visible.get(name);
    if (file === undefined) throw failed(`there is no file ${name}`);
    return this.#handle(name, file, mode === 'write');
  }

  async remove(name: string): Promise<void> {
    await this.#changeDirectory({ kind: 'remove', name });
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#changeDirectory({ kind: 'rename', from, to });
  }

  async syncDirectory(): Promise<void> {
    const count = this.#image.pending.length;
    await this.#operate(
      { kind: 'syncDirectory', name: '', takesMs: FLUSH_MS },
      {
        pend: () => undefined,
        apply: () => this.#image.syncDirectory(count),
      },
    );
  }

  #handle(name: string, file: FileImage, writable: boolean): VolumeFile {
    this.#openFiles += 1;
    let open = true;
    const check = (writes: boolean): void => {
      if (!open) throw failed(`${name} is closed`);
      if (writes && !writable) throw failed(`${name} is open for reading only`);
    };
    return {
      size: async () => {
        check(false);
        await this.#pause(TRANSFER_MS);
        return file.size;
      },
      read: async (offset, target) => {
        check(false);
        await this.#pause(TRANSFER_MS);
        this.#checkReadable(name, offset, Math.min(offset + target.length, file.size));
        return file.read(offset, target);
      },
      write: async (offset, data) => {
        check(true);
        await this.#write(name, file, offset, data);
      },
      sync: async () => {
        check(false);
        await this.#sync(name, file);
      },
      writeDurable: async (offset, data) => {
        check(true);
        await this.#writeDurable(name, file, offset, data);
      },
      close: async () => {
        check(false);
        open = false;
        this.#openFiles -= 1;
        await this.#pause(0);
      },
    };
  }

  async #write(name: string, file: FileImage, offset: number, data: Uint8Array): Promise<void> {
    await this.#exclusively(name, file, () =>
      this.#operate(
        { kind: 'write', name, offset, data, takesMs: TRANSFER_MS },
        {
          pend: (_, fileIn) => fileIn.get(file)?.write(offset, data),
          apply: () => file.write(offset, data),
          fail: (fault) => {
            if (fault === 'SHORT') file.write(offset, data.subarray(0, data.length >>> 1));
          },
        },
      ),
    );
  }

  async #sync(name: string, file: FileImage): Promise<void> {
    const covered = file.beginSync();
    await this.#operate(
      { kind: 'sync', name, takesMs: FLUSH_MS },
      {
        pend: () => undefined,
        apply: () => file.endSync(covered),
        fail: () => file.failSync(),
      },
    );
  }

  async #writeDurable(
    name: string,
    file: FileImage,
    offset: number,
    data: Uint8Array,
  ): Promise<void> {
    await this.#exclusively(name, file, () =>
      this.#operate(
        { kind: 'writeDurable', name, offset, data, takesMs: FLUSH_MS },
        {
          pend: (_, fileIn) => fileIn.get(file)?.write(offset, data),
          apply: () => file.writeDurable(offset, data),
          fail: (fault) => {
            // After EIO or a short transfer a part may be there, in the cache or on the medium.
            if (fault === 'ENOSPC' || fault === 'EROFS') return;
            const part = data.subarray(0, this.#random.below(data.length + 1));
            if (this.#random.chance(0.5)) file.writeDurable(offset, part);
            else file.write(offset, part);
          },
        },
      ),
    );
  }

  /** "At most one write is in flight per file" and its data must not change until it returns. */
  async #exclusively(name: string, file: FileImage, write: () => Promise<void>): Promise<void> {
    if (this.#writing.has(file)) this.violations.push(`two writes in flight on ${name}`);
    this.#writing.add(file);
    try {
      await write();
    } finally {
      this.#writing.delete(file);
    }
  }

  async #changeDirectory(change: DirectoryChange): Promise<void> {
    const name = change.kind === 'rename' ? change.from : change.name;
    await this.#operate(
      { kind: change.kind, name, takesMs: TRANSFER_MS },
      {
        pend: (image) => {
          if (refusal(image, change) !== undefined) return;
          image.change(change.kind === 'create' ? { ...change, file: change.file.copy() } : change);
        },
        apply: () => {
          const reason = refusal(this.#image, change);
          if (reason !== undefined) throw failed(reason);
          this.#image.change(change);
        },
      },
    );
  }

  async #operate(call: Call, effect: Effect): Promise<void> {
    this.#operations += 1;
    const operation: Operation = {
      number: this.#operations,
      kind: call.kind,
      name: call.name,
      offset: call.offset ?? 0,
      length: call.data?.length ?? 0,
    };
    this.#inFlight.add(effect);
    await this.#pause(call.takesMs);
    this.onOperation?.(operation);
    if (this.#crash?.at === operation.number) {
      this.cut(this.#crash.seed, this.#crash.mode);
      await never();
    }
    this.#inFlight.delete(effect);
    const fault = this.#faultFor(operation);
    if (fault !== undefined) {
      effect.fail?.(fault);
      throw failure(fault, `${call.kind} ${call.name}`);
    }
    effect.apply();
    this.#bytesWritten += operation.length;
  }

  #faultFor(operation: Operation): Fault | undefined {
    const bad = this.#badFiles.get(operation.name);
    if (bad !== undefined) return bad;
    if (this.#fault === undefined || operation.number < this.#fault.at) return undefined;
    const { fault, forever } = this.#fault;
    if (!forever) this.#fault = undefined;
    return fault;
  }

  #checkReadable(name: string, from: number, to: number): void {
    for (const bad of this.#badReads) {
      if (bad.name === name && from < bad.to && bad.from < to) {
        throw failure('EIO', `read ${name} at ${from}`);
      }
    }
  }

  /** Passes the time a call takes; does not return once the power is gone. */
  async #pause(takesMs: number): Promise<void> {
    if (this.isCut && this.#afterCut === 'hangs') await never();
    if (this.isCut) throw failed('the power is cut');
    const clock = this.#clock;
    await new Promise<void>((resolve) => {
      if (clock === undefined) setImmediate(resolve);
      else clock.after(takesMs * (0.5 + this.#random.fraction()), resolve);
    });
    if (this.isCut) await never();
  }
}

/** Why the directory as it is does not allow the change; undefined when it does. */
function refusal(image: DiskImage, change: DirectoryChange): string | undefined {
  if (change.kind === 'create') {
    return image.visible.has(change.name) ? `${change.name} exists already` : undefined;
  }
  const name = change.kind === 'rename' ? change.from : change.name;
  return image.visible.has(name) ? undefined : `there is no file ${name}`;
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

function failed(message: string): CisternError {
  return new CisternError('DEVICE_FAILED', message);
}

function failure(fault: Fault, what: string): CisternError {
  const system = fault === 'SHORT' ? 'short transfer' : fault;
  const cause = new Error(`${system}: ${what}`);
  if (fault === 'ENOSPC') return new CisternError('DEVICE_FULL', 'no space is left', { cause });
  if (fault === 'EROFS') return new CisternError('DATA_UNWRITABLE', 'it is read-only', { cause });
  return new CisternError('DEVICE_FAILED', `the device failed: ${what}`, { cause });
}
