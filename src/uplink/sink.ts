import type { CisternError } from '../base/errors.ts';
import type { Offset } from '../ring/types.ts';

/** A record as a destination gets it. Byte fields are views that nobody changes. */
export interface UplinkRecord {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** In the order of the message, names may repeat. */
  readonly userProperties: readonly (readonly [name: string, value: string])[];
  readonly contentType: string | undefined;
  readonly payloadFormat: number | undefined;
  readonly responseTopic: string | undefined;
  readonly correlationData: Uint8Array | undefined;
  /** Milliseconds of life that it has left, now; undefined where it has no expiry. */
  readonly expiryLeftMs: number | undefined;
  /**
   * When it was appended, milliseconds since 1970, as far as that is known now: a gateway that has been
   * told the time knows it of earlier records too.
   */
  readonly eventTimeMs: number;
  /** False where `eventTimeMs` is a guess that only keeps the order. */
  readonly isTimeKnown: boolean;
  /** `<node>/<lineage>/<stream>/<partition>/<offset>`: the same at each attempt, unique for ever. */
  readonly origin: string;
  /** The id of the client that published it, or ''. */
  readonly clientId: string;
  readonly stream: string;
  /** Index in its stream. */
  readonly partition: number;
  readonly offset: Offset;
}

/**
 * What became of one record. The kinds differ in whose fault it is, because only a fault of the
 * record may cost the record:
 * - `acknowledged`: the destination has it, for good.
 * - `duplicate`: it had it already, and says so; counts as acknowledged.
 * - `poison`: this record will never be taken, whatever is tried (too large, illegal topic).
 * - `refused`: the destination takes no such records now (not authorised, unroutable). The uplink
 *   stalls and keeps its backlog.
 * - `throttled`: the destination asks for a pause. The link is dropped and backoff begins.
 */
export type SendOutcome =
  | { readonly kind: 'acknowledged' | 'duplicate' }
  | { readonly kind: 'poison' | 'refused' | 'throttled'; readonly message: string };

/** What a link tells its user. Nothing is told after `onClosed`, or after the user's `close`. */
export interface LinkListener {
  /** Once for each record handed over, in any order, never within `send`. */
  onSettled(record: UplinkRecord, outcome: SendOutcome): void;
  /** `room` was 0 and is not any more. May be told too often. */
  onRoom(): void;
  /**
   * The link is gone; records not settled may or may not have arrived. `endedByPeer`: the peer itself
   * ended it, and may have done so because of a record. Silence, a network that is down and a peer
   * that names another reason are not that.
   */
  onClosed(error: CisternError, endedByPeer: boolean): void;
}

/**
 * One connection to a destination.
 *
 * - MQTT: records are acknowledged one by one inside the peer's Receive Maximum.
 * - NATS and RabbitMQ confirms: one by one; `room` is what may wait for its ack.
 * - RabbitMQ streams: publishing id = offset + 1, `resumeFrom` is the queried sequence.
 * - Kafka: one `send` is one produce request, or one transaction that holds its offset; all its
 *   records settle together, and `resumeFrom` is the offset committed upstream.
 */
export interface SinkLink {
  /** Records that `send` takes now. Whoever hands over more breaks the destination's flow control. */
  readonly room: number;
  /** Takes records in order of offset within each partition, at most `room`. Never throws. */
  send(records: readonly UplinkRecord[]): void;
  /**
   * Where the destination knows this uplink's position better than the local cursor: the next
   * offset it expects, or undefined where it knows none. Asked once a partition, before its first
   * `send`. Sinks without such knowledge leave it out.
   */
  resumeFrom?(stream: string, partition: number): Promise<Offset | undefined>;
  /**
   * Takes leave where the protocol has a word for it, and lets go without waiting for more than a
   * fraction of a second. Resolves when nothing is held any more.
   */
  close(): Promise<void>;
}

/** A kind of destination and its configuration. Makes links; the forwarder decides when. */
export interface Sink {
  /** `mqtt`, `kafka`, `rabbitmq`, `nats`. */
  readonly type: string;
  /** Whether waiting for a fuller batch saves anything there. */
  readonly prefersBatches: boolean;
  /**
   * One attempt, never retried inside. Fails with UPSTREAM_UNREACHABLE (a fault of the link) or
   * UPSTREAM_REFUSED (of the destination: credentials, rights). Aborting `signal` ends the attempt.
   */
  connect(listener: LinkListener, signal: AbortSignal): Promise<SinkLink>;
}
