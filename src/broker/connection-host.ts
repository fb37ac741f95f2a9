import type { ControlPacket } from '../codec/control-packet.ts';
import type { PublishView } from '../codec/packet-decoder.ts';
import type { Socket } from '../platform/network.ts';
import type { Logger } from '../platform/logger.ts';
import type { DurabilityWaiter } from '../ring/types.ts';
import type { Connection } from './connection.ts';
import type { BrokerCounters } from './counters.ts';
import type { MessageExpiry } from './message-expiry.ts';
import type { Output, OutputOwner } from './output.ts';

/** What a connection asks of the broker. It does not know the ring, nor other connections. */
export interface ConnectionHost {
  readonly logger: Logger;
  readonly counters: BrokerCounters;
  readonly durableSequence: number;
  readonly accepting: boolean;
  /** Calls `waiter.onDurable` when what has this sequence may be durable, with how far that is so. */
  whenDurable(sequence: number, waiter: DurabilityWaiter): void;
  /** QoS 1 and 2 messages that a 5.0 client may have unacknowledged. */
  readonly receiveMaximum: number;
  nowMs(): number;
  readonly expiry: MessageExpiry;
  received(bytes: number): void;
  /** Runs `fn` when everybody else has had a turn. */
  afterTurn(fn: () => void): void;
  createOutput(socket: Socket, owner: OutputOwner): Output;
  onPacket(connection: Connection, packet: ControlPacket): void;
  onPublish(connection: Connection, view: PublishView): void;
  onPubrel(connection: Connection, packetId: number): void;
  onClosed(connection: Connection, error: Error | undefined): void;
  /** The ring cannot take more now: `connection.unpark()` is called when it can. */
  park(connection: Connection): void;
}
