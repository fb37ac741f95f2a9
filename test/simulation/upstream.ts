import { UNCERTAIN_TAIL_JUMP } from '../../src/ring/format.ts';
import { CisternError } from '../../src/base/errors.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { LinkListener, Sink, SinkLink, UplinkRecord } from '../../src/uplink/sink.ts';
import type { SimRandom } from '../support/sim-random.ts';
import { Arrivals, type IsRepeated, parse } from './arrivals.ts';

/**
 * How the upstream is at the moment. `lossy`: it takes a record and its link breaks before the ack.
 * `stalled`: it is connected and says nothing.
 */
export const MOODS = ['up', 'up', 'up', 'slow', 'lossy', 'stalled', 'down', 'refusing'] as const;
export type Mood = (typeof MOODS)[number];

const WINDOW = 100;

/** What the upstream asks to judge what arrives. */
export interface Gateway {
  /** Whether a device published the message at QoS 2. */
  isTwo(device: string, number: number): boolean;
  readonly isRepeated: IsRepeated;
  /** The oldest offset that is kept. */
  headOf(stream: string, partition: number): number;
}

/** A destination that outlives the gateway's crashes, keeps what arrives, and has moods. */
export class Upstream {
  mood: Mood = 'up';
  readonly arrivals: Arrivals;
  readonly violations: string[] = [];
  /** By QoS 2 message, the place in the ring it came from: there must be one. */
  readonly #places = new Map<string, string>();
  readonly #random: SimRandom;
  /** By partition, the offset after the highest that arrived. */
  readonly #ends = new Map<string, number>();
  readonly #gateway: Gateway;

  constructor(random: SimRandom, gateway: Gateway) {
    this.#random = random;
    this.#gateway = gateway;
    this.arrivals = new Arrivals('upstream', gateway.isRepeated);
  }

  sinkOn(clock: Clock): Sink {
    return {
      type: 'sim',
      prefersBatches: false,
      connect: (listener, signal) => this.#connect(clock, listener, signal),
    };
  }

  async #connect(clock: Clock, listener: LinkListener, signal: AbortSignal): Promise<SinkLink> {
    await new Promise<void>((resolve) => clock.after(5 + this.#random.below(200), resolve));
    if (this.mood === 'down' || signal.aborted) {
      throw new CisternError('UPSTREAM_UNREACHABLE', 'nobody is there');
    }
    if (this.mood === 'refusing') throw new CisternError('UPSTREAM_REFUSED', 'not authorised');
    const link = { isOpen: true, isStuck: false, waiting: 0 };
    // What a link takes it takes in order, one record after the other.
    let freeAtMs = 0;
    const take = (record: UplinkRecord): void => {
      // What is swallowed is never answered, so nothing behind it may be on this link.
      link.isStuck ||= this.mood === 'stalled';
      if (!link.isOpen || link.isStuck) return;
      if (this.mood === 'down' || this.mood === 'refusing') {
        link.isOpen = false;
        listener.onClosed(new CisternError('UPSTREAM_UNREACHABLE', 'the link broke'), false);
        return;
      }
      this.#note(record);
      if (this.mood === 'lossy' && this.#random.chance(0.1)) {
        link.isOpen = false;
        listener.onClosed(new CisternError('UPSTREAM_UNREACHABLE', 'the link broke'), false);
        return;
      }
      link.waiting -= 1;
      const kind = this.#random.chance(0.02) ? 'duplicate' : 'acknowledged';
      listener.onSettled(record, { kind });
    };
    return {
      get room() {
        return WINDOW - link.waiting;
      },
      send: (records) => {
        link.waiting += records.length;
        if (link.waiting > WINDOW) this.violations.push('the window of the upstream was exceeded');
        for (const record of records) {
          const eachMs = this.mood === 'slow' ? 4_000 : this.#random.below(4);
          freeAtMs = Math.max(freeAtMs, clock.monotonicMs() + 20) + eachMs;
          clock.after(freeAtMs - clock.monotonicMs(), () => take(record));
        }
      },
      close: async () => {
        link.isOpen = false;
      },
    };
  }

  #note({ payload, stream, partition, offset }: UplinkRecord): void {
    this.#checkSkipped(`${stream}/${partition}`, offset, this.#gateway.headOf(stream, partition));
    const text = Buffer.from(payload).toString();
    this.arrivals.note(text);
    const { device, number } = parse(text);
    if (!this.#gateway.isTwo(device, number)) return;
    const place = `${stream}/${partition}/${offset}`;
    const known = this.#places.get(`${device} ${number}`);
    if (known === undefined) this.#places.set(`${device} ${number}`, place);
    else if (known !== place) {
      this.violations.push(`QoS 2 ${device} ${number} is in the ring at ${known} and at ${place}`);
    }
  }

  /** Nothing is left out but what rotation took. */
  #checkSkipped(partition: string, offset: number, head: number): void {
    const end = this.#ends.get(partition) ?? 0;
    this.#ends.set(partition, Math.max(end, offset + 1));
    if (offset <= end || offset <= head) return;
    // Where a cut leaves the tail in doubt, the next start jumps over what may have been given out.
    if (offset >= end + UNCERTAIN_TAIL_JUMP) return;
    this.violations.push(`upstream: ${partition} goes on at ${offset} after ${end}, head ${head}`);
  }
}
