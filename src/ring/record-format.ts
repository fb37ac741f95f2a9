/**
 * ```
 * record = tag [flags] [run] [offset gap] [sequence gap] [boot [monotonic] wall] [delta] [source]
 *          [attributes length] [payload length] attributes payload
 * ```
 * Numbers are varints. What is absent is as in the record before in the same batch, so that a
 * sensor's steady stream costs one or two bytes a record. The first seven bits make a tag of one byte.
 *
 * A carried record goes on from the carried one before it: in its run with offset and sequence, of
 * any run with the time.
 */
export const Tag = {
  /** Milliseconds since the fresh (or carried) record before it, where that is not 0. */
  delta: 1,
  /** Index in the header's fresh (or carried) runs. */
  run: 2,
  /** Number of the (topic, origin) definition; 0 for none. */
  source: 4,
  payloadLength: 8,
  /** A length follows; else the attributes' bytes are the same as before. */
  attributes: 16,
  /** `RecordFlag` bits. */
  flags: 32,
  /** A copy, which keeps offset, sequence and time; how many of each its run leaves out follows. */
  carried: 64,
  /** The time is written out. Boot 0 stands for a final, trusted wall time. */
  time: 128,
} as const;

/** Upper bound of all that stands before a record's attributes. */
export const MAX_RECORD_PREFIX_BYTES = 96;
