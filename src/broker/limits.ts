/** What clients can make grow, as the composition root takes it from the configuration. */
export interface BrokerLimits {
  readonly packetSizeBytes: number;
  readonly connections: number;
  readonly connectionRatePerSecond: number;
  /** Messages in flight to one client. */
  readonly inflight: number;
  /** QoS 1 and 2 messages a client may send before our acks: `Receive Maximum`. */
  readonly receiveMaximum: number;
  readonly sessionQueueMessages: number;
  readonly sessionQueueBytes: number;
  readonly sessionExpiryMaxMs: number;
  readonly subscriptionsPerClient: number;
  readonly topicLevels: number;
  readonly topicBytes: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  readonly outputBufferBytes: number;
  /** Of the newest messages that only absent sessions want, which the ring carries on for them. */
  readonly sessionBytes: number;
  /** Of sessions, subscriptions and cursors, which the ring carries on for ever. */
  readonly stateBytes: number;
}
