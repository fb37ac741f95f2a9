import type { Rights } from '../auth/types.ts';
import { CisternError, ProtocolError } from '../base/errors.ts';
import { parsePublishProperties } from '../codec/publish-properties.ts';
import type { StateStore } from '../metadata/state-store.ts';
import { stateKey, stateKeyParts } from '../metadata/state-codec.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { EventTimes } from '../ring/event-time.ts';
import type { EventTime } from '../ring/types.ts';
import { mayPublish } from './authorizer.ts';
import type { ClientSession } from './client-session.ts';
import type { Durability } from './durability.ts';
import { Publication } from './publication.ts';
import type { Router } from './router.ts';
import type { SessionRegistry } from './session-registry.ts';
import type { TopicTable } from './topics.ts';

/** After a restart the broker cannot tell who is still there: clients get this long to return. */
const GRACE_AFTER_RESTART_MS = 30_000;

export interface WillMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties: Uint8Array;
  readonly delaySeconds: number;
}

interface Due {
  /** When the connection was lost. */
  readonly since: EventTime;
  readonly delayMs: number;
  /** Monotonic: not before, whatever the delay. */
  readonly notBeforeMs: number;
  /** Left behind by a stop, so that the client's return takes it back whatever it asks for. */
  readonly afterRestart: boolean;
}

/**
 * Will messages [MQTT5 3.1.2.5]. One is lasting from CONNECT on, so a power cut does not silence it.
 *
 * Invariant: a will is in the state store from CONNECT until it is published or taken back.
 */
export class Wills {
  readonly #state: StateStore;
  readonly #durability: Durability;
  readonly #router: Router;
  readonly #topics: TopicTable;
  readonly #clock: Clock;
  readonly #times: EventTimes;
  readonly #registry: Pick<SessionRegistry, 'get'>;
  readonly #logger: Logger;
  /** Wills of clients that are gone, by client id. */
  readonly #due = new Map<string, Due>();

  constructor(options: {
    readonly state: StateStore;
    readonly durability: Durability;
    readonly router: Router;
    readonly topics: TopicTable;
    readonly clock: Clock;
    readonly times: EventTimes;
    readonly registry: Pick<SessionRegistry, 'get'>;
    readonly logger: Logger;
  }) {
    this.#state = options.state;
    this.#durability = options.durability;
    this.#router = options.router;
    this.#topics = options.topics;
    this.#clock = options.clock;
    this.#times = options.times;
    this.#registry = options.registry;
    this.#logger = options.logger;
  }

  /** Wills that a stop left behind, once the sessions are there. Their delay counts from the loss. */
  load(): void {
    const notBeforeMs = this.#clock.monotonicMs() + GRACE_AFTER_RESTART_MS;
    for (const [key, value] of this.#state.entries(stateKey('will', ''))) {
      const { delaySeconds } = value as WillMessage;
      const clientId = stateKeyParts(key)[1] as string;
      const session = this.#registry.get(clientId);
      const delayMs = Math.min(delaySeconds, session?.expirySeconds ?? 0) * 1000;
      const since = session?.goneSince ?? this.#times.now();
      this.#due.set(clientId, { since, delayMs, notBeforeMs, afterRestart: true });
    }
  }

  /** CONNECT: replaces the will of an earlier connection, which the delay had held back [MQTT-3.1.3-9]. */
  register(clientId: string, will: WillMessage | undefined): void {
    this.#due.delete(clientId);
    if (will !== undefined) this.#state.put(stateKey('will', clientId), will);
    else this.cancel(clientId);
  }

  /** DISCONNECT with reason 0: the will is deleted and not sent [MQTT-3.14.4-3]. */
  cancel(clientId: string): void {
    this.#due.delete(clientId);
    const key = stateKey('will', clientId);
    if (this.#state.get(key) !== undefined) this.#state.delete(key);
  }

  /**
   * The connection ended without that. The will is due after its delay, or when the session ends, as
   * far as its client may publish it now.
   */
  connectionLost(session: ClientSession, rights: Rights): void {
    const will = this.#stored(session.clientId);
    if (will === undefined) return;
    if (!mayPublish(rights, will.topic)) {
      this.cancel(session.clientId);
      return;
    }
    if (will.delaySeconds === 0 || !session.durable) {
      this.publish(session.clientId);
      return;
    }
    const delayMs = Math.min(will.delaySeconds, session.expirySeconds) * 1000;
    const since = this.#times.now();
    this.#due.set(session.clientId, { since, delayMs, notBeforeMs: 0, afterRestart: false });
  }

  /** Publishes the client's will, if it has one: now, or when flash takes it. */
  publish(clientId: string): void {
    this.#due.delete(clientId);
    const will = this.#stored(clientId);
    if (will === undefined) return;
    if (this.#durability.isHeldUp || !this.#route(clientId, will)) {
      const since = this.#times.now();
      this.#due.set(clientId, { since, delayMs: 0, notBeforeMs: 0, afterRestart: false });
      return;
    }
    this.#state.delete(stateKey('will', clientId));
  }

  /** False where the ring has no room for it. */
  #route(clientId: string, will: WillMessage): boolean {
    const publication = new Publication(this.#topics.get(will.topic));
    publication.qos = will.qos;
    publication.retain = will.retain;
    publication.properties = will.properties;
    publication.payload = will.payload;
    publication.origin = clientId;
    const { messageExpirySeconds } = parsePublishProperties(
      will.properties,
      0,
      will.properties.length,
    );
    if (messageExpirySeconds !== undefined) {
      publication.expirySeconds = messageExpirySeconds;
      publication.receivedMs = this.#clock.monotonicMs();
    }
    try {
      // The message first: a cut in between repeats the will instead of losing it.
      this.#router.route(publication, undefined, true);
      return true;
    } catch (error) {
      if (error instanceof CisternError && error.code === 'RING_FULL') return false;
      if (!(error instanceof ProtocolError)) throw error;
      // Larger than the ring takes, with its topic and its client's id: it would be so for ever.
      this.#logger.error('client.will_dropped', { client: clientId, error: error.message });
      return true;
    }
  }

  publishDue(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [clientId, { since, delayMs, notBeforeMs }] of [...this.#due]) {
      const isDue = nowMs >= notBeforeMs && (this.#times.ageMs(since) ?? 0) >= delayMs;
      if (isDue) this.publish(clientId);
    }
  }

  /** A clean start ends the session, and with it the delay of its will [MQTT5 3.1.2.5]. */
  sessionEnds(clientId: string): void {
    if (this.#due.get(clientId)?.afterRestart === false) this.publish(clientId);
  }

  #stored(clientId: string): WillMessage | undefined {
    return this.#state.get(stateKey('will', clientId)) as WillMessage | undefined;
  }
}
