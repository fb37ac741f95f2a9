import { CisternError } from '../base/errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import { Backoff, type BackoffLimits } from './backoff.ts';
import type { LinkListener, SendOutcome, Sink, SinkLink, UplinkRecord } from './sink.ts';
import type { UplinkState } from './types.ts';

export interface LinkKeeperOptions {
  readonly sink: Sink;
  readonly backoff: BackoffLimits;
  readonly stallTimeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly hasBacklog: () => boolean;
  /** Runs on a new link before anything is sent; a failure is a failure to connect. */
  readonly prepare: (link: SinkLink) => Promise<void>;
  readonly onUp: () => void;
  /** `endedByPeer` as in {@link LinkListener.onClosed}; false where the keeper itself dropped the link. */
  readonly onDown: (endedByPeer: boolean) => void;
  readonly onRoom: () => void;
  readonly onSettled: (record: UplinkRecord, outcome: SendOutcome) => void;
}

/**
 * Keeps one link to a sink up: connects, waits between attempts, and drops a link that is up but
 * acknowledges nothing.
 *
 * Invariants:
 * - At most one link or attempt at a time; what an older one still says is not heard.
 * - `stalled` lasts from the refusal or the silence until something moves, or the peer is gone; where
 *   the link itself was refused, until there is one.
 */
export class LinkKeeper {
  readonly #options: LinkKeeperOptions;
  readonly #backoff: Backoff;
  #phase: 'stopped' | 'waiting' | 'connecting' | 'up' = 'stopped';
  #number = 0;
  #link: SinkLink | undefined;
  #abort: AbortController | undefined;
  #attempt: Promise<void> = Promise.resolve();
  #closing: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #progressAtMs = 0;
  #isStalled = false;
  /** The link was refused, as by a wrong password, and not a record. */
  #isTurnedAway = false;
  #lastError: string | undefined;

  constructor(options: LinkKeeperOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.backoff, options.random);
  }

  get state(): UplinkState {
    if (this.#phase === 'stopped') return 'disabled';
    if (this.#isStalled) return 'stalled';
    return this.#phase === 'up' ? 'connected' : 'backoff';
  }

  /** Undefined once the uplink works again. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  get link(): SinkLink | undefined {
    return this.#link;
  }

  /** Counts links and attempts, from 1. */
  get number(): number {
    return this.#number;
  }

  start(): void {
    this.#connect();
  }

  async stop(): Promise<void> {
    this.#phase = 'stopped';
    this.#number += 1;
    this.#timer?.cancel();
    this.#abort?.abort();
    this.#release();
    await this.#attempt;
    await this.#closing;
  }

  /** Something was acknowledged, or there is something to acknowledge only now. */
  progressed(): void {
    this.#progressAtMs = this.#options.clock.monotonicMs();
  }

  /** A cursor moved: the destination takes records. */
  recovered(): void {
    this.#isStalled = false;
    this.#lastError = undefined;
    this.#backoff.reset();
  }

  /** Something keeps the uplink from getting on that another link alone will not mend. */
  stall(message: string): void {
    this.#isStalled = true;
    this.#lastError = message;
  }

  /** Gives the link up and begins to wait. */
  drop(error: CisternError, endedByPeer = false): void {
    if (this.#phase !== 'up' && this.#phase !== 'connecting') return;
    const { logger, clock, onDown } = this.#options;
    this.#number += 1;
    this.#abort?.abort();
    this.#timer?.cancel();
    this.#release();
    this.#isStalled = error.code === 'UPSTREAM_REFUSED' || error.code === 'UPSTREAM_STALLED';
    this.#isTurnedAway = this.#phase === 'connecting';
    this.#phase = 'waiting';
    this.#lastError = error.message;
    onDown(endedByPeer);
    const delayMs = this.#backoff.nextDelayMs();
    const retryInMs = Math.round(delayMs);
    const event = this.#isStalled ? 'uplink.stalled' : 'uplink.disconnected';
    logger.warn(event, { code: error.code, error: error.message, retryInMs });
    this.#timer = clock.after(delayMs, () => this.#connect());
  }

  #connect(): void {
    const { clock, stallTimeoutMs } = this.#options;
    this.#phase = 'connecting';
    this.#number += 1;
    const number = this.#number;
    const abort = new AbortController();
    this.#abort = abort;
    this.#timer = clock.after(stallTimeoutMs, () => {
      const message = `The upstream did not answer within ${stallTimeoutMs / 1000} s.`;
      this.drop(new CisternError('UPSTREAM_UNREACHABLE', message));
    });
    this.#attempt = this.#open(number, abort.signal);
  }

  async #open(number: number, signal: AbortSignal): Promise<void> {
    const { sink, prepare, onUp, clock } = this.#options;
    let link: SinkLink | undefined;
    try {
      link = await sink.connect(this.#listen(number), signal);
      if (number === this.#number) await prepare(link);
    } catch (error) {
      if (link !== undefined) await link.close();
      if (!(error instanceof CisternError)) throw error;
      if (number === this.#number) this.drop(error);
      return;
    }
    if (number !== this.#number) {
      await link.close();
      return;
    }
    this.#timer?.cancel();
    this.#phase = 'up';
    this.#link = link;
    this.#progressAtMs = clock.monotonicMs();
    this.#watch();
    if (this.#isTurnedAway) this.#isStalled = false;
    if (!this.#isStalled && !this.#options.hasBacklog()) this.recovered();
    onUp();
  }

  #listen(number: number): LinkListener {
    const isCurrent = (): boolean => number === this.#number;
    return {
      onSettled: (record, outcome) => {
        if (isCurrent()) this.#options.onSettled(record, outcome);
      },
      onRoom: () => {
        if (isCurrent()) this.#options.onRoom();
      },
      onClosed: (error, endedByPeer) => {
        if (isCurrent()) this.drop(error, endedByPeer);
      },
    };
  }

  /** Waits out the time in which the link has to acknowledge something. */
  #watch(): void {
    const { clock, stallTimeoutMs, hasBacklog } = this.#options;
    const quietMs = clock.monotonicMs() - this.#progressAtMs;
    this.#timer = clock.after(Math.max(1, stallTimeoutMs - quietMs), () => {
      const nowMs = clock.monotonicMs();
      if (!hasBacklog()) this.#progressAtMs = nowMs;
      if (nowMs - this.#progressAtMs < stallTimeoutMs) {
        this.#watch();
        return;
      }
      const message = `The upstream acknowledged nothing for ${stallTimeoutMs / 1000} s.`;
      this.drop(new CisternError('UPSTREAM_STALLED', message));
    });
  }

  #release(): void {
    const link = this.#link;
    this.#link = undefined;
    if (link !== undefined) this.#closing = link.close();
  }
}
