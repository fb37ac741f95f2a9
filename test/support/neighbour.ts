import { setTimeout as sleep } from 'node:timers/promises';
import { WireClient } from './wire-client.ts';

const TOPIC = 'neighbour/pulse';
const ROUND_TRIP_LIMIT_MS = 5_000;
const BETWEEN_PULSES_MS = 10;

/**
 * A well-behaved pair of clients beside the one under test: one publishes at QoS 1, the other
 * receives. Whatever happens to the rest, they must not notice.
 */
export class Neighbour {
  readonly #publisher: WireClient;
  readonly #subscriber: WireClient;
  #sent = 0;

  private constructor(publisher: WireClient, subscriber: WireClient) {
    this.#publisher = publisher;
    this.#subscriber = subscriber;
  }

  static async moveIn(port: number): Promise<Neighbour> {
    const { client: subscriber } = await WireClient.connect(port, { clientId: 'neighbour-sub' });
    const subscriptions = [{ topic: TOPIC, qos: 1 as const }];
    subscriber.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await subscriber.next('suback');
    const { client: publisher } = await WireClient.connect(port, { clientId: 'neighbour-pub' });
    return new Neighbour(publisher, subscriber);
  }

  /**
   * Does `what` while messages go round; each must be acknowledged and delivered, over the
   * connections of the beginning. Returns how many did.
   */
  async during(what: () => Promise<void>): Promise<number> {
    const before = this.#sent;
    let isOver = false;
    const pulses = (async () => {
      do {
        await this.pulse();
        await sleep(BETWEEN_PULSES_MS);
      } while (!isOver);
    })();
    // A pulse that fails must not wait for the end of `what`, which may never come then.
    await Promise.race([what(), pulses.then(() => new Promise<never>(() => undefined))]);
    isOver = true;
    await pulses;
    return this.#sent - before;
  }

  /** One message there and back. */
  async pulse(): Promise<void> {
    this.#sent += 1;
    const messageId = (this.#sent % 65_535) + 1;
    const payload = `${this.#sent}`;
    this.#publisher.send({
      cmd: 'publish',
      topic: TOPIC,
      payload,
      qos: 1,
      retain: false,
      dup: false,
      messageId,
    });
    await this.#publisher.next('puback', (ack) => ack.messageId === messageId, ROUND_TRIP_LIMIT_MS);
    const delivered = await this.#subscriber.next('publish', undefined, ROUND_TRIP_LIMIT_MS);
    if (delivered.payload.toString() !== payload) {
      throw new Error(`the neighbour got ${delivered.payload.toString()} instead of ${payload}`);
    }
    this.#subscriber.send({ cmd: 'puback', messageId: delivered.messageId ?? 0 });
  }

  moveOut(): void {
    this.#publisher.destroy();
    this.#subscriber.destroy();
  }
}
