import type { ControlPacket, DisconnectPacket } from '../codec/control-packet.ts';
import type { PublishView } from '../codec/packet-decoder.ts';
import { ReasonCode } from '../codec/reason-codes.ts';
import { ProtocolError } from '../base/errors.ts';
import type { StateStore } from '../metadata/state-store.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { MemoryUse } from '../platform/memory.ts';
import type { Socket } from '../platform/network.ts';
import type { Random } from '../platform/random.ts';
import type { EventTimes } from '../ring/event-time.ts';
import type { DurabilityWaiter, RecordView, Ring } from '../ring/types.ts';
import { RecordFlag, SESSION_PARTITION_ID, STATE_PARTITION_ID } from '../ring/types.ts';
import type { StreamTable } from '../streams/stream-table.ts';
import type { Authorizer } from '../auth/types.ts';
import type { RingReader } from './catch-up.ts';
import { Connection } from './connection.ts';
import type { ConnectionHost } from './connection-host.ts';
import { BrokerCounters } from './counters.ts';
import { Durability } from './durability.ts';
import type { LappedMessages } from './lapped-messages.ts';
import { handleConnect, type ConnectContext } from './handle-connect.ts';
import { PublishHandler } from './handle-publish.ts';
import { handleSubscribe, handleUnsubscribe, type SubscribeContext } from './handle-subscribe.ts';
import type { BrokerLimits } from './limits.ts';
import { MessageExpiry } from './message-expiry.ts';
import { ChunkPool, Output, type OutputOwner } from './output.ts';
import { RetainedMessages } from './retained.ts';
import { Router } from './router.ts';
import { createSessionParts } from './session-parts.ts';
import type { SessionRegistry } from './session-registry.ts';
import { storedMessages, SYS_INTERVAL_MS, type SysSource, SysTopics } from './sys-topics.ts';
import { Wills } from './wills.ts';

const SWEEP_INTERVAL_MS = 1_000;
const CURSOR_SAVE_INTERVAL_MS = 5_000;
/** Most whom a crash has cut off are back by then; of the others it is noted since when they are gone. */
const ABSENCE_SAVE_INTERVAL_MS = 60_000;
const LAPSE_SAVE_INTERVAL_MS = 3_600_000;
/** A socket that opens and says nothing is closed after this. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Bytes of packets that have begun and not ended, over all connections. */
const MAX_UNFINISHED_BYTES = 64 * 1024 * 1024;

export interface BrokerOptions {
  readonly ring: Ring;
  readonly state: StateStore;
  readonly streams: StreamTable;
  readonly clock: Clock;
  readonly times: EventTimes;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: BrokerLimits;
  /** Go on from memory while flash cannot be written. */
  readonly mayUseMemory: boolean;
  /** Of this program, for `$SYS`. */
  readonly memory: MemoryUse;
  readonly version: string;
}

/**
 * The MQTT broker: connections, sessions, routing. It owns every connection and all that is kept
 * about clients; the ring and the state store are handed in and closed by whoever made them.
 *
 * Life: `replay` for each record that the scan at start meets, `load`, then `accept` sockets, `stop`.
 */
export class Broker implements ConnectionHost {
  readonly logger: Logger;
  readonly counters = new BrokerCounters();
  readonly expiry: MessageExpiry;
  readonly #ring: Ring;
  readonly #durability: Durability;
  readonly #clock: Clock;
  readonly #limits: BrokerLimits;
  readonly #connections = new Set<Connection>();
  readonly #byClient = new Map<string, Connection>();
  readonly #parked = new Set<Connection>();
  readonly #chunks = new ChunkPool();
  readonly #registry: SessionRegistry;
  readonly #lapped: LappedMessages;
  readonly #retained: RetainedMessages;
  readonly #router: Router;
  readonly #wills: Wills;
  readonly #publish: PublishHandler;
  readonly #context: ConnectContext & SubscribeContext;
  readonly #sys: SysTopics;
  readonly #timers: Timer[] = [];
  #dirty: Output[] = [];
  #newThisSecond = 0;
  #wasMemoryOnly = false;
  /** Received when unfinished packets were last added up. */
  #shedAtBytes = 0;
  #stopping = false;

  constructor(options: BrokerOptions) {
    const { ring, state, streams, clock, times, random, limits } = options;
    this.logger = options.logger;
    this.#ring = ring;
    const { mayUseMemory } = options;
    const durability = new Durability({ ring, state, mayUseMemory });
    this.#durability = durability;
    this.#clock = clock;
    this.#limits = limits;
    this.expiry = new MessageExpiry(clock, times);
    const { counters, expiry } = this;
    const { topics, registry, lapped } = createSessionParts({
      ring,
      state,
      durability,
      streams,
      clock,
      times,
      expiry,
      counters,
      logger: this.logger,
      limits,
      onReadFailure: (readers, error) => this.#cannotRead(readers, error),
    });
    this.#registry = registry;
    this.#lapped = lapped;
    this.#retained = new RetainedMessages({
      ring,
      state,
      topics,
      expiry,
      limits: { messages: limits.retainedMessages, bytes: limits.retainedBytes },
    });
    const retained = this.#retained;
    this.#router = new Router({ ring, durability, topics, retained, counters });
    const router = this.#router;
    this.#wills = new Wills({
      state,
      durability,
      router,
      topics,
      clock,
      times,
      registry,
      logger: this.logger,
    });
    const lastSequence = () => durability.lastSequence;
    this.#publish = new PublishHandler({
      topics,
      router,
      registry,
      counters,
      limits,
      clock,
      ring,
      lastSequence,
    });
    this.#sys = new SysTopics({ topics, clock, source: this.#sysSource(options) });
    this.#context = {
      registry,
      retained,
      sys: this.#sys,
      topics,
      counters,
      logger: this.logger,
      wills: this.#wills,
      random,
      limits,
      lastSequence,
      durability,
      connectionOf: (clientId) => this.#byClient.get(clientId),
      opened: (connection) => this.#opened(connection),
    };
  }

  // At start.

  /** A record that the checkpoint may not cover, in order of sequence. */
  replay(record: RecordView): void {
    if ((record.flags & RecordFlag.retained) !== 0) this.#retained.replay(record);
    if ((record.flags & RecordFlag.receipt) !== 0) this.#registry.replayReceipt(record);
  }

  /** Takes up sessions, retained messages and wills from the state store. */
  load(): void {
    this.#registry.load();
    this.#retained.load();
    this.#wills.load();
    this.#every(SWEEP_INTERVAL_MS, () => this.#sweep());
    this.#every(CURSOR_SAVE_INTERVAL_MS, () => this.#registry.saveCursors());
    this.#every(ABSENCE_SAVE_INTERVAL_MS, () => this.#registry.saveAbsences());
    this.#every(LAPSE_SAVE_INTERVAL_MS, () => this.#registry.saveLapsed());
    this.#every(SYS_INTERVAL_MS, () => this.#sys.tick());
  }

  /** Whether a record of a segment that is let go is still needed, and by its old name. */
  evacuate(record: RecordView): 'carry' | 'drop' {
    if (record.partitionId === STATE_PARTITION_ID) return 'drop';
    this.keepReceipt(record);
    if (record.partitionId === SESSION_PARTITION_ID && this.#isKeptForSessions(record)) {
      return 'carry';
    }
    const isRetained = (record.flags & RecordFlag.retained) !== 0;
    const decision = isRetained ? this.#retained.evacuate(record) : 'drop';
    if (decision === 'drop') this.#lapped.letGo(record);
    return decision;
  }

  /** A record is about to be let go or copied, and its copy has no receipt any more. */
  keepReceipt(record: RecordView): void {
    if ((record.flags & RecordFlag.receipt) !== 0) this.#registry.keepReceipt(record);
  }

  /**
   * A message that its stream keeps is retained no longer, once there is a newer one for its topic: what
   * removed it may be let go first, and a start without a checkpoint would find it retained again.
   */
  copiedFlags(record: RecordView): number {
    const isRetained = (record.flags & RecordFlag.retained) !== 0;
    const isStale = isRetained && !this.#retained.isCurrent(record);
    return isStale ? record.flags & ~RecordFlag.retained : record.flags;
  }

  #isKeptForSessions(record: RecordView): boolean {
    if (!this.#lapped.isOwed(record)) return false;
    return this.#ring.weightFrom(SESSION_PARTITION_ID, record.offset) <= this.#limits.sessionBytes;
  }

  // While it runs.

  get connectionCount(): number {
    return this.#byClient.size;
  }

  get sessionCount(): number {
    return this.#registry.size;
  }

  /** What rotation took lately before sessions had it; undefined where that was nothing. */
  recentlyLapped(): ReturnType<LappedMessages['recent']> {
    return this.#lapped.recent();
  }

  /** Messages that a stream would not take, by reason. */
  refusedBy(stream: string): ReadonlyMap<string, number> {
    return this.counters.refused.get(stream) ?? new Map();
  }

  get durableSequence(): number {
    return this.#durability.sequence;
  }

  /** With a failed device messages that need no flash still pass; the others are refused one by one. */
  get accepting(): boolean {
    return this.#ring.accepting || this.#ring.failed;
  }

  connectionsOf(listenerAddress: string): number {
    let count = 0;
    for (const connection of this.#byClient.values()) {
      if (connection.listenerAddress === listenerAddress) count++;
    }
    return count;
  }

  /** A new socket of a listener. Beyond the limits it is closed at once. */
  accept(socket: Socket, listenerAddress: string, authorizer: Authorizer): void {
    this.#newThisSecond++;
    this.counters.sockets++;
    const tooMany = this.#connections.size >= this.#limits.connections;
    if (this.#stopping || tooMany || this.#newThisSecond > this.#limits.connectionRatePerSecond) {
      this.counters.turnAway(tooMany ? 'connection_limit' : 'connection_rate');
      this.logger.warn('client.turned_away', {
        address: socket.remoteAddress,
        reason: tooMany ? 'limits.connections' : 'limits.connection_rate',
      });
      socket.destroy();
      return;
    }
    const connection = new Connection({
      socket,
      host: this,
      authorizer,
      listenerAddress,
      maxPacketBytes: this.#limits.packetSizeBytes,
    });
    this.#connections.add(connection);
  }

  /** Says goodbye to everybody and saves what sessions need. Wills stay: the clients may come back. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) timer.cancel();
    for (const connection of this.#connections) connection.socket.pause();
    await this.#ring.stopRecycling();
    await this.#ring.flushOrGiveUp();
    for (const connection of [...this.#connections]) {
      connection.disconnect(ReasonCode.serverShuttingDown);
    }
    this.#registry.saveCursors();
    this.#registry.saveAbsences();
    this.#registry.saveLapsed();
    this.#flushDirty();
  }

  /**
   * The files behind the authorizers were read again. Rights apply from the next message on; who
   * would not be let in any more is disconnected.
   */
  rightsChanged(): void {
    this.#context.topics.rightsChanged();
    for (const connection of [...this.#connections]) {
      const { state } = connection;
      if (state.kind !== 'open' || state.admission.isStillValid()) continue;
      this.logger.info('client.no_longer_admitted', {
        client: state.identity.clientId,
        user: state.identity.username,
      });
      connection.disconnect(ReasonCode.notAuthorized);
    }
  }

  // What connections ask.

  get receiveMaximum(): number {
    return this.#limits.receiveMaximum;
  }

  received(bytes: number): void {
    this.counters.bytesReceived += bytes;
    // Between two sweeps a fast network brings more than a small machine has.
    if (this.counters.bytesReceived - this.#shedAtBytes < MAX_UNFINISHED_BYTES / 4) return;
    this.#shedUnfinished();
  }

  createOutput(socket: Socket, owner: OutputOwner): Output {
    return new Output({
      socket,
      pool: this.#chunks,
      counters: this.counters,
      limitBytes: this.#limits.outputBufferBytes,
      onDirty: this.#noteDirty,
      owner,
    });
  }

  afterTurn(fn: () => void): void {
    this.#clock.atTurnEnd(fn);
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  whenDurable(sequence: number, waiter: DurabilityWaiter): void {
    this.#durability.whenReached(sequence, waiter);
  }

  park(connection: Connection): void {
    if (this.#parked.size === 0) this.#ring.onAccepting(() => this.#unpark());
    this.#parked.add(connection);
  }

  onPublish(connection: Connection, view: PublishView): void {
    this.#publish.onPublish(connection, view);
  }

  onPubrel(connection: Connection, packetId: number): void {
    this.#publish.onPubrel(connection, packetId);
  }

  onPacket(connection: Connection, packet: ControlPacket): void {
    switch (packet.type) {
      case 'connect':
        handleConnect(connection, packet, this.#context);
        return;
      case 'subscribe':
        if (connection.isOpen) handleSubscribe(connection, packet, this.#context);
        return;
      case 'unsubscribe':
        if (connection.isOpen) handleUnsubscribe(connection, packet, this.#context);
        return;
      case 'pingreq':
        connection.answerPing();
        return;
      case 'disconnect':
        this.#onDisconnect(connection, packet);
        return;
      default:
        throw new ProtocolError(ReasonCode.protocolError, `a client does not send ${packet.type}`);
    }
  }

  onClosed(connection: Connection, error: Error | undefined): void {
    this.#connections.delete(connection);
    this.#parked.delete(connection);
    this.#publish.forget(connection);
    if (connection.state.kind !== 'open') return;
    const { session, identity } = connection.state;
    if (this.#byClient.get(identity.clientId) === connection) {
      this.#byClient.delete(identity.clientId);
    }
    this.logger.debug('client.closed', { client: identity.clientId, error: error?.message });
    if (!this.#stopping) this.#wills.connectionLost(session, connection.rights);
    this.#registry.disconnected(session);
  }

  #opened(connection: Connection): void {
    this.counters.connects++;
    this.#byClient.set(connection.identity.clientId, connection);
    const { counters } = this;
    counters.connectedMaximum = Math.max(counters.connectedMaximum, this.#byClient.size);
  }

  #sysSource({ version, memory }: BrokerOptions): SysSource {
    return {
      version,
      memory,
      counters: this.counters,
      connected: () => this.#byClient.size,
      sessions: () => this.#registry.size,
      subscriptions: () => this.#registry.countSubscriptions(),
      retainedMessages: () => this.#retained.size,
      stored: () => storedMessages(this.#ring),
    };
  }

  #onDisconnect(connection: Connection, packet: DisconnectPacket): void {
    if (!connection.isOpen) return;
    const { session } = connection;
    const expiry = packet.properties.sessionExpirySeconds;
    if (expiry !== undefined && expiry !== session.expirySeconds) {
      // [MQTT5 3.14.2.2.2]: what was 0 at CONNECT stays 0.
      if (session.expirySeconds === 0) {
        throw new ProtocolError(ReasonCode.protocolError, 'session expiry was 0 at CONNECT');
      }
      const limit = Math.floor(this.#limits.sessionExpiryMaxMs / 1000);
      this.#registry.changeExpiry(session, Math.min(expiry, limit));
    }
    if (packet.reasonCode !== ReasonCode.disconnectWithWill) {
      this.#wills.cancel(session.clientId);
    }
    connection.finish();
  }

  #cannotRead(readers: readonly RingReader[], error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.logger.error('session.catch_up_failed', { readers: readers.length, error: message });
    for (const { clientId } of readers) {
      if (clientId !== undefined) {
        this.#byClient.get(clientId)?.disconnect(ReasonCode.unspecifiedError);
      }
    }
  }

  #unpark(): void {
    const parked = [...this.#parked];
    this.#parked.clear();
    for (const connection of parked) connection.unpark();
  }

  readonly #noteDirty = (output: Output): void => {
    this.#dirty.push(output);
    if (this.#dirty.length === 1) this.#clock.atTurnEnd(this.#flushDirty);
  };

  readonly #flushDirty = (): void => {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const output of dirty) output.flush();
  };

  #every(intervalMs: number, work: () => void): void {
    const index = this.#timers.length;
    const again = () => {
      this.#timers[index] = this.#clock.after(intervalMs, () => {
        again();
        work();
      });
    };
    again();
  }

  /** Packets that are begun and never end must not add up: those who hold most are let go first. */
  #shedUnfinished(): void {
    this.#shedAtBytes = this.counters.bytesReceived;
    const holders = [...this.#connections].filter(({ unfinishedBytes }) => unfinishedBytes > 0);
    let total = holders.reduce((sum, { unfinishedBytes }) => sum + unfinishedBytes, 0);
    if (total <= MAX_UNFINISHED_BYTES) return;
    holders.sort((a, b) => b.unfinishedBytes - a.unfinishedBytes);
    for (const connection of holders) {
      if (total <= MAX_UNFINISHED_BYTES) return;
      total -= connection.unfinishedBytes;
      this.counters.turnAway('unfinished_packets');
      connection.disconnect(ReasonCode.quotaExceeded);
    }
  }

  /** Where memory may stand in for flash: the start and the end of that, and all the while. */
  #followDevice(): void {
    const { isMemoryOnly } = this.#durability;
    if (isMemoryOnly) {
      this.#router.onDurable(this.#durability.sequence);
      for (const connection of [...this.#connections]) {
        connection.onDurable(this.#durability.sequence);
      }
    } else if (this.#retained.isOwing) {
      this.#retained.write();
    }
    if (isMemoryOnly === this.#wasMemoryOnly) return;
    this.#wasMemoryOnly = isMemoryOnly;
    const { memoryOnly } = this.counters;
    if (isMemoryOnly) this.logger.error('storage.memory_only', { messages: memoryOnly });
    else this.logger.warn('storage.memory_only_ended', { messages: memoryOnly });
    // What waits in the ring for its commit cannot be read meanwhile: it is passed over, and read
    // when it is there.
    this.#registry.readAgain();
  }

  /** Keep alive [MQTT-3.1.2-22], silent sockets, ended sessions and wills that are due. */
  #sweep(): void {
    this.#newThisSecond = 0;
    // Waiting for a ring that has failed is useless: what needs no flash goes on, the rest is refused.
    if (this.#ring.failed) this.#unpark();
    this.#followDevice();
    const now = this.nowMs();
    const wallMs = this.#clock.wallMs();
    for (const connection of [...this.#connections]) {
      const { state, keepAliveMs, lastPacketMs } = connection;
      if (state.kind === 'connecting' && now - state.sinceMs > CONNECT_TIMEOUT_MS) {
        connection.finish();
      } else if (connection.isHeldBack) {
        connection.lastPacketMs = now;
      } else if (keepAliveMs > 0 && now - lastPacketMs > keepAliveMs * 1.5) {
        connection.disconnect(ReasonCode.keepAliveTimeout);
      } else if (state.kind === 'open' && state.admission.endsAtMs <= wallMs) {
        connection.disconnect(ReasonCode.maximumConnectTime);
      }
    }
    this.#shedUnfinished();
    // Ends and wills are for flash: where it takes nothing, they come later.
    if (this.#durability.isHeldUp) return;
    for (const session of this.#registry.expired()) {
      this.#wills.publish(session.clientId);
      this.#registry.remove(session);
      this.counters.expiredSessions++;
    }
    this.#wills.publishDue();
  }
}
