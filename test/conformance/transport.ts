/** One connection to the broker, as bytes. */
export interface Link {
  send(bytes: Uint8Array): void;
  /** As a cable that is pulled: no DISCONNECT, and nothing is read any more. */
  drop(): void;
  /** Takes what has come since the last call. */
  take(): Uint8Array;
  readonly closed: boolean;
}

/** A WebSocket as its frames, so that a scenario can send what no client library does. */
export interface WebSocketLink extends Link {
  /** Of the HTTP answer; 101 where there is a WebSocket now. */
  readonly status: number;
  /** The subprotocol that the broker selected. */
  readonly subprotocol: string | undefined;
  /** Opcodes of the frames that came, in their order: 2 is binary, 8 says good-bye. */
  readonly opcodes: readonly number[];
  /** One frame. `opcode` 1 is text, 2 is binary, 0 continues; `isLast` ends a message. */
  sendFrame(opcode: number, payload: Uint8Array, isLast?: boolean): void;
}

/**
 * A broker that scenarios talk to: the real code on a simulated world, or the executable over TCP.
 * Times are those of its clock, virtual or real.
 */
export interface Transport {
  open(): Promise<Link>;
  /** A WebSocket that offers these subprotocols. Throws where the listener is none of WebSocket. */
  openWebSocket(subprotocols: readonly string[]): Promise<WebSocketLink>;
  /** Resolves as soon as `holds`; false when it did not within a time that is ample. */
  until(holds: () => boolean): Promise<boolean>;
  /** Long enough for whatever was asked for to have been done, commits included. */
  settle(): Promise<void>;
  pass(ms: number): Promise<void>;
  /** A start again on what was on disk: after an orderly stop, or after the process was killed. */
  /** Every write fails from now on. Throws where the disk is a real one. */
  breakDisk(): void;
  restart(how: 'stopped' | 'killed'): Promise<void>;
}
