import { PacketType } from '../../../src/codec/control-packet.ts';
import type { Client } from './client.ts';
import type { MessageWheel } from './message-wheel.ts';

/**
 * QoS 1 as it falls due: sends at once while fewer than `window` messages are unacknowledged. The
 * rest waits its turn, and keeps the time at which it was due.
 */
export class ScheduledPublisher {
  sent = 0;
  acknowledged = 0;
  /** Acks in another order than the messages [MQTT-4.6.0-2]. */
  misordered = 0;
  readonly #client: Client;
  readonly #wheel: MessageWheel;
  readonly #window: number;
  #waiting = 0;

  /** `onAck` is called with the number, from 0, of each message that was acknowledged. */
  constructor(
    client: Client,
    wheel: MessageWheel,
    window: number,
    onAck: (messageNumber: number) => void,
  ) {
    this.#client = client;
    this.#wheel = wheel;
    this.#window = window;
    client.handler = {
      onAck: (type, packetId) => {
        if (type !== PacketType.puback) return;
        if (packetId !== (this.acknowledged % this.#wheel.count) + 1) this.misordered += 1;
        this.acknowledged += 1;
        onAck(this.acknowledged - 1);
      },
      onChunkEnd: () => this.#send(),
    };
  }

  /** The next message is due. */
  due(): void {
    this.#waiting += 1;
    this.#send();
  }

  #send(): void {
    const room = this.#window - (this.sent - this.acknowledged);
    const messages = Math.min(this.#waiting, room);
    if (messages === 0) return;
    this.#waiting -= messages;
    this.sent += messages;
    for (const bytes of this.#wheel.take(messages)) this.#client.write(bytes);
  }
}
