import { publishSize, writePublish } from '../../../src/codec/publish-encoder.ts';

const noProperties = new Uint8Array(0);
/** The message's number as four bytes, the publisher's as two. */
const PAYLOAD_HEAD_BYTES = 6;

/**
 * Messages encoded once and sent round and round without a copy. The payload of message i begins
 * with i and the publisher's number, so that a receiver sees a gap; at QoS 1 its packet identifier
 * is i + 1.
 */
export class MessageWheel {
  readonly count: number;
  readonly #messageBytes: number;
  readonly #bytes: Buffer;
  #next = 0;

  constructor(
    topic: string,
    qos: 0 | 1,
    payloadBytes: number,
    count: number,
    publisherNumber: number,
  ) {
    const topicBytes = Buffer.from(topic);
    const payload = Buffer.alloc(payloadBytes);
    // Not compressible to nothing: a broker that packs what it stores must not gain by zeros.
    for (let i = 0; i < payloadBytes; i += 1) payload[i] = (i * 167 + (i >> 3) * 59) & 0xff;
    payload.writeUInt16BE(publisherNumber, 4);
    this.count = count;
    this.#messageBytes = publishSize(4, topicBytes.length, qos, 0, payloadBytes);
    this.#bytes = Buffer.alloc(this.#messageBytes * count);
    let at = 0;
    for (let i = 0; i < count; i += 1) {
      payload.writeUInt32BE(i);
      for (let j = PAYLOAD_HEAD_BYTES; j < payloadBytes; j += 1)
        payload[j] = ((payload[j] as number) * 5 + i) & 0xff;
      const id = qos === 0 ? 0 : i + 1;
      at = writePublish(
        this.#bytes,
        at,
        4,
        topicBytes,
        qos,
        false,
        false,
        id,
        noProperties,
        payload,
      );
    }
  }

  /** The next `messages` (at most `count`), as one or two runs of bytes that must not be changed. */
  take(messages: number): Uint8Array[] {
    const first = Math.min(messages, this.count - this.#next);
    const runs = [this.#run(this.#next, first)];
    if (messages > first) runs.push(this.#run(0, messages - first));
    this.#next = (this.#next + messages) % this.count;
    return runs;
  }

  #run(from: number, messages: number): Uint8Array {
    return this.#bytes.subarray(from * this.#messageBytes, (from + messages) * this.#messageBytes);
  }
}
