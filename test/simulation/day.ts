import type { Status } from '../../src/admin/status.ts';
import { MemoryCheckpoint } from '../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../support/sim-cistern.ts';
import { SimClock } from '../support/sim-clock.ts';
import { SimDisk } from '../support/sim-disk.ts';
import { CUT_MODES } from '../support/sim-disk-image.ts';
import { SimRandom } from '../support/sim-random.ts';
import { Absence } from './absence.ts';
import type { IsRepeated } from './arrivals.ts';
import { Device } from './device.ts';
import { Reader } from './reader.ts';
import { MOODS, Upstream } from './upstream.ts';

const TICK_MS = 500;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DEVICES = 24;
/** Shorter than the wall clock jumps; all other sessions last longer than all jumps of a day together. */
const NOMAD_EXPIRY_SECONDS = 7 * 24 * 3_600;
/** The streams of most may lose their oldest; those of `r` and `b` refuse what they have no room for. */
const FAMILIES = ['d', 'r', 'd', 'd', 'b', 'd', 'r', 'b'] as const;
/** A ring of 1 MiB goes round several times a day with what they send. */
const CONFIG = `[storage]
size = "1MiB"
segment = "64KiB"
[limits]
session_expiry_max = "3650d"
[[stream]]
name = "fleet"
topics = ["d/#"]
partitions = 2
[[stream]]
name = "orders"
topics = ["r/#"]
quota = "48KiB"
when_full = "reject"
[[stream]]
name = "logs"
topics = ["b/#"]
quota = "48KiB"
when_full = "block"
[[uplink]]
name = "cloud"
streams = ["fleet", "orders", "logs"]
stall_timeout = "30s"
backoff = { base = "1s", cap = "60s" }
mqtt = { url = "mqtt://127.0.0.1:1" }
`;
/** What has no answer after so long never has one. */
const PATIENCE_MS = 5 * SECOND_MS;
const DRAIN_LIMIT_MS = 3 * HOUR_MS;

/** What a day was like, for whoever reads the line. */
export interface DayReport {
  readonly acknowledged: number;
  readonly arrived: number;
  readonly repeated: number;
  readonly lapped: number;
  readonly refused: number;
  readonly cuts: number;
  readonly startsCut: number;
  readonly laps: number;
}

/** A will, or the absence of one, that the witness must have seen by now. */
interface Expected {
  readonly will: string;
  readonly comes: boolean;
  readonly atMs: number;
  readonly life: number;
}

/**
 * The whole broker through a day of its life, on virtual time, by one seed: devices that come and go, an
 * upstream with moods, power cuts, kills and clean restarts, a wall clock that jumps. Rejects with
 * the seed and the moment as soon as something that is promised does not hold.
 */
export class Day {
  readonly #random: SimRandom;
  readonly #devices: readonly Device[];
  readonly #upstream: Upstream;
  /** Is there all the time. */
  readonly #witness: Reader;
  /** Comes now and then, and finds what the ring still has. */
  readonly #nomad: Reader;
  readonly #nomadAway = new Absence();
  readonly #due = new Map<string, number>();
  readonly #heads = new Map<string, number>();
  #clock = new SimClock();
  #disk = new SimDisk({ clock: this.#clock, afterCut: 'hangs' });
  #checkpoints = new MemoryCheckpoint();
  #cistern: SimCistern;
  #expected: Expected[] = [];
  /** Of all lives but this one, and time between them. */
  #elapsedMs = 0;
  #bootedAtMs = 0;
  #life = 0;
  #moodEndsMs = 0;
  /** Lines of this life's log that were looked at. */
  #logged = 0;
  #epoch = 0;
  #cuts = 0;
  #startsCut = 0;
  #lapped = 0;
  /** As the log says: what rotation took before the witness, who is back at once, had had it. */
  #witnessLapped = 0;

  constructor(seed: number) {
    this.#random = new SimRandom(seed);
    this.#devices = Array.from(
      { length: DEVICES },
      (_, index) =>
        new Device(
          `dev-${index}`,
          FAMILIES[index % FAMILIES.length] ?? 'd',
          index % 3 === 0 ? 4 : 5,
        ),
    );
    const byName = new Map(this.#devices.map((device) => [device.name, device]));
    const isRepeated: IsRepeated = (device, number) =>
      byName.get(device)?.repeated.has(number) === true;
    this.#witness = new Reader('witness', isRepeated);
    this.#nomad = new Reader('nomad', isRepeated, {
      expirySeconds: NOMAD_EXPIRY_SECONDS,
      isPossible: () => this.#nomadAway.longestMs(this.#now()) >= NOMAD_EXPIRY_SECONDS * SECOND_MS,
    });
    this.#noteClock();
    this.#upstream = new Upstream(this.#random.fork(), {
      isRepeated,
      isTwo: (device, number) => byName.get(device)?.tried.get(number)?.qos === 2,
      headOf: (stream, partition) => this.#headOf(stream, partition),
    });
    this.#cistern = this.#make();
  }

  static async run(seed: number, hours = 24): Promise<DayReport> {
    const day = new Day(seed);
    try {
      return await day.#live(hours * HOUR_MS);
    } catch (error) {
      const at = (day.#nowMs() / HOUR_MS).toFixed(3);
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`seed ${seed}, hour ${at}, life ${day.#life}: ${message}`, { cause: error });
    }
  }

  async #live(lengthMs: number): Promise<DayReport> {
    await this.#cistern.start(CONFIG);
    await this.#begin();
    while (this.#nowMs() < lengthMs) {
      await this.#tick();
      if (this.#disk.isCut) await this.#startAgain();
    }
    await this.#finish();
    return this.#report();
  }

  #nowMs(): number {
    return this.#elapsedMs + this.#clock.monotonicMs() - this.#bootedAtMs;
  }

  #now(): { readonly atMs: number; readonly life: number } {
    return { atMs: this.#nowMs(), life: this.#life };
  }

  #noteClock(): void {
    this.#nomadAway.noteClock(this.#nowMs(), this.#clock.wallMs());
  }

  /** True about once in `everyMs`. */
  #happens(everyMs: number): boolean {
    return this.#random.chance(TICK_MS / everyMs);
  }

  async #tick(): Promise<void> {
    for (const device of this.#devices) this.#actOf(device);
    this.#witness.work();
    this.#nomad.work();
    this.#nomadAway.look(this.#now(), this.#nomad.isThere);
    if (this.#witness.isGone) this.#witness.connect(this.#cistern);
    if (this.#happens(90 * MINUTE_MS)) {
      if (this.#nomad.isGone) this.#nomad.connect(this.#cistern);
      else this.#nomad.drop();
    }
    if (this.#nowMs() >= this.#moodEndsMs) this.#changeMood();
    if (this.#happens(3 * HOUR_MS)) this.#jumpWall();
    if (this.#happens(30 * SECOND_MS)) this.#checkStatus();
    if (this.#happens(45 * MINUTE_MS)) await this.#endLife();
    if (!this.#disk.isCut) await this.#clock.advance(TICK_MS);
    this.#checkWills();
    this.#checkViolations();
    this.#checkLog();
  }

  #changeMood(): void {
    this.#upstream.mood = this.#random.pick(MOODS);
    this.#moodEndsMs = this.#nowMs() + this.#random.below(2 * HOUR_MS);
  }

  #actOf(device: Device): void {
    const random = this.#random;
    const nowMs = this.#nowMs();
    if (nowMs < (this.#due.get(device.name) ?? 0)) return;
    this.#due.set(device.name, nowMs + random.below(15 * MINUTE_MS));
    if (device.isGone) {
      if (random.chance(0.7)) device.connect(this.#cistern);
      return;
    }
    const kind = random.fraction();
    if (kind < 0.03) this.#go(device, 'drop');
    else if (kind < 0.05) this.#go(device, 'leave');
    else for (let i = random.pick([1, 1, 1, 2, 5, 15]); i > 0; i -= 1) device.publish(random);
  }

  #go(device: Device, how: 'drop' | 'leave'): void {
    // Only of what the broker has answered is it known that the will is set.
    // A publisher that a full stream holds back is not read, its DISCONNECT is not either.
    const isRead = how === 'drop' || device.openMessages === 0;
    if (device.isConnected && isRead && this.#witness.subscribed) {
      const will = `${device.name} ${device.connections}`;
      const atMs = this.#nowMs() + PATIENCE_MS;
      this.#expected.push({ will, comes: how === 'drop', atMs, life: this.#life });
    }
    device[how]();
  }

  #jumpWall(): void {
    const hours = this.#random.pick([-2000, -30, -1, -0.1, 0.1, 1, 30, 2000]);
    this.#clock.stepWall(hours * HOUR_MS);
    this.#noteClock();
  }

  /** Whoever wants everything is there before anything is published. */
  async #begin(): Promise<void> {
    for (const reader of [this.#witness, this.#nomad]) {
      reader.connect(this.#cistern);
      while (!reader.subscribed) {
        await this.#clock.advance(TICK_MS);
        reader.work();
      }
    }
    for (const device of this.#devices) device.connect(this.#cistern);
  }

  /** The power goes now or at one of the next operations, the process is killed, or stopped in order. */
  async #endLife(): Promise<void> {
    const random = this.#random;
    const kind = random.fraction();
    if (kind < 0.5) {
      const at = this.#disk.operations + 1 + random.below(30);
      this.#disk.crashAt(at, random.uint32(), random.pick(CUT_MODES));
      return;
    }
    this.#noteLapped();
    if (kind < 0.65) this.#disk.cut(random.uint32(), random.pick(CUT_MODES));
    else if (kind < 0.85) this.#disk.kill(random.uint32());
    else {
      this.#checkStatus();
      // Who is not there any more gets a will after the next start.
      this.#expected = [];
      await this.#cistern.stop();
      this.#disk.kill(random.uint32());
    }
  }

  async #startAgain(): Promise<void> {
    this.#noteLapped();
    for (;;) {
      this.#boot();
      if (this.#random.chance(0.3)) {
        const at = 1 + this.#random.below(12);
        this.#disk.crashAt(at, this.#random.uint32(), this.#random.pick(CUT_MODES));
      }
      if (await this.#starts()) break;
      this.#startsCut += 1;
    }
    this.#due.clear();
    await this.#checkRetained();
  }

  async #starts(): Promise<boolean> {
    try {
      await this.#cistern.start(CONFIG);
      return !this.#disk.isCut;
    } catch (error) {
      if (this.#disk.isCut) return false;
      throw error;
    }
  }

  #boot(): void {
    this.#logged = 0;
    this.#elapsedMs = this.#nowMs() + this.#random.below(2 * MINUTE_MS);
    this.#life += 1;
    this.#cuts += 1;
    // A board without a clock chip starts in 1970.
    const wallMs = this.#random.chance(0.4) ? 1_000 : this.#clock.wallMs();
    this.#clock = new SimClock({ startMs: 1_000, wallMs, bootId: `boot-${this.#life}` });
    this.#bootedAtMs = 1_000;
    this.#noteClock();
    this.#disk = this.#disk.reboot({ clock: this.#clock, seed: this.#random.uint32() });
    const survivor = this.#checkpoints.crash();
    this.#checkpoints = this.#random.chance(0.1) ? new MemoryCheckpoint() : survivor;
    for (const device of this.#devices) device.drop();
    this.#witness.drop();
    this.#nomad.drop();
    this.#expected = [];
    this.#cistern = this.#make();
  }

  #make(): SimCistern {
    return new SimCistern({
      volume: this.#disk,
      checkpoints: this.#checkpoints,
      clock: this.#clock,
      seed: this.#random.uint32(),
      makeSink: (_config, { clock }) => this.#upstream.sinkOn(clock),
    });
  }

  #status(): Status | undefined {
    return this.#cistern.running?.status();
  }

  #noteLapped(): void {
    this.#noteHeads();
    for (const { event, fields } of this.#cistern.logger.entries) {
      if (event !== 'session.lapped' || fields['client'] !== this.#witness.name) continue;
      this.#witnessLapped += Number(fields['lostAtLeast']);
    }
    const status = this.#status();
    for (const { lappedRecords } of status?.uplinks ?? []) this.#lapped += lappedRecords;
    this.#epoch = status?.ring.epoch ?? this.#epoch;
    this.#cistern.running = undefined;
  }

  /**
   * The highest head that was ever seen: what a cut leaves may be from before rotation let go of more,
   * which the cursor knows.
   */
  #headOf(stream: string, partition: number): number {
    this.#noteHeads();
    return this.#heads.get(`${stream}/${partition}`) ?? 0;
  }

  #noteHeads(): void {
    for (const { name, partitions } of this.#status()?.streams ?? []) {
      for (const { id, headOffset } of partitions) {
        const key = `${name}/${id}`;
        this.#heads.set(key, Math.max(this.#heads.get(key) ?? 0, headOffset));
      }
    }
  }

  #checkStatus(): void {
    for (const uplink of this.#status()?.uplinks ?? []) {
      const { appendedRecords, acknowledgedRecords, backlogRecords } = uplink;
      const { lappedRecords, deadLettered, expiredRecords } = uplink;
      const sum =
        acknowledgedRecords + backlogRecords + lappedRecords + deadLettered + expiredRecords;
      if (sum !== appendedRecords) {
        throw new Error(`the uplink's figures do not add up: ${JSON.stringify(uplink)}`);
      }
      if (deadLettered + expiredRecords > 0) throw new Error('an uplink gave up a record');
    }
  }

  #checkViolations(): void {
    const { violations } = this.#disk;
    for (const list of [
      violations,
      this.#upstream.violations,
      this.#upstream.arrivals.violations,
      ...[this.#witness, this.#nomad].flatMap((one) => [one.violations, one.arrivals.violations]),
    ]) {
      if (list.length > 0) throw new Error(list.join('; '));
    }
  }

  /** No sector ever goes bad by itself here, so nothing may look like damage. */
  #checkLog(): void {
    if (this.#disk.isCut) return;
    const { entries } = this.#cistern.logger;
    const found = entries.slice(this.#logged).find(({ level }) => level === 'error');
    this.#logged = entries.length;
    if (found === undefined) return;
    throw new Error(`the log says ${found.event} ${JSON.stringify(found.fields)}`);
  }

  #checkWills(): void {
    const nowMs = this.#nowMs();
    while ((this.#expected[0]?.atMs ?? Infinity) <= nowMs) {
      const { will, comes, life } = this.#expected.shift() as Expected;
      if (life !== this.#life || this.#witness.wills.has(will) === comes) continue;
      throw new Error(`will of ${will} ${comes ? 'did not come' : 'came'}`);
    }
  }

  /** A stranger sees of every device the last retained value that was acknowledged, or a later one. */
  async #checkRetained(): Promise<void> {
    const stranger = await this.#cistern.connected({ clientId: 'stranger' });
    stranger.subscribe(1, ['state/#', 1]);
    await this.#cistern.settle(200);
    if (this.#disk.isCut) return;
    for (const { name, retained } of this.#devices) {
      const found = stranger.received.find(({ topic }) => topic === `state/${name}`);
      const number = Number(found?.payload.split(' ')[1] ?? -1);
      if (number >= retained) continue;
      throw new Error(`the retained value of ${name} is ${number}, ${retained} was acknowledged`);
    }
    stranger.disconnect();
    await this.#cistern.settle();
  }

  /** The power stays, the upstream is there, and everything has the time it needs. */
  async #finish(): Promise<void> {
    this.#upstream.mood = 'up';
    this.#disk.crashAt(Infinity, 0, 'none');
    const untilMs = this.#nowMs() + DRAIN_LIMIT_MS;
    while (this.#nowMs() < untilMs && !this.#isDrained()) {
      for (const device of this.#devices) if (device.isGone) device.connect(this.#cistern);
      if (this.#witness.isGone) this.#witness.connect(this.#cistern);
      if (this.#nomad.isGone) this.#nomad.connect(this.#cistern);
      this.#witness.work();
      this.#nomad.work();
      await this.#clock.advance(TICK_MS);
      this.#checkViolations();
    }
    if (!this.#isDrained())
      throw new Error(`it does not come to rest: ${JSON.stringify(this.#status()?.uplinks)}`);
    for (let i = 0; i < 20; i += 1) {
      this.#witness.work();
      this.#nomad.work();
      await this.#clock.advance(TICK_MS);
    }
    this.#checkStatus();
    await this.#checkRetained();
    this.#noteLapped();
    this.#checkArrivals();
  }

  #isDrained(): boolean {
    const backlog = this.#status()?.uplinks.some(({ backlogRecords }) => backlogRecords > 0);
    return backlog === false && this.#devices.every((device) => device.openMessages === 0);
  }

  #checkArrivals(): void {
    let missing = 0;
    let unseen = 0;
    for (const device of this.#devices) {
      for (const number of device.acknowledged) {
        if (device.tried.get(number)?.retain !== false) continue;
        if (!this.#upstream.arrivals.has(device.name, number)) {
          missing += 1;
          if (device.family === 'd') continue;
          throw new Error(`${device.name} ${number} is lost, of a stream that lets nothing go`);
        }
        if (!this.#witness.arrivals.has(device.name, number)) unseen += 1;
      }
      for (const number of device.refused) {
        const here = [this.#upstream, this.#witness, this.#nomad];
        if (!here.some(({ arrivals }) => arrivals.has(device.name, number))) continue;
        throw new Error(`${device.name} ${number} was refused, and arrived`);
      }
      for (const arrivals of [this.#upstream, this.#witness, this.#nomad]) {
        for (const number of arrivals.arrivals.numbersOf(device.name)) {
          if (device.tried.has(number)) continue;
          throw new Error(`${device.name} ${number} was never published`);
        }
      }
    }
    if (unseen > this.#witnessLapped) {
      throw new Error(`${unseen} never came to the witness, ${this.#witnessLapped} were counted`);
    }
    if (missing > this.#lapped) {
      throw new Error(`${missing} acknowledged are missing upstream, ${this.#lapped} were counted`);
    }
  }

  #report(): DayReport {
    const sum = (of: (device: Device) => number) =>
      this.#devices.reduce((total, device) => total + of(device), 0);
    return {
      acknowledged: sum(({ acknowledged }) => acknowledged.size),
      refused: sum(({ refused }) => refused.size),
      arrived: this.#upstream.arrivals.count,
      repeated: this.#upstream.arrivals.repeats,
      lapped: this.#lapped,
      cuts: this.#cuts,
      startsCut: this.#startsCut,
      laps: Math.round(this.#epoch / 16),
    };
  }
}
