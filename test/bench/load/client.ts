import net from 'node:net';
import { encodeControl, type OutgoingControl } from '../../../src/codec/control-encoder.ts';
import type { AckType, ControlPacket } from '../../../src/codec/control-packet.ts';
import { PacketDecoder, type PublishView } from '../../../src/codec/packet-decoder.ts';

const MAX_PACKET_BYTES = 1 << 20;
const READ_BUFFER_BYTES = 256 * 1024;

/** What a client of the load does with what it receives; `onChunkEnd` follows each read. */
export interface ClientHandler {
  onPublish?(view: PublishView): void;
  onAck?(type: AckType, packetId: number): void;
  onControl?(packet: ControlPacket): void;
  onChunkEnd?(): void;
}

/**
 * An MQTT 3.1.1 client on a raw socket, which does as little as can be for each message, so that the
 * broker is what is measured. Reads go into one buffer that is used again.
 */
export class Client {
  handler: ClientHandler = {};
  readonly #socket: net.Socket;
  readonly #decoder = new PacketDecoder({ maxPacketBytes: MAX_PACKET_BYTES, peer: 'server' });
  #awaited: { type: ControlPacket['type']; resolve: (packet: ControlPacket) => void } | undefined;
  #closing = false;

  private constructor(port: number, onFailure: (error: Error) => void, readBuffer: Uint8Array) {
    this.#socket = net.connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytesRead, buffer) => {
          this.#read(buffer.subarray(0, bytesRead));
          return true;
        },
      },
    });
    this.#socket.on('error', onFailure);
    this.#socket.on('close', () => {
      if (!this.#closing) onFailure(new Error('The broker closed a connection of the load.'));
    });
  }

  /**
   * Connects with a clean session, or as one that lasts; `onFailure` is told of everything that ends the connection. What is
   * read is used at once, so clients may share one `readBuffer`.
   */
  static async open(
    port: number,
    clientId: string,
    onFailure: (error: Error) => void,
    readBuffer: Uint8Array = Buffer.alloc(READ_BUFFER_BYTES),
    cleanStart = true,
  ): Promise<Client> {
    const client = new Client(port, onFailure, readBuffer);
    const connack = await client.request(
      { type: 'connect', protocolVersion: 4, clientId, cleanStart, keepAliveSeconds: 0 },
      'connack',
    );
    if (connack.type !== 'connack' || connack.reasonCode !== 0) {
      throw new Error(`The broker refused ${clientId}: ${JSON.stringify(connack)}.`);
    }
    return client;
  }

  async subscribe(filter: string, qos: 0 | 1): Promise<void> {
    const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const subscriptions = [{ filter, qos, ...options }];
    await this.request({ type: 'subscribe', packetId: 1, subscriptions }, 'suback');
  }

  /** Sends a control packet and waits for its answer. One at a time. */
  request(packet: OutgoingControl, answer: ControlPacket['type']): Promise<ControlPacket> {
    return new Promise((resolve) => {
      this.#awaited = { type: answer, resolve };
      this.#socket.write(encodeControl(packet, 4));
    });
  }

  /** `data` must not change afterwards. False: wait for `onDrain` before more. */
  write(data: Uint8Array): boolean {
    return this.#socket.write(data);
  }

  /** Called whenever a `write` that returned false has left this process. */
  onDrain(fn: () => void): void {
    this.#socket.on('drain', fn);
  }

  /** At once, so that thousands of them leave no port waiting behind. */
  close(): void {
    this.#closing = true;
    this.#socket.resetAndDestroy();
  }

  #read(chunk: Uint8Array): void {
    this.#decoder.feed(chunk, this);
    this.handler.onChunkEnd?.();
  }

  onPublish(view: PublishView): void {
    this.handler.onPublish?.(view);
  }

  onAck(type: AckType, packetId: number): void {
    this.handler.onAck?.(type, packetId);
  }

  onControl(packet: ControlPacket): void {
    const awaited = this.#awaited;
    if (awaited?.type === packet.type) {
      this.#awaited = undefined;
      awaited.resolve(packet);
      return;
    }
    this.handler.onControl?.(packet);
  }
}
