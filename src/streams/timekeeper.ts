import { assert } from '../base/assert.ts';
import { stateKey, stateKeyParts } from '../metadata/state-codec.ts';
import type { StateStore } from '../metadata/state-store.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { ClockEvidence, ClockWord } from '../platform/clock-evidence.ts';
import type { Logger } from '../platform/logger.ts';
import { type BootClock, BootTimes, type EventTimes } from '../ring/event-time.ts';
import type { EventTime, Ring } from '../ring/types.ts';

/** The wall clock was set where it moved so far against the monotonic one; slewing moves both alike. */
const STEP_MS = 1_000;
const LOOK_EVERY_MS = 1_000;
/** What the machine says of its clock is read again this often, until the clock is trusted. */
const ASK_EVERY_LOOKS = 10;
/**
 * A chip that is behind what the ring has seen by more than this is wrong, or the ring's times are: only
 * a synchroniser can tell. Less is a chip in local time, or one that was set back.
 */
const BEHIND_MS = 24 * 3_600_000;
/** While the clock is not trusted: a power cut takes no more than this from the powered time. */
const ALIVE_EVERY_MS = 3_600_000;
/** Boots remembered. Records from before are dated by what is written in them. */
const MAX_BOOTS = 256;

type StoredBoot = Omit<BootClock, 'bootNumber'>;

const KIND = 'clock';

export interface TimekeeperOptions {
  readonly clock: Clock;
  readonly ring: Pick<Ring, 'bootNumber' | 'lastTime' | 'setTrustedOffset' | 'onCopy'>;
  readonly state: StateStore;
  readonly evidence: ClockEvidence;
  readonly logger: Logger;
}

/**
 * Decides when the wall clock can be believed, and tells how old things are in spite of it.
 *
 * The clock of this boot is trusted, from then on and over restarts within the boot, once it is later
 * than the program itself and
 * - a synchroniser says that it has the time; or
 * - the machine has a clock that runs without power, and it is not a day behind what the ring has seen; or
 * - it was set forward while this boot was watched, to a time that is not a day behind either. A clock
 *   that starts in 1970, or at a time saved before the last stop, is set forward when NTP answers.
 *
 * Each boot is one key, `clock/<boot>`: a control record when it begins, when its clock becomes
 * trusted, and when that clock is set again. It is appended before the first batch that is
 * marked as trusted, so that no cut leaves such a batch without it.
 */
export class Timekeeper implements EventTimes {
  readonly #clock: Clock;
  readonly #ring: TimekeeperOptions['ring'];
  readonly #state: StateStore;
  readonly #evidence: ClockEvidence;
  readonly #logger: Logger;
  #times = new BootTimes([]);
  #word: ClockWord = 'none';
  /** The newest time that was ever trusted, before this boot. Milliseconds since 1970. */
  #seenMs = -Infinity;
  #looks = 0;
  #savedAtMs = 0;
  #timer: Timer | undefined;
  #saidBehind = false;
  #isStopped = false;

  constructor(options: TimekeeperOptions) {
    this.#clock = options.clock;
    this.#ring = options.ring;
    this.#state = options.state;
    this.#evidence = options.evidence;
    this.#logger = options.logger;
    const { clock, ring } = options;
    const { bootNumber } = ring;
    ring.onCopy((time) =>
      this.#times.forCopy(time, { bootNumber, monotonicMs: clock.monotonicMs() }),
    );
  }

  /** Asks the machine about its clock. To be done before `start`, which must not wait for it. */
  async prepare(): Promise<void> {
    this.#word = await this.#evidence.read();
  }

  /**
   * Once the state is replayed and the ring takes appends: takes up what is known of earlier boots,
   * and watches the clock from then on.
   */
  start(): void {
    const boots: BootClock[] = [];
    for (const [key, value] of this.#state.entries(stateKey(KIND, ''))) {
      const boot = bootClockIn(key, value);
      if (boot !== undefined) boots.push(boot);
    }
    this.#times = new BootTimes(boots);
    this.#noteLast();
    this.#noteThisBoot();
    this.#seenMs = this.#times.seenBefore(this.#ring.bootNumber);
    this.#look();
    if (!this.isTrusted) this.#logger.warn('clock.not_trusted', { meaning: MEANING });
    this.#lookAgain();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  get isTrusted(): boolean {
    return this.#thisBoot?.trusted === true;
  }

  now(): EventTime {
    const monotonicMs = this.#clock.monotonicMs();
    const { bootNumber } = this.#ring;
    return { bootNumber, monotonicMs, wallMs: this.#clock.wallMs(), trusted: this.isTrusted };
  }

  ageMs(time: EventTime, now = this.now()): number | undefined {
    return this.#times.ageMs(time, now);
  }

  wallMs(time: EventTime): number | undefined {
    return this.#times.wallMs(time);
  }

  estimateMs(time: EventTime): number {
    return this.#times.estimateMs(time);
  }

  get #thisBoot(): BootClock | undefined {
    return this.#times.get(this.#ring.bootNumber);
  }

  /** What the newest batch says of a boot that no key tells of: the state was lost. */
  #noteLast(): void {
    const last = this.#ring.lastTime;
    if (last === undefined || this.#times.get(last.bootNumber) !== undefined) return;
    const { bootNumber, trusted } = last;
    const before = this.#times.boots.at(-1);
    const poweredMs = before === undefined ? 0 : before.poweredMs;
    this.#put({
      bootNumber,
      trusted,
      poweredMs,
      offsetMs: Math.round(last.wallMs - last.monotonicMs),
    });
  }

  #noteThisBoot(): void {
    if (this.#thisBoot !== undefined) return;
    const { bootNumber, lastTime } = this.#ring;
    const before = this.#times.boots.at(-1);
    const lastedMs = before?.bootNumber === lastTime?.bootNumber ? (lastTime?.monotonicMs ?? 0) : 0;
    const poweredMs = (before?.poweredMs ?? 0) + lastedMs;
    this.#put({ bootNumber, trusted: false, poweredMs, offsetMs: this.#offset() });
    for (const { bootNumber: old } of this.#times.boots.slice(0, -MAX_BOOTS)) this.#forget(old);
  }

  #lookAgain(): void {
    this.#timer = this.#clock.after(LOOK_EVERY_MS, () => {
      this.#lookAgain();
      this.#looks++;
      if (this.isTrusted || this.#looks % ASK_EVERY_LOOKS !== 0) this.#look();
      else void this.#ask();
    });
  }

  async #ask(): Promise<void> {
    this.#word = await this.#evidence.read();
    if (!this.#isStopped) this.#look();
  }

  #look(): void {
    const boot = this.#thisBoot;
    assert(boot !== undefined, 'this boot was noted at the start');
    const offsetMs = this.#offset();
    const stepMs = offsetMs - boot.offsetMs;
    if (boot.trusted) this.#follow(boot, offsetMs, stepMs);
    else if (this.#isRight(stepMs)) this.#trust(boot, offsetMs);
    else this.#stayAlive(boot);
  }

  /** A clock that is trusted and is set again is right again, unless it is set to before the program's time. */
  #follow(boot: BootClock, offsetMs: number, stepMs: number): void {
    const isPossible = this.#clock.wallMs() >= this.#evidence.earliestMs;
    if (Math.abs(stepMs) >= STEP_MS && isPossible) {
      this.#logger.info('clock.set', { bySeconds: Math.round(stepMs / 1000) });
      this.#put({ ...boot, offsetMs });
      this.#ring.setTrustedOffset(offsetMs);
    } else {
      this.#ring.setTrustedOffset(boot.offsetMs);
    }
  }

  #isRight(stepMs: number): boolean {
    const wallMs = this.#clock.wallMs();
    if (wallMs < this.#evidence.earliestMs) return false;
    if (this.#word === 'synchronised') return true;
    if (this.#word === 'none' && stepMs < STEP_MS) return false;
    if (wallMs >= this.#seenMs - BEHIND_MS) return true;
    if (!this.#saidBehind) {
      this.#saidBehind = true;
      const behindSeconds = Math.round((this.#seenMs - wallMs) / 1000);
      this.#logger.warn('clock.behind_ring', { behindSeconds, remedy: BEHIND_REMEDY });
    }
    return false;
  }

  #trust(boot: BootClock, offsetMs: number): void {
    const setBySeconds = Math.round((offsetMs - boot.offsetMs) / 1000);
    const because = this.#word === 'none' ? 'it was set' : this.#word;
    this.#logger.info('clock.trusted', { because, setBySeconds });
    this.#put({ ...boot, offsetMs, trusted: true });
    this.#ring.setTrustedOffset(offsetMs);
  }

  #stayAlive(boot: BootClock): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#savedAtMs < ALIVE_EVERY_MS) return;
    this.#put(boot);
  }

  #put(boot: BootClock): void {
    const { bootNumber, ...stored } = boot;
    this.#savedAtMs = this.#clock.monotonicMs();
    this.#state.put(stateKey(KIND, String(bootNumber)), stored satisfies StoredBoot);
    const others = this.#times.boots.filter((each) => each.bootNumber !== bootNumber);
    this.#times = new BootTimes([...others, boot]);
  }

  #forget(bootNumber: number): void {
    this.#state.delete(stateKey(KIND, String(bootNumber)));
    this.#times = new BootTimes(this.#times.boots.filter((each) => each.bootNumber !== bootNumber));
  }

  #offset(): number {
    return Math.round(this.#clock.wallMs() - this.#clock.monotonicMs());
  }
}

const MEANING =
  'Until the time is known, ages and expiries count only the time that the power was on.';
const BEHIND_REMEDY =
  'Set the clock right, and let NTP confirm it: the ring holds messages of a later time.';

/** What a key of the state says of a boot's clock; undefined where it is about something else. */
export function bootClockIn(key: string, value: unknown): BootClock | undefined {
  const [kind, bootNumber] = stateKeyParts(key);
  if (kind !== KIND || bootNumber === undefined) return undefined;
  return { bootNumber: Number(bootNumber), ...(value as StoredBoot) };
}
