import { PacketType } from '../../../src/codec/control-packet.ts';
import type { PublishView } from '../../../src/codec/packet-decoder.ts';
import { writeAck } from '../../../src/codec/publish-encoder.ts';
import type { Client } from './client.ts';

const ACK_BYTES = 4;
const ACK_ROOM_BYTES = 64 * 1024;

/** Counts what arrives, sees gaps and repeats, and acknowledges QoS 1, all acks of a read in one write. */
export class CountingSubscriber {
  arrived = 0;
  /** Messages that did not follow their publisher's one before, by the numbers in their payload. */
  misordered = 0;
  readonly #client: Client;
  readonly #wheelCount: number;
  readonly #onChunk: () => void;
  /** By publisher. */
  readonly #expected: Int32Array;
  #acks = Buffer.allocUnsafe(ACK_ROOM_BYTES);
  #acksStart = 0;
  #acksEnd = 0;

  /** `onChunk` follows each read. Publishers are numbered from 0, as their `MessageWheel` says. */
  constructor(client: Client, wheelCount: number, publishers: number, onChunk: () => void) {
    this.#client = client;
    this.#expected = new Int32Array(publishers);
    this.#wheelCount = wheelCount;
    this.#onChunk = onChunk;
    client.handler = {
      onPublish: (view) => this.#take(view),
      onChunkEnd: () => this.#endChunk(),
    };
  }

  #take(view: PublishView): void {
    const { buffer, payloadStart: at } = view;
    const number =
      ((buffer[at] as number) << 24) |
      ((buffer[at + 1] as number) << 16) |
      ((buffer[at + 2] as number) << 8) |
      (buffer[at + 3] as number);
    const publisher = ((buffer[at + 4] as number) << 8) | (buffer[at + 5] as number);
    if (number !== this.#expected[publisher]) this.misordered += 1;
    this.#expected[publisher] = number + 1 === this.#wheelCount ? 0 : number + 1;
    this.arrived += 1;
    if (view.qos === 1) this.#acknowledge(view.packetId);
  }

  #acknowledge(packetId: number): void {
    if (this.#acksEnd + ACK_BYTES > this.#acks.length) {
      // What was written may still wait in the socket, so the buffer is not used again.
      this.#flush();
      this.#acks = Buffer.allocUnsafe(ACK_ROOM_BYTES);
      this.#acksStart = 0;
      this.#acksEnd = 0;
    }
    this.#acksEnd = writeAck(this.#acks, this.#acksEnd, PacketType.puback, packetId);
  }

  #flush(): void {
    if (this.#acksEnd === this.#acksStart) return;
    this.#client.write(this.#acks.subarray(this.#acksStart, this.#acksEnd));
    this.#acksStart = this.#acksEnd;
  }

  #endChunk(): void {
    this.#flush();
    this.#onChunk();
  }
}
