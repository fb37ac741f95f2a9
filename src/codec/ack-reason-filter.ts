const PUBACK = 0x40;
const PUBREC = 0x50;
/** Packet identifier, then the reason code; an ack of success may leave the code out (3.4.2.1). */
const REASON_AT = 2;
const FIRST_FAILURE = 0x80;
/** Negative codes that 5.0 allows in a PUBACK or PUBREC (3.4.2.1, 3.5.2.1). */
const LEGAL_FAILURES: ReadonlySet<number> = new Set([0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
const IMPLEMENTATION_SPECIFIC_ERROR = 0x83;

/**
 * Makes the acks of a 5.0 server legal that refuses a message with a code of another packet. Mosquitto
 * says 0x95 (packet too large) in a PUBACK where its `message_size_limit` is exceeded. A client
 * library that knows the standard only loses the whole ack over it, and with it the message that was
 * refused, which then waits for ever.
 *
 * Such a code is overwritten in place by 0x83, and told by `take`.
 */
export class AckReasonFilter {
  readonly #reasons = new Map<number, number>();
  /** First byte of the packet that is being read; undefined between packets. */
  #header: number | undefined;
  #length = 0;
  /** Bits of the remaining length that were read; -1 once it is complete. */
  #lengthBits = 0;
  #bodyAt = 0;
  #packetId = 0;

  /** To be given every byte that the server sends, in order and before anybody else reads it. */
  rewrite(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#header === undefined) this.#begin(chunk[at++] as number);
      else if (this.#lengthBits >= 0) this.#readLength(chunk[at++] as number);
      else at = this.#readBody(chunk, at);
    }
  }

  /** The code that was overwritten in the ack of this message, once; undefined where none was. */
  take(packetId: number): number | undefined {
    const reason = this.#reasons.get(packetId);
    this.#reasons.delete(packetId);
    return reason;
  }

  #begin(header: number): void {
    this.#header = header;
    this.#length = 0;
    this.#lengthBits = 0;
    this.#bodyAt = 0;
    this.#packetId = 0;
  }

  #readLength(byte: number): void {
    this.#length += (byte & 0x7f) * 2 ** this.#lengthBits;
    this.#lengthBits = byte >= 0x80 ? this.#lengthBits + 7 : -1;
    if (this.#lengthBits === -1 && this.#length === 0) this.#header = undefined;
  }

  /** Returns where the packet ends, or the chunk. */
  #readBody(chunk: Uint8Array, from: number): number {
    const end = Math.min(chunk.length, from + this.#length - this.#bodyAt);
    const isAck = this.#header === PUBACK || this.#header === PUBREC;
    for (let at = from; isAck && at < end && this.#bodyAt + at - from <= REASON_AT; at += 1) {
      this.#readAck(chunk, at, this.#bodyAt + at - from);
    }
    this.#bodyAt += end - from;
    if (this.#bodyAt === this.#length) this.#header = undefined;
    return end;
  }

  #readAck(chunk: Uint8Array, at: number, bodyAt: number): void {
    const byte = chunk[at] as number;
    if (bodyAt < REASON_AT) {
      this.#packetId = this.#packetId * 256 + byte;
    } else if (byte >= FIRST_FAILURE && !LEGAL_FAILURES.has(byte)) {
      this.#reasons.set(this.#packetId, byte);
      chunk[at] = IMPLEMENTATION_SPECIFIC_ERROR;
    }
  }
}
