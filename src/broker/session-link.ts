import type { Rights } from '../auth/types.ts';
import type { InFlight } from '../session/delivery.ts';
import type { ClientSession } from './client-session.ts';
import type { OutgoingPool } from './outgoing-queue.ts';
import type { Publication } from './publication.ts';

/** A QoS 1 or 2 message for one client, with what the client's subscriptions say of it. */
export interface Outgoing {
  readonly publication: Publication;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[];
}

/** What a session asks of the connection that carries it. */
export interface SessionLink {
  readonly rights: Rights;
  /** False while the peer does not take what it was sent: nothing more is put in flight. */
  readonly writable: boolean;
  /** Sends a PUBLISH; false where the peer's Maximum Packet Size forbids it. */
  sendPublish(
    publication: Publication,
    qos: 0 | 1 | 2,
    retain: boolean,
    duplicate: boolean,
    packetId: number,
    subscriptionIds: readonly number[],
  ): boolean;
  sendPubrel(packetId: number): void;
  /** Runs `fn`, in the order of this connection's acks, once the ring is durable up to `sequence`. */
  afterDurable(sequence: number, fn: () => void): void;
}

/** Why a message for a session was let go. */
export type SessionDrop =
  | 'queue_full'
  | 'session_queue_full'
  | 'packet_too_large'
  | 'lapped'
  | 'expired'
  | 'not_authorized'
  | 'no_shared_member';

/** Reads from the ring for a session until it is live, or is stopped. */
export interface CatchUpHandle {
  /** The session has room again. */
  wake(): void;
  stop(): void;
}

/** What a session asks of the broker's storage. Every change returns the sequence that makes it lasting. */
export interface SessionJournal {
  handshake(session: ClientSession, entry: InFlight<Outgoing>): number;
  handshakeEnded(session: ClientSession, entry: InFlight<Outgoing>): void;
  cursorMoved(session: ClientSession): void;
  dropped(reason: SessionDrop, count: number): void;
  /** Rotation took messages before the session had them. */
  lost(session: ClientSession, count: number): void;
  /** Whether a message's time is over [MQTT-3.3.2-5]. */
  isExpired(publication: Publication): boolean;
  /** Starts reading from the ring what the session has not had yet. */
  catchUp(session: ClientSession): CatchUpHandle;
  /** What all sessions together may have waiting in memory. */
  readonly outgoing: OutgoingPool;
}
