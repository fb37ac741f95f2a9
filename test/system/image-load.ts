import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync, type MqttClient } from 'mqtt';
import { SimRandom } from '../support/sim-random.ts';

export const PUBLISHERS = 4;
const WINDOW = 50;
const PAYLOAD_BYTES = 400;
const RETAINED_EVERY_MS = 40;
const NIGHT_EVERY_MS = 30;
/** The session of this client waits for `night/#` from before the load on. */
export const SLEEPER = 'sleeper';

/** How much of each kind was acknowledged, without a gap, at one moment. */
export interface Acknowledged {
  /** By publisher: messages 0 … n-1 of `fleet/<publisher>/…`. */
  readonly fleet: readonly number[];
  /** Values 0 … n-1 of `state/value`, each retained in its turn. */
  readonly retained: number;
  /** Messages 0 … n-1 of `night/watch`. */
  readonly night: number;
}

/**
 * Publishers at QoS 1 that send as fast as their window lets them, one that sets a retained value
 * again and again, and one whose messages wait for a client that is away.
 */
export class Load {
  readonly #clients: readonly MqttClient[];
  readonly #fleet: number[] = new Array<number>(PUBLISHERS).fill(0);
  /** Sliced anew for each payload, so that no batch is worth compressing. */
  readonly #noise = Buffer.from(new SimRandom(7).bytes(256 * 1024)).toString('base64');
  #retained = 0;
  #night = 0;
  readonly #running: Promise<unknown>;
  #stopping = false;

  private constructor(clients: readonly MqttClient[]) {
    this.#clients = clients;
    const [state, night, ...fleet] = clients as [MqttClient, MqttClient, ...MqttClient[]];
    this.#running = Promise.all([
      this.#setAgainAndAgain(state),
      this.#watch(night),
      ...fleet.map((client, publisher) => this.#publish(client, publisher)),
    ]);
  }

  static async start(port: number): Promise<Load> {
    const connect = (clientId: string, clean: boolean): Promise<MqttClient> =>
      connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, clean, reconnectPeriod: 0 });
    const sleeper = await connect(SLEEPER, false);
    await sleeper.subscribeAsync('night/#', { qos: 1 });
    await sleeper.endAsync();
    const clients: MqttClient[] = [];
    for (let index = 0; index < PUBLISHERS + 2; index += 1) {
      clients.push(await connect(`publisher-${index}`, true));
    }
    return new Load(clients);
  }

  acknowledged(): Acknowledged {
    return { fleet: this.#fleet.slice(), retained: this.#retained, night: this.#night };
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    for (const client of this.#clients) await client.endAsync(true);
  }

  async #setAgainAndAgain(client: MqttClient): Promise<void> {
    while (!this.#stopping) {
      const options = { qos: 1, retain: true } as const;
      await client.publishAsync('state/value', `${this.#retained}`, options);
      this.#retained += 1;
      await sleep(RETAINED_EVERY_MS);
    }
  }

  async #watch(client: MqttClient): Promise<void> {
    while (!this.#stopping) {
      await client.publishAsync('night/watch', `${this.#night}`, { qos: 1 });
      this.#night += 1;
      await sleep(NIGHT_EVERY_MS);
    }
  }

  async #publish(client: MqttClient, publisher: number): Promise<void> {
    let next = 0;
    const inFlight: Promise<void>[] = [];
    while (!this.#stopping || inFlight.length > 0) {
      while (!this.#stopping && inFlight.length < WINDOW) {
        inFlight.push(this.#publishOne(client, publisher, next));
        next += 1;
      }
      await inFlight.shift();
    }
  }

  async #publishOne(client: MqttClient, publisher: number, number: number): Promise<void> {
    const at = (number * 1031 + publisher * 77_777) % (this.#noise.length - PAYLOAD_BYTES);
    const payload = `${number} ${this.#noise.slice(at, at + PAYLOAD_BYTES)}`;
    await client.publishAsync(`fleet/${publisher}/${number % 7}`, payload, { qos: 1 });
    if (this.#fleet[publisher] === number) this.#fleet[publisher] = number + 1;
  }
}
