import { SimRandom } from './sim-random.ts';

export const SECTOR_BYTES = 512;
const SECTORS_PER_PAGE = 8;

/**
 * What a power cut does to the sectors that were pending, that is written but not yet synced, or
 * in flight:
 * - `all`, `none`: everything had reached the medium, or nothing had.
 * - `subset`: each sector by itself is there or not.
 * - `garbage`: each sector by itself is there, not there, or unreadable nonsense.
 * - `prefix`, `suffix`: only the sectors before, or after, a point in each file.
 * - `first-sector`, `last-sector`: only that sector of each 4 KiB page.
 * - `first-page-garbage`: the first pending page of each file is nonsense, the rest is there.
 */
export const CUT_MODES = [
  'all',
  'none',
  'subset',
  'garbage',
  'prefix',
  'suffix',
  'first-sector',
  'last-sector',
  'first-page-garbage',
] as const;
export type CutMode = (typeof CUT_MODES)[number];

/** Sectors are never changed in place, so copies of a file share them. Undefined reads as zeros. */
type Sectors = (Uint8Array | undefined)[];

/**
 * One file's bytes, as the page cache has them (`visible`) and as the medium has them (`durable`).
 *
 * Invariant: a sector is in `pending` exactly while the cache holds a version of it that a sync
 * would still bring to the medium; the versions are in the order they were written, the newest last.
 */
export class FileImage {
  #visible: Sectors = [];
  #durable: Sectors = [];
  #pending = new Map<number, Uint8Array[]>();
  #visibleSize = 0;
  #durableSize = 0;

  get size(): number {
    return this.#visibleSize;
  }

  copy(): FileImage {
    const copy = new FileImage();
    copy.#visible = this.#visible.slice();
    copy.#durable = this.#durable.slice();
    for (const [sector, versions] of this.#pending) copy.#pending.set(sector, versions.slice());
    copy.#visibleSize = this.#visibleSize;
    copy.#durableSize = this.#durableSize;
    return copy;
  }

  read(offset: number, target: Uint8Array): number {
    const length = Math.max(0, Math.min(target.length, this.#visibleSize - offset));
    let done = 0;
    while (done < length) {
      const sector = Math.floor((offset + done) / SECTOR_BYTES);
      const within = (offset + done) % SECTOR_BYTES;
      const piece = Math.min(SECTOR_BYTES - within, length - done);
      const bytes = this.#visible[sector];
      if (bytes === undefined) target.fill(0, done, done + piece);
      else target.set(bytes.subarray(within, within + piece), done);
      done += piece;
    }
    return length;
  }

  /** Into the page cache only. */
  write(offset: number, data: Uint8Array): void {
    for (const [sector, bytes] of this.#sectorsOf(offset, data)) {
      this.#visible[sector] = bytes;
      const versions = this.#pending.get(sector);
      if (versions === undefined) this.#pending.set(sector, [bytes]);
      else versions.push(bytes);
    }
    this.#visibleSize = Math.max(this.#visibleSize, offset + data.length);
  }

  /** Into the cache and onto the medium; earlier versions of these sectors can no longer land. */
  writeDurable(offset: number, data: Uint8Array): void {
    for (const [sector, bytes] of this.#sectorsOf(offset, data)) {
      this.#visible[sector] = bytes;
      this.#durable[sector] = bytes;
      this.#pending.delete(sector);
    }
    this.#visibleSize = Math.max(this.#visibleSize, offset + data.length);
    this.#durableSize = Math.max(this.#durableSize, offset + data.length);
  }

  /** What a sync that begins now covers: for each sector the number of its versions. */
  beginSync(): { readonly counts: ReadonlyMap<number, number>; readonly size: number } {
    const counts = new Map<number, number>();
    for (const [sector, versions] of this.#pending) counts.set(sector, versions.length);
    return { counts, size: this.#visibleSize };
  }

  endSync(covered: { readonly counts: ReadonlyMap<number, number>; readonly size: number }): void {
    for (const [sector, count] of covered.counts) {
      const versions = this.#pending.get(sector);
      // A writeDurable that ran meanwhile has put a newer version there already.
      if (versions === undefined || versions.length < count) continue;
      this.#durable[sector] = versions[count - 1];
      if (versions.length === count) this.#pending.delete(sector);
      else versions.splice(0, count);
    }
    this.#durableSize = Math.max(this.#durableSize, covered.size);
  }

  /**
   * A sync that failed. Linux marks the pages clean although they never reached the medium, so a
   * later sync that succeeds does not cover them: readable until the power goes, then gone.
   */
  failSync(): void {
    this.#pending.clear();
  }

  /** The file on the medium after a power cut, in a seeded way. */
  cut(mode: CutMode, random: SimRandom): FileImage {
    const after = new FileImage();
    after.#durable = this.#durable.slice();
    const sectors = [...this.#pending.keys()].sort((left, right) => left - right);
    const turn = random.below(sectors.length + 1);
    const firstPage = Math.floor((sectors[0] ?? 0) / SECTORS_PER_PAGE);
    for (const [index, sector] of sectors.entries()) {
      const versions = this.#pending.get(sector) as Uint8Array[];
      const landed = mode === 'all' ? versions.at(-1) : random.pick(versions);
      const fate = sectorFate(mode, { sector, index, turn, firstPage }, random);
      if (fate === 'lands') after.#durable[sector] = landed;
      if (fate === 'garbage') after.#durable[sector] = garbage(random);
    }
    after.#durableSize = this.#sizeAfterCut(mode, random);
    after.#durable.length = Math.min(
      after.#durable.length,
      Math.ceil(after.#durableSize / SECTOR_BYTES),
    );
    after.#visible = after.#durable.slice();
    after.#visibleSize = after.#durableSize;
    return after;
  }

  /** Changes the medium and the cache behind the program's back. */
  damage(offset: number, length: number, change: (byte: number, at: number) => number): void {
    const bytes = new Uint8Array(length);
    this.read(offset, bytes);
    this.writeDurable(
      offset,
      bytes.map((byte, at) => change(byte, at)),
    );
  }

  #sizeAfterCut(mode: CutMode, random: SimRandom): number {
    if (this.#visibleSize <= this.#durableSize || mode === 'none') return this.#durableSize;
    if (mode === 'all') return this.#visibleSize;
    const grown = Math.floor(random.fraction() * (this.#visibleSize - this.#durableSize));
    return random.pick([this.#durableSize, this.#durableSize + grown, this.#visibleSize]);
  }

  *#sectorsOf(offset: number, data: Uint8Array): Iterable<readonly [number, Uint8Array]> {
    let done = 0;
    while (done < data.length) {
      const sector = Math.floor((offset + done) / SECTOR_BYTES);
      const within = (offset + done) % SECTOR_BYTES;
      const piece = Math.min(SECTOR_BYTES - within, data.length - done);
      const bytes = new Uint8Array(SECTOR_BYTES);
      const before = this.#visible[sector];
      if (before !== undefined && piece < SECTOR_BYTES) bytes.set(before);
      bytes.set(data.subarray(done, done + piece), within);
      yield [sector, bytes];
      done += piece;
    }
  }
}

interface SectorPlace {
  readonly sector: number;
  /** Among the pending sectors of its file, in ascending order. */
  readonly index: number;
  /** The seeded point at which `prefix` and `suffix` part. */
  readonly turn: number;
  readonly firstPage: number;
}

function sectorFate(
  mode: CutMode,
  place: SectorPlace,
  random: SimRandom,
): 'lands' | 'vanishes' | 'garbage' {
  switch (mode) {
    case 'all':
      return 'lands';
    case 'none':
      return 'vanishes';
    case 'subset':
      return random.chance(0.5) ? 'lands' : 'vanishes';
    case 'garbage':
      return random.pick(['lands', 'lands', 'vanishes', 'garbage']);
    case 'prefix':
      return place.index < place.turn ? 'lands' : 'vanishes';
    case 'suffix':
      return place.index >= place.turn ? 'lands' : 'vanishes';
    case 'first-sector':
      return place.sector % SECTORS_PER_PAGE === 0 ? 'lands' : 'vanishes';
    case 'last-sector':
      return place.sector % SECTORS_PER_PAGE === SECTORS_PER_PAGE - 1 ? 'lands' : 'vanishes';
    case 'first-page-garbage':
      return Math.floor(place.sector / SECTORS_PER_PAGE) === place.firstPage ? 'garbage' : 'lands';
  }
}

function garbage(random: SimRandom): Uint8Array {
  const kind = random.below(4);
  if (kind === 0) return new Uint8Array(SECTOR_BYTES);
  if (kind === 1) return new Uint8Array(SECTOR_BYTES).fill(0xff);
  return random.bytes(SECTOR_BYTES);
}

/** A change of the directory that is not yet synced. */
export type DirectoryChange =
  | { readonly kind: 'create'; readonly name: string; readonly file: FileImage }
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string };

/** A whole disk: its files, its directory, and what of both a power cut would put in question. */
export class DiskImage {
  readonly visible: Map<string, FileImage>;
  readonly durable: Map<string, FileImage>;
  pending: DirectoryChange[];

  constructor(
    visible: Map<string, FileImage> = new Map(),
    durable: Map<string, FileImage> = new Map(),
    pending: DirectoryChange[] = [],
  ) {
    this.visible = visible;
    this.durable = durable;
    this.pending = pending;
  }

  /** An independent copy; cheap, because sectors are shared. */
  copy(): DiskImage {
    return this.#map((file) => file.copy());
  }

  /** The disk after a power cut: everything that survived is durable, nothing is pending. */
  cut(mode: CutMode, seed: number): DiskImage {
    const random = new SimRandom(seed);
    const names = new Map(this.durable);
    for (const change of this.pending) {
      const lands = mode === 'all' || (mode !== 'none' && random.chance(0.5));
      if (lands) applyChange(names, change);
    }
    const after = new Map<string, FileImage>();
    for (const [name, file] of names) after.set(name, file.cut(mode, random));
    return new DiskImage(after, new Map(after));
  }

  change(change: DirectoryChange): void {
    applyChange(this.visible, change);
    this.pending.push(change);
  }

  /** Brings the first `count` pending changes to the medium. */
  syncDirectory(count: number): void {
    for (const change of this.pending.slice(0, count)) applyChange(this.durable, change);
    this.pending = this.pending.slice(count);
  }

  /** Bytes of a file as a reader would see them. Throws when there is no such file. */
  contents(name: string): Uint8Array {
    const file = this.file(name);
    const bytes = new Uint8Array(file.size);
    file.read(0, bytes);
    return bytes;
  }

  file(name: string): FileImage {
    const file = this.visible.get(name);
    if (file === undefined) throw new Error(`the simulated disk has no file ${name}`);
    return file;
  }

  names(): string[] {
    return [...this.visible.keys()].sort();
  }

  flipBit(name: string, offset: number, bit: number): void {
    this.file(name).damage(offset, 1, (byte) => byte ^ (1 << bit));
  }

  /** Overwrites `length` bytes with seeded nonsense. */
  garble(name: string, offset: number, length: number, seed: number): void {
    const bytes = new SimRandom(seed).bytes(length);
    this.file(name).damage(offset, length, (_, at) => bytes[at] as number);
  }

  #map(copyOf: (file: FileImage) => FileImage): DiskImage {
    const copies = new Map<FileImage, FileImage>();
    const once = (file: FileImage): FileImage => {
      const known = copies.get(file);
      if (known !== undefined) return known;
      const copy = copyOf(file);
      copies.set(file, copy);
      return copy;
    };
    const names = (map: Map<string, FileImage>): Map<string, FileImage> =>
      new Map([...map].map(([name, file]) => [name, once(file)]));
    const pending = this.pending.map((change) =>
      change.kind === 'create' ? { ...change, file: once(change.file) } : change,
    );
    return new DiskImage(names(this.visible), names(this.durable), pending);
  }

  /** A file of this image in `copy`, which must be a copy of this image; for what is in flight. */
  static copyWithFiles(image: DiskImage): { copy: DiskImage; fileIn: Map<FileImage, FileImage> } {
    const fileIn = new Map<FileImage, FileImage>();
    const copy = image.#map((file) => {
      const copied = file.copy();
      fileIn.set(file, copied);
      return copied;
    });
    return { copy, fileIn };
  }
}

function applyChange(names: Map<string, FileImage>, change: DirectoryChange): void {
  if (change.kind === 'create') {
    names.set(change.name, change.file);
    return;
  }
  if (change.kind === 'remove') {
    names.delete(change.name);
    return;
  }
  const file = names.get(change.from);
  // Its creation was lost in the cut, so there is nothing to rename.
  if (file === undefined) return;
  names.delete(change.from);
  names.set(change.to, file);
}
