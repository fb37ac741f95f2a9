import { CisternError } from '../base/errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Condition } from './alarms.ts';

/** How often files are looked at. A change is taken up once it is one look old. */
const LOOK_INTERVAL_MS = 2_000;

/** Something made from files, which can be made anew while the broker runs. */
export interface Reloadable {
  /** Ends the sentences of log and alarm, such as `the certificate of 0.0.0.0:8883`. */
  readonly name: string;
  readonly files: readonly string[];
  /**
   * Reads the files and uses what they say from now on. Fails with a {@link CisternError}, and then
   * everything stays as it was.
   */
  reload(): Promise<void>;
}

export interface ReloadsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Text that differs once a file does. */
  readonly stampFiles: (paths: readonly string[]) => Promise<string>;
}

interface Watched {
  readonly subject: Reloadable;
  /** As the files were when they were last read, and when they were last looked at. */
  readStamp: string;
  seenStamp: string;
  failure: string | undefined;
}

/**
 * Takes up changed files while the broker runs. A certificate and its key are two files that nobody
 * replaces at one moment, so a change counts only when it has stayed the same for one interval.
 * What cannot be used is logged and is an alarm until it is mended; what was there goes on working.
 */
export class Reloads {
  readonly #options: ReloadsOptions;
  readonly #watched: Watched[] = [];
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: ReloadsOptions) {
    this.#options = options;
  }

  /** `subject` has just been made: from now on it follows its files. */
  async add(subject: Reloadable): Promise<void> {
    const stamp = await this.#options.stampFiles(subject.files);
    this.#watched.push({ subject, readStamp: stamp, seenStamp: stamp, failure: undefined });
    if (this.#timer === undefined) this.#lookLater();
  }

  /** Reads everything again, changed or not: what SIGHUP asks for. Never fails. */
  reloadAll(): Promise<void> {
    return this.#oneAfterAnother(async () => {
      for (const watched of this.#watched) {
        await this.#reload(watched, await this.#stampOf(watched));
      }
    });
  }

  /** What could not be taken up, for the alarms. */
  conditions(): Condition[] {
    return this.#watched.flatMap(({ subject, failure }) =>
      failure === undefined
        ? []
        : [
            {
              code: 'config.reload_failed',
              message: `What changed in ${subject.name} is not used: ${failure}`,
            },
          ],
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  #lookLater(): void {
    if (this.#stopped) return;
    this.#timer = this.#options.clock.after(LOOK_INTERVAL_MS, () => {
      void this.#oneAfterAnother(() => this.#look()).then(() => this.#lookLater());
    });
  }

  async #look(): Promise<void> {
    for (const watched of this.#watched) {
      const stamp = await this.#stampOf(watched);
      const isSettled = stamp === watched.seenStamp;
      watched.seenStamp = stamp;
      if (isSettled && stamp !== watched.readStamp) await this.#reload(watched, stamp);
    }
  }

  async #reload(watched: Watched, stamp: string): Promise<void> {
    const { logger } = this.#options;
    const { name } = watched.subject;
    // Taken before reading: what is written meanwhile is a further change.
    watched.readStamp = stamp;
    watched.seenStamp = stamp;
    try {
      await watched.subject.reload();
      watched.failure = undefined;
      logger.info('config.reloaded', { what: name });
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
      watched.failure = error.message;
      logger.error('config.reload_failed', {
        what: name,
        error: error.message,
        remedy: error.remedy,
      });
    }
  }

  #stampOf({ subject }: Watched): Promise<string> {
    return this.#options.stampFiles(subject.files);
  }

  #oneAfterAnother(work: () => Promise<void>): Promise<void> {
    this.#running = this.#running.then(() => (this.#stopped ? undefined : work()));
    return this.#running;
  }
}
