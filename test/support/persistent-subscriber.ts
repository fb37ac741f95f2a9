import type { IPublishPacket, Packet, QoS } from 'mqtt-packet';
import { WireClient } from './wire-client.ts';

export interface SubscriberOptions {
  readonly port: number;
  readonly clientId: string;
  readonly version: 4 | 5;
  readonly filters: readonly string[];
  readonly qos: QoS;
  /** Called once a delivery: a QoS 2 message comes here once, however often it was sent. */
  readonly onMessage: (packet: IPublishPacket) => void;
}

const RECONNECT_MS = 50;
const CONNACK_LIMIT_MS = 5_000;

/**
 * A client with a lasting session, which comes back whenever it loses its connection and subscribes
 * once only: after that the broker has to know. It acknowledges after `onMessage` has returned, and
 * keeps the QoS 2 packet identifiers over a reconnect [MQTT-4.3.3].
 */
export class PersistentSubscriber {
  readonly complaints: string[] = [];
  connections = 0;
  readonly #options: SubscriberOptions;
  /** QoS 2 messages received and not released. */
  readonly #unreleased = new Set<number>();
  #client: WireClient | undefined;
  #isSubscribed = false;
  #isStopping = false;
  #running: Promise<void> | undefined;

  constructor(options: SubscriberOptions) {
    this.#options = options;
  }

  /** Resolves when the subscription is acknowledged. */
  async start(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#running ??= this.#run(resolve);
    });
  }

  /** As `start`, for a session that another object left behind: the broker has to know it. */
  async resume(): Promise<void> {
    this.#isSubscribed = true;
    await this.start();
  }

  /** Breaks the connection; it comes back by itself. */
  drop(): void {
    this.#client?.destroy();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#client?.destroy();
    await this.#running;
  }

  async #run(onSubscribed: () => void): Promise<void> {
    while (!this.#isStopping) {
      await this.#connectOnce(onSubscribed).catch((error: Error) => {
        if (!/ECONN|closed|EPIPE/.test(error.message)) this.complaints.push(error.message);
      });
      if (!this.#isStopping) await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }

  async #connectOnce(onSubscribed: () => void): Promise<void> {
    const { port, clientId, version } = this.#options;
    const client = await WireClient.open(port, version);
    if (this.#isStopping) {
      client.destroy();
      return;
    }
    this.#client = client;
    client.onPacket = (packet) => this.#handle(packet, client);
    client.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId,
      clean: false,
      keepalive: 0,
      ...(version === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
    });
    try {
      const connack = await client.next('connack', undefined, CONNACK_LIMIT_MS);
      const code = connack.reasonCode ?? connack.returnCode ?? 0;
      if (code !== 0) throw new Error(`${clientId} was refused with ${code}`);
      this.connections += 1;
      if (this.#isSubscribed && !connack.sessionPresent) {
        this.complaints.push(`${clientId}: its session was forgotten`);
      }
      if (!this.#isSubscribed) await this.#subscribe(client);
      onSubscribed();
      await client.closed(2 ** 31 - 1);
    } finally {
      client.destroy();
    }
  }

  async #subscribe(client: WireClient): Promise<void> {
    const { filters, qos } = this.#options;
    const subscriptions = filters.map((topic) => ({ topic, qos }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    const { granted } = await client.next('suback');
    if (granted.some((code) => code !== qos)) throw new Error(`granted ${JSON.stringify(granted)}`);
    this.#isSubscribed = true;
  }

  #handle(packet: Packet, client: WireClient): void {
    if (packet.cmd === 'publish') this.#deliver(packet, client);
    if (packet.cmd === 'pubrel') {
      const { messageId } = packet;
      this.#unreleased.delete(messageId ?? 0);
      client.send({ cmd: 'pubcomp', messageId: messageId ?? 0 });
    }
  }

  #deliver(packet: IPublishPacket, client: WireClient): void {
    const messageId = packet.messageId ?? 0;
    if (packet.qos !== 2 || !this.#unreleased.has(messageId)) this.#options.onMessage(packet);
    if (packet.qos === 1) client.send({ cmd: 'puback', messageId });
    if (packet.qos === 2) {
      this.#unreleased.add(messageId);
      client.send({ cmd: 'pubrec', messageId });
    }
  }
}
