import type { PublishView } from '../codec/packet-decoder.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Ring } from '../ring/types.ts';
import type { StreamGate } from '../streams/stream-gate.ts';
import type { Connection } from './connection.ts';

/** A client that waits longer than that is closed: it may find a way round, and keeps its message. */
const LONGEST_WAIT_MS = 30_000;

interface Waiting {
  readonly view: PublishView;
  readonly gate: StreamGate;
  readonly timer: Timer;
}

/**
 * Publishers whose message has no room in a stream that blocks: each keeps its one message here, and
 * its socket is not read, until a reader of the stream has moved on or {@link LONGEST_WAIT_MS} are over.
 */
export class BlockedPublishers {
  readonly #clock: Clock;
  readonly #ring: Pick<Ring, 'accepting' | 'failed' | 'onAccepting'>;
  readonly #retry: (connection: Connection, view: PublishView) => void;
  readonly #onTimeout: (connection: Connection, gate: StreamGate) => void;
  readonly #waiting = new Map<Connection, Waiting>();
  readonly #gates = new WeakMap<StreamGate, Set<Connection>>();

  constructor(options: {
    readonly clock: Clock;
    readonly ring: Pick<Ring, 'accepting' | 'failed' | 'onAccepting'>;
    /** Tries the message again, which may block it again. */
    readonly retry: (connection: Connection, view: PublishView) => void;
    readonly onTimeout: (connection: Connection, gate: StreamGate) => void;
  }) {
    this.#clock = options.clock;
    this.#ring = options.ring;
    this.#retry = options.retry;
    this.#onTimeout = options.onTimeout;
  }

  /** `view` is copied. A message that is tried again keeps the time that it has waited. */
  block(connection: Connection, view: PublishView, gate: StreamGate): void {
    if (!this.#waiting.has(connection)) {
      const timer = this.#clock.after(LONGEST_WAIT_MS, () => {
        this.forget(connection);
        this.#onTimeout(connection, gate);
      });
      this.#waiting.set(connection, { view: copyOf(view), gate, timer });
      connection.block();
    }
    this.#waitersOf(gate).add(connection);
  }

  forget(connection: Connection): void {
    const waiting = this.#waiting.get(connection);
    if (waiting === undefined) return;
    waiting.timer.cancel();
    this.#waiting.delete(connection);
    this.#gates.get(waiting.gate)?.delete(connection);
  }

  #waitOn(gate: StreamGate, connections: readonly Connection[]): void {
    for (const connection of connections) this.#waitersOf(gate).add(connection);
  }

  #waitersOf(gate: StreamGate): Set<Connection> {
    let waiters = this.#gates.get(gate);
    if (waiters === undefined) {
      waiters = new Set();
      this.#gates.set(gate, waiters);
      gate.whenMoved(() => this.#moved(gate));
    }
    return waiters;
  }

  /**
   * In the order in which they came: where one finds no room in the stream, it and those behind it wait
   * on, and so they do while the ring takes nothing. One that has failed refuses each.
   */
  #moved(gate: StreamGate): void {
    const waiters = [...(this.#gates.get(gate) ?? [])];
    this.#gates.delete(gate);
    for (const [index, connection] of waiters.entries()) {
      if (!this.#ring.accepting && !this.#ring.failed) {
        this.#waitOn(gate, waiters.slice(index));
        this.#ring.onAccepting(() => this.#moved(gate));
        return;
      }
      const waiting = this.#waiting.get(connection);
      if (waiting === undefined) continue;
      this.#retry(connection, waiting.view);
      if (this.#gates.get(gate)?.has(connection) === true) {
        this.#waitOn(gate, waiters.slice(index + 1));
        return;
      }
      this.forget(connection);
      connection.unblock();
    }
  }
}

/** The buffer of a view is the socket's, and is filled anew. */
function copyOf(view: PublishView): PublishView {
  const { topicStart, topicEnd, propertiesStart, propertiesEnd, payloadStart, payloadEnd } = view;
  const from = Math.min(topicStart, propertiesStart, payloadStart);
  const buffer = Buffer.from(view.buffer.subarray(from, payloadEnd));
  return {
    ...view,
    buffer,
    topicStart: topicStart - from,
    topicEnd: topicEnd - from,
    propertiesStart: propertiesStart - from,
    propertiesEnd: propertiesEnd - from,
    payloadStart: payloadStart - from,
    payloadEnd: payloadEnd - from,
  };
}
