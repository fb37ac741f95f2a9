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
  /**
   * Bytes that came and cannot be handed over yet, such as a WebSocket message that is not whole;
   * absent where there can be none.
   */
  readonly heldBytes?: number;
  /** Stops and resumes `onData`: back-pressure to the peer by TCP. */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  destroy(): void;
}

/** What a listener needs to speak TLS. The files are PEM, as OpenSSL writes it. */
export interface TlsOptions {
  /** The certificate, and behind it those that lead to its authority. */
  readonly cert: string;
  readonly key: string;
  /** Who signs clients; without it no client is asked for a certificate. */
  readonly ca: string | undefined;
  /** Ends the handshake of a client that shows no certificate. A bad one ends it in any case. */
  readonly requireClientCert: boolean;
  /** Which part of a client's certificate is its user name; one that lacks it is turned away. */
  readonly userNameFrom: 'cn' | 'san' | undefined;
  readonly minVersion: '1.2' | '1.3';
}

export interface WebSocketOptions {
  /** Such as `/mqtt`. Other paths get 404. */
  readonly path: string;
  /** A longer message ends the connection. One incomplete message may be held for each peer. */
  readonly maxMessageBytes: number;
}

/** What is between TCP and MQTT, from below. */
export type Layer = 'proxy' | 'tls' | 'websocket';

export interface ListenOptions {
  /** Every connection begins with a PROXY header, version 1 or 2, that names the client. */
  readonly proxyProtocol?: boolean;
  readonly tls?: TlsOptions | undefined;
  readonly webSocket?: WebSocketOptions | undefined;
  /** Told of each peer that spoke and did not get through to MQTT. */
  readonly onFailedHandshake?: (remoteAddress: string, layer: Layer, reason: string) => void;
}

/** The certificate that a listener shows. */
export interface ListenerTls {
  /** When it ends, in wall clock milliseconds. */
  readonly certificateEndsMs: number;
  /**
   * Reads the files again, for connections from now on; those that are open go on. Fails with
   * TLS_UNUSABLE, and then everything stays as it was.
   */
  reload(): Promise<void>;
}

export interface Listener {
  /** `host:port`, with the port really bound. */
  readonly address: string;
  readonly tls?: ListenerTls | undefined;
  /** Takes no more sockets. Those that are open belong to whoever was given them. */
  close(): Promise<void>;
}

export interface Network {
  /**
   * Finds out whether one could listen on the address, without listening: nobody can connect.
   * Fails as `listen` does.
   */
  tryAddress(address: string): Promise<void>;
  /**
   * Fails with PORT_IN_USE (the message names who holds the port, where it can be told),
   * LISTEN_FAILED or TLS_UNUSABLE.
   */
  listen(
    address: string,
    onSocket: (socket: Socket) => void,
    options?: ListenOptions,
  ): Promise<Listener>;
}
