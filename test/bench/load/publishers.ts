import { encodeControl } from '../../../src/codec/control-encoder.ts';
import { PacketType } from '../../../src/codec/control-packet.ts';
import type { Client } from './client.ts';
import type { MessageWheel } from './message-wheel.ts';

/** Sends until stopped; `sent` and `finished` count messages. */
export interface Publisher {
  readonly sent: number;
  /** Those that the broker has surely taken, or that came out of it. */
  readonly finished: number;
  start(): void;
  stop(): void;
}

/**
 * QoS 1: keeps `window` messages unacknowledged, and sends as many as were acknowledged at once.
 * While `isHeldBack` it sends nothing; who ends that calls `resume`.
 */
export class WindowPublisher implements Publisher {
  sent = 0;
  finished = 0;
  /** Acks in another order than the messages [MQTT-4.6.0-2]. */
  misordered = 0;
  readonly #client: Client;
  readonly #wheel: MessageWheel;
  readonly #window: number;
  readonly #isHeldBack: () => boolean;
  #running = false;

  constructor(
    client: Client,
    wheel: MessageWheel,
    window: number,
    isHeldBack: () => boolean = () => false,
  ) {
    this.#client = client;
    this.#wheel = wheel;
    this.#window = window;
    this.#isHeldBack = isHeldBack;
    client.handler = {
      onAck: (type, packetId) => {
        if (type !== PacketType.puback) return;
        if (packetId !== (this.finished % this.#wheel.count) + 1) this.misordered += 1;
        this.finished += 1;
      },
      onChunkEnd: () => this.resume(),
    };
  }

  start(): void {
    this.#running = true;
    this.resume();
  }

  stop(): void {
    this.#running = false;
  }

  resume(): void {
    const room = this.#window - (this.sent - this.finished);
    if (!this.#running || room <= 0 || this.#isHeldBack()) return;
    this.sent += room;
    for (const bytes of this.#wheel.take(room)) this.#client.write(bytes);
  }
}

const MESSAGES_A_FENCE = 500;
const pingreq = encodeControl({ type: 'pingreq' }, 4);

/**
 * QoS 0 without a subscriber: floods as fast as the socket takes it. A PINGREQ follows every 500
 * messages; a broker handles a connection's packets in order, so its PINGRESP tells that it has read
 * the messages before. What is left in socket buffers is thus never counted.
 */
export class FloodPublisher implements Publisher {
  sent = 0;
  finished = 0;
  readonly #client: Client;
  readonly #wheel: MessageWheel;
  readonly #window: number;
  #running = false;
  #clogged = false;

  constructor(client: Client, wheel: MessageWheel, window: number) {
    this.#client = client;
    this.#wheel = wheel;
    this.#window = window;
    client.handler = {
      onControl: (packet) => {
        if (packet.type === 'pingresp') this.finished += MESSAGES_A_FENCE;
      },
      onChunkEnd: () => this.#fill(),
    };
    client.onDrain(() => {
      this.#clogged = false;
      this.#fill();
    });
  }

  start(): void {
    this.#running = true;
    this.#fill();
  }

  stop(): void {
    this.#running = false;
  }

  #fill(): void {
    while (
      this.#running &&
      !this.#clogged &&
      this.sent - this.finished + MESSAGES_A_FENCE <= this.#window
    ) {
      this.sent += MESSAGES_A_FENCE;
      for (const bytes of this.#wheel.take(MESSAGES_A_FENCE)) this.#client.write(bytes);
      this.#clogged = !this.#client.write(pingreq);
    }
  }
}

/**
 * QoS 0 with subscribers in this process: keeps `window` messages undelivered on average, so that no
 * broker has to queue without bound or drop. Whoever counts deliveries calls `delivered`.
 */
export class PacedPublisher implements Publisher {
  sent = 0;
  finished = 0;
  readonly #client: Client;
  readonly #wheel: MessageWheel;
  readonly #window: number;
  #running = false;

  constructor(client: Client, wheel: MessageWheel, window: number) {
    this.#client = client;
    this.#wheel = wheel;
    this.#window = window;
  }

  start(): void {
    this.#running = true;
    this.delivered(0);
  }

  stop(): void {
    this.#running = false;
  }

  /** `messages` is how many have reached their subscribers altogether, or were given up. */
  delivered(messages: number): void {
    this.finished = messages;
    const room = Math.floor(this.#window - (this.sent - messages));
    // A few large writes are cheaper than many small ones, for the broker too.
    if (!this.#running || room < this.#window / 4) return;
    this.sent += room;
    for (const bytes of this.#wheel.take(room)) this.#client.write(bytes);
  }
}
