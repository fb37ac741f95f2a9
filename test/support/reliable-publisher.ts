import type { Packet } from 'mqtt-packet';
import { WireClient } from './wire-client.ts';

export interface Reading {
  readonly number: number;
  readonly topic: string;
  readonly payload: Buffer;
  readonly retain?: boolean;
}

export interface PublisherOptions {
  readonly port: number;
  readonly clientId: string;
  readonly version: 4 | 5;
  readonly qos: 1 | 2;
  /** Readings under way at most. */
  readonly window: number;
  /** Called at each attempt to send, before the bytes leave; a repeat is an attempt too. */
  readonly onTried?: (reading: Reading) => void;
  /** Called when the broker has taken the responsibility: PUBACK, or PUBCOMP at QoS 2. */
  readonly onAcknowledged?: (reading: Reading) => void;
}

interface InFlight {
  readonly reading: Reading;
  readonly packetId: number;
  /** QoS 2: the PUBREC came, so it is PUBREL that is sent from now on. */
  released: boolean;
  sent: boolean;
}

const RECONNECT_MS = 50;
const CONNACK_LIMIT_MS = 5_000;
const FIRST_REFUSAL = 0x80;

/**
 * A device as it should be: it keeps a reading until it is acknowledged, sends in order with several
 * under way, and after a reconnect sends again, in order and with the same packet identifiers,
 * whatever was not acknowledged [MQTT-4.4.0-1]. It never gives up.
 */
export class ReliablePublisher {
  /** Attempts refused with a reason code, connections refused, sessions that were forgotten. */
  readonly complaints: string[] = [];
  connections = 0;
  readonly #options: PublisherOptions;
  readonly #waiting: Reading[] = [];
  /** In the order of their first sending. */
  readonly #inFlight: InFlight[] = [];
  #client: WireClient | undefined;
  #isReady = false;
  #isStopping = false;
  #hasSession = false;
  #nextPacketId = 1;
  #running: Promise<void> | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Takes a reading to publish now or as soon as it is its turn. */
  publish(reading: Reading): void {
    this.#waiting.push(reading);
    this.#fill();
  }

  /** Readings that are not acknowledged, those never sent included. */
  get pending(): number {
    return this.#waiting.length + this.#inFlight.length;
  }

  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** Goes away; with `clean`, by a DISCONNECT. */
  async stop(how: 'clean' | 'unclean' = 'clean'): Promise<void> {
    this.#isStopping = true;
    if (how === 'clean' && this.#isReady) this.#client?.send({ cmd: 'disconnect' });
    // Lets the DISCONNECT out of the socket's queue first.
    setTimeout(() => this.#client?.destroy(), how === 'clean' ? 20 : 0);
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      await this.#connectOnce().catch((error: Error) => {
        if (!/ECONN|closed|EPIPE/.test(error.message)) this.complaints.push(error.message);
      });
      this.#isReady = false;
      if (!this.#isStopping) await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }

  /** Resolves when the connection is over. */
  async #connectOnce(): Promise<void> {
    const { port, clientId, version } = this.#options;
    const client = await WireClient.open(port, version);
    if (this.#isStopping) {
      client.destroy();
      return;
    }
    this.#client = client;
    client.onPacket = (packet) => this.#handle(packet);
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
      if (this.#hasSession && !connack.sessionPresent) {
        this.complaints.push(`${clientId}: its session was forgotten`);
      }
      this.#hasSession = true;
      this.connections += 1;
      this.#isReady = true;
      for (const entry of this.#inFlight) this.#send(entry);
      this.#fill();
      await client.closed(2 ** 31 - 1);
    } finally {
      client.destroy();
    }
  }

  #fill(): void {
    while (this.#isReady && this.#inFlight.length < this.#options.window) {
      const reading = this.#waiting.shift();
      if (reading === undefined) return;
      const packetId = this.#nextPacketId;
      this.#nextPacketId = (packetId % 65_535) + 1;
      const entry: InFlight = { reading, packetId, released: false, sent: false };
      this.#inFlight.push(entry);
      this.#send(entry);
    }
  }

  #send(entry: InFlight): void {
    const { reading, packetId } = entry;
    if (entry.released) {
      this.#client?.send({ cmd: 'pubrel', messageId: packetId });
      return;
    }
    this.#options.onTried?.(reading);
    this.#client?.send({
      cmd: 'publish',
      topic: reading.topic,
      payload: reading.payload,
      qos: this.#options.qos,
      retain: reading.retain ?? false,
      dup: entry.sent,
      messageId: packetId,
    });
    entry.sent = true;
  }

  #handle(packet: Packet): void {
    switch (packet.cmd) {
      case 'puback':
      case 'pubcomp':
        this.#finish(packet.messageId, packet.reasonCode ?? 0);
        break;
      case 'pubrec':
        this.#release(packet.messageId, packet.reasonCode ?? 0);
        break;
      default:
        break;
    }
  }

  #release(packetId: number | undefined, reasonCode: number): void {
    const entry = this.#inFlight.find((candidate) => candidate.packetId === packetId);
    if (entry === undefined) return;
    if (reasonCode >= FIRST_REFUSAL) {
      this.#finish(packetId, reasonCode);
      return;
    }
    entry.released = true;
    this.#send(entry);
  }

  #finish(packetId: number | undefined, reasonCode: number): void {
    const index = this.#inFlight.findIndex((candidate) => candidate.packetId === packetId);
    const entry = this.#inFlight[index];
    if (entry === undefined) return;
    this.#inFlight.splice(index, 1);
    // 0x92 ends a PUBREL for an exchange that the broker had already finished.
    const alreadyDone = entry.released && reasonCode === 0x92;
    if (reasonCode >= FIRST_REFUSAL && !alreadyDone) {
      this.complaints.push(`reading ${entry.reading.number} was refused with ${reasonCode}`);
    } else {
      this.#options.onAcknowledged?.(entry.reading);
    }
    this.#fill();
  }
}
