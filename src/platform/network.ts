/** What a peer proved of itself below MQTT, by TLS. */
export interface TlsPeer {
  /**
   * The user name in its verified client certificate, chosen by `userNameFrom`; undefined where it
   * showed none, or where the listener takes no user names from certificates.
   */
  readonly userName: string | undefined;
}

/**
 * A byte stream to one peer. Callbacks are set once, by the owner, before the next turn.
 *
 * It is handed over when the peer connects, before a PROXY header, a TLS handshake or a WebSocket
 * upgrade is through, so that one bound on time and number holds for all of them. So the peer has to
 * speak first, as an MQTT client does: what is written before the first `onData` may be lost.
 */
export interface Socket {
  /** Of the client: where a PROXY header names it, that one from the first `onData` on. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Known from the first `onData` on; undefined on a listener without TLS. */
  readonly tls?: TlsPeer | undefined;
  /** Hands over a chunk; the receiver may keep views of it only until the callback returns. */
  onData: (chunk: Uint8Array) => void;
  /** The peer closed, or the link broke. Called once, also after `destroy`. */
  onClose: (error: Error | undefined) => void;
  /** Everything written so far has left this process. */
  onDrain: () => void;
  /**
   * Queues `data`, which the caller must not change afterwards until `released` is called. Returns
   * the bytes now queued in this process.
   */
  write(data: Uint8Array, released?: () => void): number;
  /** Stops and resumes `onData`: back-pressure to the peer by TCP. */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  destroy(): void;
}

export interface Listener {
  /** `host:port`, with the port really bound. */
  readonly address: string;
  /** Takes no more sockets. Those that are open belong to whoever was given them. */
  close(): Promise<void>;
}

export interface Network {
  /** Fails with PORT_IN_USE (the message names who holds the port, where it can be told) or LISTEN_FAILED. */
  listen(address: string, onSocket: (socket: Socket) => void): Promise<Listener>;
}
