/**
 * Every operating error has a code from this closed list. The command line and the status page
 * print `code`, message and remedy, so each message is one sentence a user can act on.
 */
export type ErrorCode =
  | 'CONFIG_INVALID'
  | 'CONFIG_NOT_FOUND'
  | 'DATA_IN_USE'
  | 'DATA_UNWRITABLE'
  | 'DATA_UNSUITABLE'
  | 'DEVICE_FULL'
  | 'DEVICE_FAILED'
  | 'RING_DAMAGED'
  | 'RING_FORMAT_UNKNOWN'
  | 'RING_FULL'
  | 'RECORD_TOO_LARGE'
  | 'METADATA_DAMAGED'
  | 'PORT_IN_USE'
  | 'LISTEN_FAILED'
  | 'TLS_UNUSABLE'
  | 'UPSTREAM_UNREACHABLE'
  | 'UPSTREAM_REFUSED'
  | 'UPSTREAM_STALLED'
  | 'RECORD_POISON'
  | 'ADMIN_UNREACHABLE'
  | 'BROKER_UNREACHABLE'
  | 'BROKER_REFUSED'
  | 'USAGE'
  | 'CLOSED';

/** An operating error: expected to happen in the field, handled, and told to the user. */
export class CisternError extends Error {
  override readonly name = 'CisternError';
  readonly code: ErrorCode;
  /** What the user can do about it, as one sentence; absent where the message already says so. */
  readonly remedy: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly remedy?: string } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
  }
}

/**
 * A peer broke the protocol. The codec and the session throw it; the connection turns it into a
 * DISCONNECT (5.0) or a close (3.1.1).
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  /** MQTT 5.0 reason code, section 2.4; a 3.1.1 peer never sees it. */
  readonly reasonCode: number;

  constructor(reasonCode: number, message: string) {
    super(message);
    this.reasonCode = reasonCode;
  }
}
