import { assert } from '../base/assert.ts';
import { CisternError, ProtocolError } from '../base/errors.ts';
import { encodeControl, type OutgoingControl } from '../codec/control-encoder.ts';
import type { AckType, ControlPacket, ProtocolVersion } from '../codec/control-packet.ts';
import { PacketType } from '../codec/control-packet.ts';
import { PacketDecoder, type PacketHandler, type PublishView } from '../codec/packet-decoder.ts';
import { noProperties } from '../codec/properties.ts';
import {
  ACK_BYTES,
  ACK_WITH_REASON_BYTES,
  writeAck,
  writeAckWithReason,
} from '../codec/publish-encoder.ts';
import { ReasonCode } from '../codec/reason-codes.ts';
import type { Socket } from '../platform/network.ts';
import type { DurabilityWaiter } from '../ring/types.ts';
import { type Admission, type Authorizer, type Rights, NO_RIGHTS } from '../auth/types.ts';
import type { ClientIdentity } from './authorizer.ts';
import type { ClientSession } from './client-session.ts';
import type { ConnectionHost } from './connection-host.ts';
import { GatedQueue, type GatedItem } from './gated-queue.ts';
import { type KnownTopic, NO_TOPICS } from './known-topics.ts';
import type { Output, OutputOwner } from './output.ts';
import { NO_BYTES, type Publication } from './publication.ts';
import { PublishWriter } from './publish-writer.ts';
import type { SessionLink } from './session-link.ts';

/** Of control packets in one turn of one connection: a PINGREQ is 1, a filter of a SUBSCRIBE more. */
const COST_A_TURN = 256;
const FILTER_COST = 16;

function costOf(packet: ControlPacket): number {
  switch (packet.type) {
    case 'subscribe':
      return FILTER_COST * packet.subscriptions.length;
    case 'unsubscribe':
      return FILTER_COST * packet.filters.length;
    default:
      return 1;
  }
}

/** What keeps a socket from being read. */
const Hold = {
  /** The ring takes nothing. */
  parked: 1,
  /** The peer does not read what it was answered. */
  unread: 2,
  /** Its CONNECT is not answered yet. */
  admitting: 4,
  /** It has had its share of a turn: what is left of its chunk is read in the next one. */
  resting: 8,
  /** Its message has no room in a stream that blocks. */
  blocked: 16,
} as const;

export type Admitted = Extract<Admission, { kind: 'admitted' }>;

/** One discriminated union instead of a handful of booleans. */
export type ConnectionState =
  | { readonly kind: 'connecting'; readonly sinceMs: number }
  | {
      readonly kind: 'open';
      readonly session: ClientSession;
      readonly identity: ClientIdentity;
      readonly admission: Admitted;
    }
  | { readonly kind: 'closed' };

/**
 * One network connection: bytes to packets, acks in their order and after their commit, and one
 * write to the socket a turn.
 *
 * Invariants:
 * - Once `closed`, nothing is written and no packet is handled.
 * - Acks leave in the order of the packets they answer, none before what it stands for is durable.
 * - While there is any reason in {@link Hold}, the socket is not read.
 */
export class Connection implements PacketHandler, SessionLink, DurabilityWaiter, OutputOwner {
  readonly isClient = true;
  readonly socket: Socket;
  readonly output: Output;
  readonly authorizer: Authorizer;
  readonly listenerAddress: string;
  topics = NO_TOPICS;
  /** What those take. */
  topicBytes = 0;
  /** Most devices publish to one topic again and again. */
  lastTopic: KnownTopic | undefined;
  /** What the client's topic aliases stand for, from 1; made with the first one. */
  aliasedTopics: (KnownTopic | undefined)[] | undefined;
  state: ConnectionState;
  /** What the client may do, once it is open. */
  rights: Rights = NO_RIGHTS;
  version: ProtocolVersion = 4;
  keepAliveMs = 0;
  lastPacketMs: number;
  readonly #host: ConnectionHost;
  readonly #decoder: PacketDecoder;
  readonly #acks = new GatedQueue();
  readonly #publishes: PublishWriter;
  /** QoS 1 and 2 messages of the client that were not acknowledged on this connection. */
  #unacknowledged = 0;
  #waitingForCommit = false;
  /** Why the socket is not read: bits of {@link Hold}. */
  #holds = 0;
  #turnCost = 0;

  constructor(options: {
    socket: Socket;
    host: ConnectionHost;
    authorizer: Authorizer;
    listenerAddress: string;
    maxPacketBytes: number;
  }) {
    this.socket = options.socket;
    this.authorizer = options.authorizer;
    this.listenerAddress = options.listenerAddress;
    this.#host = options.host;
    this.output = this.#host.createOutput(this.socket, this);
    this.#decoder = new PacketDecoder({ maxPacketBytes: options.maxPacketBytes });
    this.#publishes = new PublishWriter(this.output, this.#host.counters, this.#host.expiry);
    this.lastPacketMs = this.#host.nowMs();
    this.state = { kind: 'connecting', sinceMs: this.lastPacketMs };
    this.socket.onData = (chunk) => this.#receive(chunk);
    this.socket.onClose = (error) => this.#closed(error);
  }

  get isOpen(): boolean {
    return this.state.kind === 'open';
  }

  get session(): ClientSession {
    assert(this.state.kind === 'open', 'only an open connection has a session');
    return this.state.session;
  }

  get identity(): ClientIdentity {
    assert(this.state.kind === 'open', 'only an open connection has an identity');
    return this.state.identity;
  }

  /** Of a packet that has not come whole yet. */
  get unfinishedBytes(): number {
    return this.#isHeldBy(Hold.parked | Hold.blocked)
      ? 0
      : this.#decoder.bufferedBytes + (this.socket.heldBytes ?? 0);
  }

  get writable(): boolean {
    return this.output.writable;
  }

  /** CONNECT was accepted. What follows in the same chunk is read by this version's rules. */
  opened(
    session: ClientSession,
    client: { readonly identity: ClientIdentity; readonly admission: Admitted },
    version: ProtocolVersion,
    takes: { readonly maximumPacketBytes?: number; readonly topicAliasMaximum?: number },
  ): void {
    this.version = version;
    this.#publishes.version = version;
    this.#publishes.maxPacketBytes = takes.maximumPacketBytes ?? Number.POSITIVE_INFINITY;
    this.#publishes.takeAliases(takes.topicAliasMaximum ?? 0);
    this.#decoder.protocolVersion = version;
    this.rights = client.admission.rights;
    this.state = { kind: 'open', session, ...client };
  }

  /**
   * Reads nothing more until it is known whether the client may come in: what it sent behind its
   * CONNECT is handled after it [MQTT-3.1.4-6]. `answer` is not called where the connection has ended
   * meanwhile.
   */
  whenAdmitted(pending: Promise<Admission>, answer: (admission: Admission) => void): void {
    this.#readNothing();
    void pending.then((admission) => {
      this.#release(Hold.admitting);
      if (this.state.kind !== 'connecting') return;
      // How long we took to answer says nothing of how long the client was silent.
      this.lastPacketMs = this.#host.nowMs();
      this.#guarded(() => answer(admission));
      this.#readOn();
    });
  }

  /** CONNACK has left and the session is attached: what came behind CONNECT is read. */
  greeted(): void {
    if (!this.#isHeldBy(Hold.admitting)) return;
    this.#release(Hold.admitting);
    this.lastPacketMs = this.#host.nowMs();
    this.#readOn();
  }

  #readNothing(): void {
    this.#hold(Hold.admitting);
    this.#decoder.stop();
  }

  // Packets in.

  onPublish(view: PublishView): void {
    const { counters } = this.#host;
    counters.packetsReceived++;
    counters.receivedPayloadBytes += view.payloadEnd - view.payloadStart;
    if (view.qos > 0 && this.version === 5) this.#countUnacknowledged();
    this.#host.onPublish(this, view);
    this.#parkUnlessAccepting();
  }

  #countUnacknowledged(): void {
    this.#unacknowledged++;
    if (this.#unacknowledged > this.#host.receiveMaximum) {
      // [MQTT-3.3.4-7] binds the client, section 3.3.4 says what it gets.
      throw new ProtocolError(
        ReasonCode.receiveMaximumExceeded,
        `more than ${this.#host.receiveMaximum} messages without an acknowledgement`,
      );
    }
  }

  onAck(type: AckType, packetId: number, reasonCode: number): void {
    this.#host.counters.packetsReceived++;
    if (this.state.kind !== 'open') return;
    const { session } = this.state;
    switch (type) {
      case PacketType.puback:
        session.acknowledged(packetId);
        return;
      case PacketType.pubrec:
        if (!session.received(packetId, reasonCode >= 0x80)) this.#unknownPubrec(packetId);
        break;
      case PacketType.pubrel:
        this.#host.onPubrel(this, packetId);
        break;
      case PacketType.pubcomp:
        session.completed(packetId);
    }
    this.#parkUnlessAccepting();
  }

  onControl(packet: ControlPacket): void {
    this.#host.counters.packetsReceived++;
    this.#host.onPacket(this, packet);
    this.#parkUnlessAccepting();
    // One chunk holds thousands of packets that are small and not cheap: seconds for all others.
    this.#turnCost += costOf(packet);
    if (this.#turnCost >= COST_A_TURN) this.#rest();
  }

  #rest(): void {
    if (this.#isHeldBy(Hold.resting) || this.#isClosed()) return;
    this.#hold(Hold.resting);
    this.#decoder.stop();
    this.#host.afterTurn(() => {
      this.#release(Hold.resting);
      this.#turnCost = 0;
      this.#readOn();
    });
  }

  // Packets out.

  sendPublish(
    publication: Publication,
    qos: 0 | 1 | 2,
    retain: boolean,
    duplicate: boolean,
    packetId: number,
    subscriptionIds: readonly number[],
  ): boolean {
    return this.#publishes.write(publication, qos, retain, duplicate, packetId, subscriptionIds);
  }

  sendPubrel(packetId: number): void {
    this.#writeAck(PacketType.pubrel, packetId);
  }

  /** Sends a whole packet, ahead of acks that still wait: for those that promise nothing. */
  send(packet: OutgoingControl): void {
    if (this.state.kind === 'closed') return;
    this.#writePacket(this.#encode(packet));
  }

  /** Acknowledges in order, once the ring is durable up to `sequence` (0: nothing to wait for). */
  acknowledge(type: AckType, packetId: number, sequence: number): void {
    if (sequence <= this.#host.durableSequence && this.#acks.isEmpty) {
      this.#writeAck(type, packetId);
      return;
    }
    this.#defer(sequence, (type << 16) | packetId);
  }

  /** A refusal or a remark (5.0), in the order of the acks. Most promise nothing and wait for no commit. */
  acknowledgeWithReason(type: AckType, packetId: number, reasonCode: number, sequence = 0): void {
    const bytes = new Uint8Array(ACK_WITH_REASON_BYTES);
    writeAckWithReason(bytes, 0, type, packetId, reasonCode);
    if (type !== PacketType.pubrec || reasonCode >= 0x80) this.#noteAcknowledged();
    this.#defer(sequence, bytes);
  }

  /** At once, so that a slow device costs no connection, but not before CONNACK [MQTT-3.2.0-1]. */
  answerPing(): void {
    const isGreeted = this.state.kind === 'open' && this.state.session.link === this;
    if (isGreeted) this.send({ type: 'pingresp' });
    else this.sendAfterDurable(0, { type: 'pingresp' });
  }

  /** As `acknowledge`, for a whole packet. */
  sendAfterDurable(sequence: number, packet: OutgoingControl): void {
    this.#defer(sequence, this.#encode(packet));
  }

  /**
   * The CONNACK of a client that is let in. False, and the connection is closed, where the client
   * takes no packet as large: it says what the client must keep to, so nothing of it can be left out.
   */
  sendConnack(sequence: number, packet: OutgoingControl): boolean {
    const bytes = encodeControl(packet, this.version);
    if (bytes.length > this.#publishes.maxPacketBytes) {
      this.finish();
      return false;
    }
    this.#defer(sequence, bytes);
    // [MQTT-3.2.0-1]: nothing is answered before it, so nothing is read until `greeted`.
    if (!this.#acks.isEmpty) this.#readNothing();
    return true;
  }

  afterDurable(sequence: number, fn: () => void): void {
    this.#defer(sequence, fn);
  }

  onDurable(durableSequence: number): void {
    this.#waitingForCommit = false;
    if (this.state.kind === 'closed') return;
    this.#acks.release(durableSequence, (item) => this.#emit(item));
    this.#waitForCommit();
  }

  // Ends.

  /** Says why (5.0), then closes. A will is published unless the session drops it first. */
  disconnect(reasonCode: number, reason?: string): void {
    if (this.state.kind === 'closed') return;
    if (this.version === 5 && this.state.kind === 'open') {
      const properties = reason === undefined ? {} : { reasonString: reason };
      this.send({ type: 'disconnect', reasonCode, properties });
    }
    this.finish();
  }

  /** Sends what is gathered and closes. */
  finish(): void {
    if (this.state.kind === 'closed') return;
    this.output.flush();
    this.socket.end();
    this.#closed(undefined);
  }

  /** Reads nothing until `unblock`: its last message was not taken yet. */
  block(): void {
    this.#hold(Hold.blocked);
    this.#decoder.stop();
  }

  unblock(): void {
    this.#release(Hold.blocked);
    this.#readOn();
  }

  /** Its socket is not read, for reasons that are not its own: it cannot be heard. */
  get isHeldBack(): boolean {
    return this.#isHeldBy(Hold.parked | Hold.blocked);
  }

  /** Handles a message that was held back, as it is handled when it comes. */
  retry(work: () => void): void {
    if (this.isOpen) this.#guarded(work);
  }

  unpark(): void {
    if (!this.#isHeldBy(Hold.parked)) return;
    this.#release(Hold.parked);
    this.#readOn();
  }

  /** Hands out what came while nothing was to be read, then reads the socket again. */
  #readOn(): void {
    // What has come already is answered, also where the peer does not read: it is bounded.
    if ((this.#holds & ~Hold.unread) !== 0 || this.#isClosed()) return;
    // Others may have filled the ring since this one stopped, or have been let on before it.
    this.#parkUnlessAccepting();
    if (this.#isHeldBy(Hold.parked)) return;
    this.#guarded(() => this.#decoder.resume(this));
    this.#holdWhileUnread();
    if (this.#holds === 0) this.socket.resume();
  }

  #isHeldBy(reason: number): boolean {
    return (this.#holds & reason) !== 0;
  }

  #hold(reason: number): void {
    this.#holds |= reason;
    this.socket.pause();
  }

  #release(reason: number): void {
    this.#holds &= ~reason;
  }

  /** Asked anew after each step that may close it. */
  #isClosed(): boolean {
    return this.state.kind === 'closed';
  }

  #receive(chunk: Uint8Array): void {
    if (this.state.kind === 'closed') return;
    this.#turnCost = 0;
    this.lastPacketMs = this.#host.nowMs();
    this.#host.received(chunk.length);
    this.#parkUnlessAccepting();
    this.#guarded(() => this.#decoder.feed(chunk, this));
    this.#holdWhileUnread();
  }

  /** A peer that asks and does not read the answers is not read either, until it has taken them. */
  #holdWhileUnread(): void {
    if (this.writable || this.#isHeldBy(Hold.unread) || this.state.kind === 'closed') return;
    this.#hold(Hold.unread);
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof CisternError && error.code === 'RING_FULL') {
        // It is not acknowledged, so the client sends it again; better than an end for everybody.
        this.#host.logger.error('client.ring_full', { error: error.message });
        this.disconnect(ReasonCode.quotaExceeded, error.message);
        return;
      }
      if (!(error instanceof ProtocolError)) throw error;
      this.#host.logger.warn('client.protocol_error', {
        client: this.state.kind === 'open' ? this.state.identity.clientId : undefined,
        address: this.socket.remoteAddress,
        reason: error.message,
        reasonCode: error.reasonCode,
      });
      this.#refuse(error);
    }
  }

  /** Before CONNACK a fault is answered by one where the version has a code for it [MQTT-3.1.4-2]. */
  #refuse(error: ProtocolError): void {
    if (this.state.kind === 'connecting') {
      const asked = this.#decoder.connectVersion;
      const unsupported = error.reasonCode === ReasonCode.unsupportedProtocolVersion;
      if (asked === 5) {
        this.refuseConnect(5, error.reasonCode);
        return;
      }
      if (unsupported) {
        // [MQTT-3.1.2-2]: CONNACK with return code 1.
        this.refuseConnect(4, 0x01);
        return;
      }
    }
    this.disconnect(error.reasonCode, error.message);
  }

  /** CONNACK with a reason, then the end. */
  refuseConnect(version: ProtocolVersion, reasonCode: number): void {
    this.version = version;
    this.send({
      type: 'connack',
      sessionPresent: false,
      reasonCode,
      properties: noProperties(),
    });
    this.finish();
  }

  #unknownPubrec(packetId: number): void {
    const { output } = this;
    if (this.version === 5) {
      const at = output.reserve(ACK_WITH_REASON_BYTES);
      const { packetIdentifierNotFound } = ReasonCode;
      writeAckWithReason(output.buffer, at, PacketType.pubrel, packetId, packetIdentifierNotFound);
    } else {
      this.sendPubrel(packetId);
    }
  }

  #writeAck(type: AckType, packetId: number): void {
    if (this.state.kind === 'closed') return;
    this.#host.counters.packetsSent++;
    if (type === PacketType.puback || type === PacketType.pubcomp) this.#noteAcknowledged();
    const at = this.output.reserve(ACK_BYTES);
    writeAck(this.output.buffer, at, type, packetId);
  }

  /** A PUBCOMP may end a hand-shake that an earlier connection began. */
  #noteAcknowledged(): void {
    if (this.#unacknowledged > 0) this.#unacknowledged--;
  }

  #defer(gate: number, item: GatedItem): void {
    if (gate <= this.#host.durableSequence && this.#acks.isEmpty) {
      this.#emit(item);
      return;
    }
    this.#acks.push(gate, item);
    this.#waitForCommit();
  }

  #waitForCommit(): void {
    if (this.#waitingForCommit || this.#acks.isEmpty) return;
    this.#waitingForCommit = true;
    this.#host.whenDurable(this.#acks.firstGate, this);
  }

  #emit(item: GatedItem): void {
    if (typeof item === 'number') this.#writeAck((item >> 16) as AckType, item & 0xffff);
    else if (typeof item === 'function') item();
    else if (this.state.kind !== 'closed') this.#writePacket(item);
  }

  /**
   * [MQTT-3.1.2-24]: what is larger than the client takes goes without its properties, which no
   * answer needs, or not at all.
   */
  #encode(packet: OutgoingControl): Uint8Array {
    const { maxPacketBytes } = this.#publishes;
    const whole = encodeControl(packet, this.version);
    if (whole.length <= maxPacketBytes || !('properties' in packet)) return whole;
    const bare = encodeControl({ ...packet, properties: {} }, this.version);
    return bare.length <= maxPacketBytes ? bare : NO_BYTES;
  }

  #writePacket(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#host.counters.packetsSent++;
    this.output.write(bytes);
  }

  /**
   * To be asked before and after each packet that may be stored, a step of QoS 2 or a SUBSCRIBE too:
   * those are let in as long as there is any room, and leave none for the next PUBLISH.
   */
  #parkUnlessAccepting(): void {
    if (this.#host.accepting || this.#isHeldBy(Hold.parked)) return;
    this.#hold(Hold.parked);
    this.#decoder.stop();
    this.#host.park(this);
  }

  /** The peer takes what it is sent again: it is read again, and gets what waited. */
  onWritable(): void {
    if (this.#isHeldBy(Hold.unread)) {
      this.#release(Hold.unread);
      if (this.#holds === 0) this.socket.resume();
    }
    if (this.state.kind === 'open') this.state.session.pump();
  }

  #closed(error: Error | undefined): void {
    if (this.state.kind === 'closed') return;
    this.#host.onClosed(this, error);
    this.state = { kind: 'closed' };
    this.output.close();
    this.#acks.clear();
  }
}
