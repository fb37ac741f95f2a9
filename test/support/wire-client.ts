import { connect as connectSocket, type Socket } from 'node:net';
import mqttPacket, { type IConnectPacket, type Packet } from 'mqtt-packet';

type Command = Packet['cmd'];
type PacketOf<C extends Command> = Extract<Packet, { readonly cmd: C }>;

interface Waiter {
  readonly accepts: (packet: Packet) => boolean;
  readonly resolve: (packet: Packet) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One TCP connection that sends and receives single packets and does nothing of its own accord: no
 * acks, no keep alive, no reconnect. Its codec is `mqtt-packet`, so that a mistake in Cistern's own
 * cannot hide on both sides.
 */
export class WireClient {
  /** Everything that came, in order. */
  readonly received: Packet[] = [];
  /** Told of each packet as it comes, whether or not somebody waits for it. */
  onPacket: (packet: Packet) => void = () => undefined;
  readonly #socket: Socket;
  readonly #version: 3 | 4 | 5;
  readonly #waiters: Waiter[] = [];
  readonly #closed: Promise<void>;
  #taken = 0;
  #isClosed = false;

  private constructor(socket: Socket, version: 3 | 4 | 5) {
    this.#socket = socket;
    this.#version = version;
    const parser = mqttPacket.parser({ protocolVersion: version });
    parser.on('packet', (packet) => this.#take(packet));
    parser.on('error', (error: Error) => this.#socket.destroy(error));
    socket.setNoDelay(true);
    socket.on('data', (chunk) => parser.parse(chunk));
    // The close that follows tells whoever waits.
    socket.on('error', () => undefined);
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true;
        for (const waiter of this.#waiters.splice(0)) {
          waiter.reject(new Error('the connection was closed'));
        }
        resolve();
      });
    });
  }

  /** Publishes at QoS 1 and waits for the ack. */
  async publish(topic: string, payload: string, messageId: number, retain: boolean): Promise<void> {
    this.send({ cmd: 'publish', topic, payload, qos: 1, retain, dup: false, messageId });
    await this.next('puback', (ack) => ack.messageId === messageId);
  }

  /** A TCP connection, before any CONNECT. Rejects where nobody listens. */
  static async open(port: number, version: 3 | 4 | 5 = 4): Promise<WireClient> {
    const socket = connectSocket(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new WireClient(socket, version);
  }

  /** Connects as an MQTT client and waits for the CONNACK, which may be a refusal. */
  static async connect(
    port: number,
    options: Omit<IConnectPacket, 'cmd'>,
  ): Promise<{ readonly client: WireClient; readonly connack: PacketOf<'connack'> }> {
    const version = options.protocolVersion ?? 4;
    const client = await WireClient.open(port, version);
    client.send({
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clean: true,
      keepalive: 0,
      ...options,
    });
    return { client, connack: await client.next('connack') };
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  send(packet: Packet): void {
    this.sendBytes(mqttPacket.generate(packet, { protocolVersion: this.#version }));
  }

  sendBytes(bytes: Uint8Array): void {
    if (!this.#isClosed) this.#socket.write(bytes);
  }

  /** The next packet of that kind that no earlier call has taken; those before it are passed over. */
  async next<C extends Command>(
    command: C,
    accepts: (packet: PacketOf<C>) => boolean = () => true,
    timeoutMs = 10_000,
  ): Promise<PacketOf<C>> {
    const wanted = (packet: Packet): boolean =>
      packet.cmd === command && accepts(packet as PacketOf<C>);
    while (this.#taken < this.received.length) {
      const packet = this.received[this.#taken] as Packet;
      this.#taken += 1;
      if (wanted(packet)) return packet as PacketOf<C>;
    }
    if (this.#isClosed) throw new Error(`the connection was closed before a ${command} came`);
    return (await this.#wait(command, wanted, timeoutMs)) as PacketOf<C>;
  }

  /** Waits until the peer has closed; fails after `timeoutMs`. */
  async closed(timeoutMs = 10_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`the peer did not close within ${timeoutMs} ms`);
      timer = setTimeout(() => reject(error), timeoutMs);
    });
    await Promise.race([this.#closed, late]).finally(() => clearTimeout(timer));
  }

  /** Goes away without a DISCONNECT. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Stops and resumes reading, as a device does whose program hangs. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #take(packet: Packet): void {
    this.received.push(packet);
    this.onPacket(packet);
    const waiter = this.#waiters[0];
    if (waiter === undefined) return;
    this.#taken = this.received.length;
    if (!waiter.accepts(packet)) return;
    this.#waiters.shift();
    waiter.resolve(packet);
  }

  #wait(
    command: Command,
    accepts: (packet: Packet) => boolean,
    timeoutMs: number,
  ): Promise<Packet> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        accepts,
        resolve: (packet) => {
          clearTimeout(timer);
          resolve(packet);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        const seen = this.received.map(({ cmd }) => cmd).join(' ') || 'nothing';
        reject(new Error(`no ${command} within ${timeoutMs} ms; received: ${seen}`));
      }, timeoutMs);
      this.#waiters.push(waiter);
    });
  }
}
