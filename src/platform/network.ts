/** A byte stream to one peer. Callbacks are set once, by the owner, before the next turn. */
export interface Socket {
  readonly remoteAddress: string;
  readonly remotePort: number;
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
