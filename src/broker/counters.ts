/** What the broker counts since its start, for the status page and `$SYS`. One owner, handed in. */
export class BrokerCounters {
  /** PUBLISH packets taken from clients. */
  received = 0;
  /** PUBLISH packets sent to clients, repeats included. */
  delivered = 0;
  /** Payload bytes of those. */
  receivedPayloadBytes = 0;
  deliveredPayloadBytes = 0;
  /** Packets of every type. */
  packetsReceived = 0;
  packetsSent = 0;
  /** Bytes of the streams, as handed over by and to sockets. */
  bytesReceived = 0;
  bytesSent = 0;
  /** Sockets taken from listeners, and CONNECTs accepted. */
  sockets = 0;
  connects = 0;
  /** The most clients that were connected at one time. */
  connectedMaximum = 0;
  /** Sessions that ended because their client did not come back in time. */
  expiredSessions = 0;
  /** Messages for flash that were taken while it could not be written. */
  memoryOnly = 0;
  /** Messages, by reason. */
  readonly dropped = new Map<string, number>();
  /** Connections that were not taken, or did not get as far as MQTT, by reason. */
  readonly turnedAway = new Map<string, number>();

  /** Messages that a stream would not take, by stream and reason; they are in `dropped` too. */
  readonly refused = new Map<string, Map<string, number>>();

  refuse(stream: string, reason: string): void {
    const counts = this.refused.get(stream) ?? new Map<string, number>();
    this.refused.set(stream, counts.set(reason, (counts.get(reason) ?? 0) + 1));
    this.drop(`stream_${reason}`);
  }

  drop(reason: string, count = 1): void {
    this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + count);
  }

  turnAway(reason: string): void {
    this.turnedAway.set(reason, (this.turnedAway.get(reason) ?? 0) + 1);
  }

  get droppedInAll(): number {
    let sum = 0;
    for (const count of this.dropped.values()) sum += count;
    return sum;
  }
}
