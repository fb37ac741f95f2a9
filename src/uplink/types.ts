export type UplinkState = 'connected' | 'backoff' | 'stalled' | 'paused' | 'disabled';

/**
 * An uplink in the status document. Counted from where this process began,
 * `appendedRecords = acknowledgedRecords + backlogRecords + lappedRecords + deadLettered +
 * expiredRecords` in every snapshot.
 */
export interface UplinkStatus {
  readonly name: string;
  readonly type: string;
  readonly state: UplinkState;
  readonly backlogRecords: number;
  readonly backlogBytes: number;
  readonly oldestUnackedSeconds: number;
  /** Acknowledged records a second, over about the last ten seconds. */
  readonly sendRate: number;
  /** Null while nothing is acknowledged. */
  readonly drainEtaSeconds: number | null;
  /** Offsets that hold a durable record; those that media damage took are in no figure. */
  readonly appendedRecords: number;
  readonly acknowledgedRecords: number;
  /** Handed to the sink, repeats included. */
  readonly sentRecords: number;
  /** Of the sent ones, those sent before. */
  readonly retriedRecords: number;
  readonly duplicatesAvoided: number;
  readonly deadLettered: number;
  readonly lappedRecords: number;
  readonly expiredRecords: number;
  readonly lastError: string | null;
}
