/**
 * The layout of an LMDB file as the library (lmdb 3.5.6, data version 2) writes it on a little-endian
 * 64-bit machine; the names are those of its `mdb.c`. Positions are bytes from the start of a page.
 */
const PAGE_BYTES = 4096;
const HEADER_BYTES = 24;
const NODE_BYTES = 8;
const OVERFLOW_PLACE_BYTES = 24;
const META_PAGES = 2;
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;

const PageFlag = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 } as const;
/** Of the tree of free pages: integers as keys, and neither duplicates (low byte) nor encryption. */
const FREE_FLAGS = 0x0008;
const FREE_FLAGS_MASK = 0x20ff;
const NODE_IS_BIG = 0x01;
const NO_ROOT = 0xffff_ffff_ffff_ffffn;

/** With two entries a page at least, a deeper tree is larger than any file that is checked here. */
const DEPTH_MAX = 16;

interface Tree {
  readonly flags: number;
  readonly depth: number;
  readonly entries: bigint;
  readonly root: bigint;
}

interface Meta {
  readonly mapBytes: bigint;
  readonly pageBytes: number;
  readonly free: Tree;
  readonly main: Tree;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

/**
 * Why the library must not be let at this file, or undefined. It follows page numbers and positions
 * as it finds them, so that a wrong one ends the process with a signal; LMDB has no checksums. Here
 * each is compared with what is there before anything follows it. Contents are not checked: they
 * have checksums of their own.
 *
 * Takes about 2 ms for each MiB. An empty file is a new one, and sound.
 */
export function structureFault(file: Buffer): string | undefined {
  if (file.length === 0) return undefined;
  if (file.length < META_PAGES * PAGE_BYTES || !isMeta(file, 0) || !isMeta(file, PAGE_BYTES)) {
    return 'it is not an LMDB file';
  }
  const [first, second] = [readMeta(file, 0), readMeta(file, PAGE_BYTES)];
  const meta = second.transaction > first.transaction ? second : first;
  // The library takes some of these from the older one.
  for (const { pageBytes, free } of [first, second]) {
    if (pageBytes !== PAGE_BYTES) return 'its pages have another size';
    if ((free.flags & FREE_FLAGS_MASK) !== FREE_FLAGS) return 'it is of another kind';
  }
  const wantedBytes = (meta.lastPage + 1n) * BigInt(PAGE_BYTES);
  if (wantedBytes > BigInt(file.length)) return 'it was cut off';
  if (wantedBytes > meta.mapBytes) return 'it is larger than it says';
  return new TreeWalk(file, meta).run();
}

function isMeta(file: Buffer, at: number): boolean {
  return (
    file.readUInt16LE(at + 18) === PageFlag.meta &&
    file.readUInt32LE(at + 24) === MAGIC &&
    file.readUInt32LE(at + 28) === DATA_VERSION
  );
}

function readMeta(file: Buffer, at: number): Meta {
  return {
    mapBytes: file.readBigUInt64LE(at + 40),
    pageBytes: file.readUInt32LE(at + 48),
    free: readTree(file, at + 48),
    main: readTree(file, at + 96),
    lastPage: file.readBigUInt64LE(at + 144),
    transaction: file.readBigUInt64LE(at + 152),
  };
}

function readTree(file: Buffer, at: number): Tree {
  return {
    flags: file.readUInt16LE(at + 4),
    depth: file.readUInt16LE(at + 6),
    entries: file.readBigUInt64LE(at + 32),
    root: file.readBigUInt64LE(at + 40),
  };
}

class StructureError extends Error {
  override readonly name = 'StructureError';
}

/** Walks both trees of a file: that of the entries and that of the free pages. */
class TreeWalk {
  readonly #file: Buffer;
  readonly #meta: Meta;
  readonly #seen = new Set<number>();
  #entries = 0n;

  constructor(file: Buffer, meta: Meta) {
    this.#file = file;
    this.#meta = meta;
  }

  run(): string | undefined {
    try {
      this.#tree(this.#meta.main, (at, length) => this.#within(at, length));
      this.#tree(this.#meta.free, (at, length) => this.#freePages(at, length));
      return undefined;
    } catch (error) {
      if (!(error instanceof StructureError)) throw error;
      return error.message;
    }
  }

  #tree(tree: Tree, onValue: (at: number, length: number) => void): void {
    const isMain = tree === this.#meta.main;
    if (isMain && tree.flags !== 0) fail('its entries are of another kind');
    if (tree.depth > DEPTH_MAX) fail('its tree is too deep');
    this.#entries = 0n;
    if (tree.root !== NO_ROOT) this.#page(tree.root, tree.depth, onValue);
    if (this.#entries !== tree.entries) fail('entries are missing');
  }

  /** `depth` counts down to 1 at the leaves. */
  #page(number: bigint, depth: number, onValue: (at: number, length: number) => void): void {
    const at = this.#take(number);
    const flags = this.#file.readUInt16LE(at + 18);
    if (flags !== (depth === 1 ? PageFlag.leaf : PageFlag.branch)) fail(`page ${number} is odd`);
    const lower = this.#file.readUInt16LE(at + 20);
    const upper = this.#file.readUInt16LE(at + 22);
    const room = PAGE_BYTES - HEADER_BYTES;
    if (lower % 2 !== 0 || lower === 0 || lower > upper || upper > room) {
      fail(`page ${number} is odd`);
    }
    for (let pointer = 0; pointer < lower; pointer += 2) {
      const position = this.#file.readUInt16LE(at + HEADER_BYTES + pointer);
      if (position < upper || position + NODE_BYTES > room) fail(`page ${number} is odd`);
      const node = at + HEADER_BYTES + position;
      const end = at + PAGE_BYTES;
      if (depth === 1) this.#leafNode(node, end, onValue);
      else this.#branchNode(node, end, depth, onValue);
    }
  }

  #branchNode(
    node: number,
    end: number,
    depth: number,
    onValue: (at: number, length: number) => void,
  ): void {
    if (node + NODE_BYTES + this.#file.readUInt16LE(node + 6) > end) fail('a key is too long');
    // The flags of a branch's node are the upper bits of the page number.
    const number = BigInt(this.#file.readUIntLE(node, 6));
    this.#page(number, depth - 1, onValue);
  }

  #leafNode(node: number, end: number, onValue: (at: number, length: number) => void): void {
    this.#entries += 1n;
    const length = this.#file.readUInt32LE(node);
    const flags = this.#file.readUInt16LE(node + 4);
    const value = node + NODE_BYTES + this.#file.readUInt16LE(node + 6);
    if ((flags & ~NODE_IS_BIG) !== 0) fail('an entry is of another kind');
    const isBig = flags === NODE_IS_BIG;
    if (value + (isBig ? OVERFLOW_PLACE_BYTES : length) > end) fail('an entry is too long');
    onValue(isBig ? this.#overflow(value, length) : value, length);
  }

  /** Returns where the value is that has pages of its own. */
  #overflow(place: number, length: number): number {
    const first = this.#file.readBigUInt64LE(place);
    const pages = this.#file.readBigUInt64LE(place + 16);
    const at = this.#take(first);
    const flags = this.#file.readUInt16LE(at + 18);
    if (flags !== PageFlag.overflow || BigInt(this.#file.readUInt32LE(at + 20)) !== pages) {
      fail(`page ${first} is odd`);
    }
    if (pages === 0n || first + pages - 1n > this.#meta.lastPage) fail('a value is too long');
    for (let number = first + 1n; number < first + pages; number += 1n) this.#note(number);
    if (BigInt(HEADER_BYTES + length) > pages * BigInt(PAGE_BYTES)) fail('a value is too long');
    return at + HEADER_BYTES;
  }

  /** Checks the page's own header, which every kind of page has. Returns where it is in the file. */
  #take(number: bigint): number {
    this.#note(number);
    const at = Number(number) * PAGE_BYTES;
    if (this.#file.readBigUInt64LE(at) !== number) fail(`page ${number} is another one`);
    // A page of a later transaction would be taken for one that is in memory, and freed.
    if (this.#file.readBigUInt64LE(at + 8) > this.#meta.transaction) {
      fail(`page ${number} is of a later time`);
    }
    return at;
  }

  #note(number: bigint): void {
    if (number < BigInt(META_PAGES) || number > this.#meta.lastPage) {
      fail(`there is no page ${number}`);
    }
    if (this.#seen.has(Number(number))) fail(`page ${number} is in two places`);
    this.#seen.add(Number(number));
  }

  #within(at: number, length: number): void {
    if (at + length > this.#file.length) fail('a value is too long');
  }

  /** Page numbers, with lengths of blocks of them as negative numbers in between. */
  #freePages(at: number, length: number): void {
    this.#within(at, length);
    if (length === 0 || length % 8 !== 0) fail('the list of free pages is odd');
    const { lastPage } = this.#meta;
    for (let position = at; position < at + length; position += 8) {
      const word = this.#file.readBigInt64LE(position);
      if (word > lastPage || word < -lastPage) fail(`there is no free page ${word}`);
    }
  }
}

function fail(message: string): never {
  throw new StructureError(message);
}
