import { Packets } from '../conformance/bytes.ts';
import type { Socket } from '../../src/platform/network.ts';
import { SimClient } from '../support/sim-client.ts';
import { SimRandom } from '../support/sim-random.ts';
import { FuzzWorld } from './fuzz-world.ts';
import { Grammar, type Vocabulary } from './grammar.ts';
import { HonestClient } from './honest-client.ts';
import { mutated, pieces } from './mutation.ts';

const STEPS = 350;
const MAX_WILD = 12;
/** Of a message that only its owner may read: no mutation hits upon 8 random digits. */
const SECRET = /<<S:(honest-[0-9a-f]{8}):\d+>>/g;

/** A connection that keeps no rule. */
interface Wild {
  readonly socket: Socket;
  readonly version: 4 | 5;
  isClosed: boolean;
}

/**
 * One seed's worth of abuse: wild connections that send well-formed and broken packets, whole and in
 * pieces, among honest clients that come, go, are taken over and outlive restarts.
 *
 * Checked all the time: nothing throws; no connection is sent a byte of a message that is not for
 * it; what the broker sends to honest clients is MQTT. At the end: every message that was
 * acknowledged has come to every honest subscriber, one of QoS 2 once; nothing of the storm is left
 * but what is lasting; a fresh client works.
 */
export class Storm {
  readonly #random: SimRandom;
  readonly #world: FuzzWorld;
  readonly #grammar: Grammar;
  readonly #honest: readonly HonestClient[];
  /** The last ones, for the report of a failure. */
  readonly #steps: string[] = [];
  readonly #leaks: string[] = [];
  #wild: Wild[] = [];
  #messages = 0;

  private constructor(seed: number, world: FuzzWorld) {
    this.#random = new SimRandom(seed);
    this.#world = world;
    const ids = [0, 1, 2].map(() => `honest-${hex(this.#random)}`);
    this.#honest = ids.map((id, index) => {
      return new HonestClient(id, index % 2 === 0 ? 5 : 4, ['public/#', `secret/${id}/#`]);
    });
    this.#grammar = new Grammar(this.#random, vocabularyOf(ids));
  }

  /** Rejects with what went wrong and the steps before it. */
  static async run(seed: number): Promise<void> {
    const storm = new Storm(seed, await FuzzWorld.start());
    try {
      await storm.#blow();
      await storm.#calm();
      await storm.#world.stop();
    } catch (error) {
      const steps = storm.#steps.slice(-25).join('\n  ');
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new Error(`seed ${seed}: ${reason}\nthe last steps:\n  ${steps}`, { cause: error });
    }
  }

  async #blow(): Promise<void> {
    for (const client of this.#honest) this.#connect(client);
    await this.#world.pass(50);
    for (let step = 0; step < STEPS; step += 1) {
      await this.#step();
      for (const client of this.#honest) client.noteSubscription();
      if (this.#leaks.length > 0) throw new Error(`leaked: ${this.#leaks.join(', ')}`);
    }
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const dice = random.below(100);
    if (dice < 45) this.#wildSends();
    else if (dice < 58) this.#wildOpens();
    else if (dice < 61) this.#wildDrops();
    else if (dice < 88) this.#honestPublishes();
    else if (dice < 94) this.#honestComesOrGoes();
    else if (dice < 99) await this.#time(random.pick([1, 20, 500, 3000]));
    else if (random.chance(0.4)) await this.#restart();
    // Often several things happen before the broker gets its turn.
    if (random.chance(0.5)) await this.#world.pass(random.pick([0, 1, 5]));
  }

  #wildOpens(): void {
    if (this.#wild.length >= MAX_WILD) return;
    const version = this.#random.pick([4, 5] as const);
    const wild: Wild = { socket: this.#world.connect(), version, isClosed: false };
    wild.socket.onData = (chunk) => this.#sniff(chunk, 'a wild connection');
    wild.socket.onClose = () => {
      wild.isClosed = true;
    };
    this.#wild.push(wild);
    const connect = this.#grammar.connect(version);
    this.#send(wild, this.#random.chance(0.8) ? connect : mutated(connect, this.#random));
  }

  #wildSends(): void {
    this.#wild = this.#wild.filter(({ isClosed }) => !isClosed);
    if (this.#wild.length === 0) {
      this.#wildOpens();
      return;
    }
    const random = this.#random;
    const wild = random.pick(this.#wild);
    const packets = Array.from({ length: 1 + random.below(3) }, () => {
      const packet = random.chance(0.05)
        ? this.#grammar.connect(wild.version)
        : this.#grammar.packet(wild.version);
      return random.chance(0.1) ? mutated(packet, random) : packet;
    });
    this.#send(wild, Buffer.concat(packets));
  }

  #send(wild: Wild, bytes: Uint8Array): void {
    this.#note(`wild ${this.#wild.indexOf(wild)} sends ${Buffer.from(bytes).toString('hex')}`);
    for (const piece of pieces(bytes, this.#random)) wild.socket.write(piece);
  }

  #wildDrops(): void {
    if (this.#wild.length === 0) return;
    this.#note('a wild one drops');
    this.#random.pick(this.#wild).socket.destroy();
  }

  #honestPublishes(): void {
    const random = this.#random;
    const client = random.pick(this.#honest);
    if (!client.isConnected) return;
    const qos = random.pick([0, 1, 2] as const);
    this.#messages += 1;
    const [topic, payload] = random.chance(0.5)
      ? [`secret/${client.id}/${random.below(3)}`, `<<S:${client.id}:${this.#messages}>>`]
      : [`public/${random.below(3)}`, `<<P:${this.#messages}>>`];
    this.#note(`${client.id} publishes ${payload} at QoS ${qos}`);
    client.publish(topic, payload, qos, random.chance(0.1));
  }

  #honestComesOrGoes(): void {
    const away = this.#honest.find(({ isConnected }) => !isConnected);
    const client = away ?? this.#random.pick(this.#honest);
    if (away !== undefined) this.#connect(away);
    else if (this.#random.chance(0.3)) client.disconnect();
    else if (this.#random.chance(0.5)) client.drop();
    // Without a word to the old connection: it is taken over.
    else this.#connect(client);
  }

  #connect(client: HonestClient): void {
    this.#note(`${client.id} connects`);
    const socket = this.#world.connect();
    client.connect(socket);
    const { onData } = socket;
    socket.onData = (chunk) => {
      this.#sniff(chunk, client.id);
      onData(chunk);
    };
  }

  async #time(ms: number): Promise<void> {
    this.#note(`${ms} ms pass`);
    await this.#world.pass(ms);
  }

  async #restart(): Promise<void> {
    const how = this.#random.pick(['stopped', 'killed', 'cut'] as const);
    this.#note(`the broker is ${how} and starts again`);
    await this.#world.restart(how, this.#random.uint32());
    this.#wild = [];
    for (const client of this.#honest) client.forget();
  }

  /** Any message that is somebody else's, be it within whatever packet or none. */
  #sniff(chunk: Uint8Array, receiver: string): void {
    for (const [tag, owner] of Buffer.from(chunk).toString('latin1').matchAll(SECRET)) {
      if (owner !== receiver) this.#leaks.push(`${tag} to ${receiver}`);
    }
  }

  async #calm(): Promise<void> {
    for (const wild of this.#wild) wild.socket.destroy();
    this.#wild = [];
    for (const client of this.#honest) if (!client.isConnected) this.#connect(client);
    for (let second = 0; second < 60 && !this.#isSettled; second += 1) {
      await this.#world.pass(1000);
      for (const client of this.#honest) {
        client.noteSubscription();
        // A repeat of what was closed before its answer.
        if (!client.isConnected) this.#connect(client);
      }
    }
    await this.#world.pass(2000);
    this.#checkDeliveries();
    await this.#checkFreshClients();
    for (const client of this.#honest) client.disconnect();
    await this.#world.pass(2000);
    const { clients } = this.#world.status;
    if (clients.connected !== 0) throw new Error(`${clients.connected} connections are left`);
  }

  get #isSettled(): boolean {
    return this.#honest.every((client) => client.isSubscribed && !client.waitsForAcks);
  }

  #checkDeliveries(): void {
    const faults = this.#honest.flatMap(({ id, faults }) => faults.map((it) => `${id}: ${it}`));
    if (faults.length > 0) throw new Error(faults.join('; '));
    for (const client of this.#honest) {
      if (client.waitsForAcks) throw new Error(`${client.id} still waits for acknowledgements`);
      const came = new Set(client.delivered);
      for (const publisher of this.#honest) {
        const wanted = publisher.acknowledged.filter(
          (payload) => payload.startsWith('<<P') || publisher === client,
        );
        const missing = wanted.filter((payload) => !came.has(payload));
        if (missing.length > 0) throw new Error(`${client.id} lacks ${missing.join(', ')}`);
      }
    }
  }

  async #checkFreshClients(): Promise<void> {
    for (const version of [4, 5] as const) {
      const client = new SimClient(this.#world.connect(), version);
      client.connect({ clientId: `fresh-${version}` });
      client.subscribe(1, [`secret/fresh-${version}/#`, 2]);
      await this.#world.pass(50);
      client.publish(`secret/fresh-${version}/a`, 'fresh', { qos: 2, packetId: 2 });
      await this.#world.pass(50);
      client.raw(new Packets(version).pingreq());
      await this.#world.pass(50);
      const worked =
        client.received.some(({ payload }) => payload === 'fresh') &&
        client.last('pingresp') !== undefined;
      if (!worked) throw new Error(`a fresh client of version ${version} is not served`);
      client.disconnect();
    }
  }

  #note(step: string): void {
    this.#steps.push(step.length > 400 ? `${step.slice(0, 400)} ...` : step);
  }
}

function hex(random: SimRandom): string {
  return random.uint32().toString(16).padStart(8, '0');
}

function vocabularyOf(honestIds: readonly string[]): Vocabulary {
  const secrets = honestIds.map((id) => `secret/${id}/0`);
  return {
    clientIds: ['wild-1', 'wild-2', 'wild-3', '', 'w'.repeat(200)],
    topics: ['public/0', 'public/1', 'public/a/b', ...secrets, '$SYS/a', 'secret/wild-1/a', ''],
    filters: [
      '#',
      '+/+/+',
      'public/#',
      'secret/#',
      '$SYS/#',
      '$share/group/public/#',
      '$share/group/secret/+/+',
      ...secrets,
      ...honestIds.map((id) => `secret/${id}/#`),
      ...honestIds.map((id) => `$share/wild/secret/${id}/#`),
    ],
    mark: 'wild ',
  };
}
