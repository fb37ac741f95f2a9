import { readdirSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureProgram } from '../../build/lib/debian.ts';

/**
 * A wall clock of a program's own (libfaketime), which can be set while it runs. The monotonic clock,
 * timers and the rest of the machine stay as they are.
 */
export class FakeWallClock {
  readonly env: NodeJS.ProcessEnv;
  readonly #path: string;

  private constructor(library: string, path: string) {
    this.#path = path;
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: path,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // What the variable was called before 0.9.9.
      DONT_FAKE_MONOTONIC: '1',
      TZ: 'UTC',
    };
  }

  /** One that shows `wallMs` at the start of each program; its settings are kept in `folder`. */
  static async make(folder: string, wallMs: number): Promise<FakeWallClock> {
    await ensureProgram('faketime', 'faketime');
    const clock = new FakeWallClock(findLibrary(), join(folder, 'wall-clock'));
    await clock.set(wallMs);
    return clock;
  }

  /** From now on it shows `wallMs`, and goes on from there. */
  async set(wallMs: number): Promise<void> {
    const text = new Date(wallMs).toISOString().replace('T', ' ').slice(0, 19);
    // Never half written: it is read again at each look at the clock.
    await writeFile(`${this.#path}.new`, `@${text}\n`);
    await rename(`${this.#path}.new`, this.#path);
  }
}

function findLibrary(): string {
  const folders = readdirSync('/usr/lib').map((name) => join('/usr/lib', name, 'faketime'));
  for (const folder of folders) {
    try {
      if (readdirSync(folder).includes('libfaketime.so.1')) return join(folder, 'libfaketime.so.1');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    }
  }
  throw new Error('the package faketime brought no libfaketime.so.1');
}
