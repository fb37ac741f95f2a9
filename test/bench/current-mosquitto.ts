import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Where `fetch-mosquitto.ts` puts Debian unstable's Mosquitto. */
export const currentMosquittoFolder = resolve(import.meta.dirname, '../../build/out/mosquitto-sid');

export const libraryTriplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
const loader = process.arch === 'arm64' ? 'ld-linux-aarch64.so.1' : 'ld-linux-x86-64.so.2';
const libraries = join(currentMosquittoFolder, 'usr/lib', libraryTriplet);

/** It runs by the loader of its own C library, which is newer than a stable system's. */
export const currentMosquitto = {
  command: join(libraries, loader),
  args: ['--library-path', libraries, join(currentMosquittoFolder, 'usr/sbin/mosquitto')],
  isThere: () => existsSync(join(currentMosquittoFolder, 'usr/sbin/mosquitto')),
} as const;
