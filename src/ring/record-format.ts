/**
 * ```
 * record = tag [flags] [run] [partition offset sequence] [boot [monotonic] wall] [delta] [source]
 *          [attributes length] [payload length] attributes payload
 * ```
 * Numbers are varints. What is absent is as in the record before in the same batch, so that a
 * sensor's steady stream costs one or two bytes a record. The first seven bits make a tag of one byte.
 */
export const Tag = {
  /** Milliseconds since the fresh record before it, where that is not 0. */
  delta: 1,
  /** Index in the header's fresh runs. */
  run: 2,
  /** Number of the (topic, origin) definition; 0 for none. */
  source: 4,
  payloadLength: 8,
  /** A length follows; else the attributes' bytes are the same as before. */
  attributes: 16,
  /** `RecordFlag` bits. */
  flags: 32,
  /** Partition, offset and sequence are written out; it belongs to no run. */
  carried: 64,
  /** The time is written out. Boot 0 stands for a final, trusted wall time. */
  time: 128,
} as const;

/** Upper bound of all that stands before a record's attributes. */
export const MAX_RECORD_PREFIX_BYTES = 96;
