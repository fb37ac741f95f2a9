import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, constants as osConstants } from 'node:os';
import { dirname, join } from 'node:path';
import { getAsset, getRawAsset } from 'node:sea';
import { CisternError } from '../../src/base/errors.ts';

/**
 * Stands in for the package `node-gyp-build-optional-packages` inside the single executable, where
 * there is no `node_modules`: lmdb calls it to get its native part. The part is an asset of the
 * executable; the system's loader wants a file, so it is unpacked once, under its hash, to a directory
 * that only this user can write. A world-writable directory is never used: whoever could write there
 * could run code as the broker.
 */
export default function loadAddon(): unknown {
  const failures: string[] = [];
  for (const directory of candidates()) {
    try {
      return open(unpack(directory));
    } catch (error) {
      failures.push(`${directory}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new CisternError(
    'DATA_UNWRITABLE',
    'The database library that is part of this executable cannot be unpacked: ' +
      `${failures.join('; ') || 'there is no home directory'}.`,
    {
      remedy:
        'Set CACHE_DIRECTORY to a directory of this user, on a file system that is not mounted noexec.',
    },
  );
}

/** Where the library may be unpacked, best first. systemd sets CACHE_DIRECTORY from the unit. */
function candidates(): readonly string[] {
  const { CACHE_DIRECTORY, XDG_CACHE_HOME, XDG_RUNTIME_DIR } = process.env;
  const home = homedir();
  return [
    CACHE_DIRECTORY?.split(':')[0],
    XDG_CACHE_HOME && join(XDG_CACHE_HOME, 'cistern'),
    home !== '' && home !== '/' && join(home, '.cache', 'cistern'),
    XDG_RUNTIME_DIR && join(XDG_RUNTIME_DIR, 'cistern'),
  ].filter((path): path is string => typeof path === 'string' && path.startsWith('/'));
}

function unpack(directory: string): string {
  makeDirectory(directory);
  const about = lstatSync(directory);
  if (about.uid !== process.getuid?.() || (about.mode & 0o022) !== 0 || !about.isDirectory()) {
    throw new Error('is not a directory that this user alone can write');
  }
  const library = new Uint8Array(getRawAsset('lmdb.node') as ArrayBuffer);
  const name = `lmdb-${getAsset('lmdb.sha256', 'utf8')}.node`;
  const path = join(directory, name);
  if (holds(path, library)) return path;

  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, library, { mode: 0o500 });
  const file = openSync(temporary, 'r');
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, path);
  // A library that another version is using stays mapped after its name is gone.
  for (const other of readdirSync(directory)) {
    if (/^lmdb-[0-9a-f]+[.]node/.test(other) && other !== name) rmSync(join(directory, other));
  }
  return path;
}

/**
 * Makes `directory` and the folders above it, for this user alone. Not by Node's recursive mkdir, which
 * never returns where a folder cannot be made in one that exists, as below /proc.
 */
function makeDirectory(directory: string): void {
  if (existsSync(directory)) return;
  const parent = dirname(directory);
  if (parent !== directory) makeDirectory(parent);
  mkdirSync(directory, { mode: 0o700 });
}

/**
 * Whether the file is the library byte for byte: a power cut or worn flash may have left another.
 * Read piece by piece, so that the broker does not start its life with a copy of 3.5 MB.
 */
function holds(path: string, library: Uint8Array): boolean {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  const file = openSync(path, 'r');
  try {
    if (fstatSync(file).size !== library.length) return false;
    const piece = Buffer.allocUnsafe(64 * 1024);
    for (let offset = 0; offset < library.length; ) {
      const length = readSync(file, piece, 0, piece.length, offset);
      if (length === 0 || piece.compare(library, offset, offset + length, 0, length) !== 0) {
        return false;
      }
      offset += length;
    }
    return true;
  } finally {
    closeSync(file);
  }
}

function open(path: string): unknown {
  const module: { exports: unknown } = { exports: {} };
  process.dlopen(module, path, osConstants.dlopen.RTLD_NOW);
  return module.exports;
}
