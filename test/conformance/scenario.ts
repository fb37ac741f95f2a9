import { type ConnectOptions, Packets, type Version } from './bytes.ts';
import { Peer } from './peer.ts';
import type { Statement311 } from './statements-3.1.1.ts';
import type { Statement5 } from './statements-5.0.ts';
import type { Transport, WebSocketLink } from './transport.ts';

type OneOrMore<T> = T | readonly T[];

export interface ProvenStatements {
  readonly v4?: OneOrMore<Statement311>;
  readonly v5?: OneOrMore<Statement5>;
}

/** What a broker needs for a scenario beyond storage and one listener. */
export interface Needs {
  /** TOML, beginning with keys of the listener. `{files}/` stands for where the files are. */
  readonly toml: string;
  /** Files by name, such as an ACL. */
  readonly files: Readonly<Record<string, string>>;
  /** `disk`: one that can be made to fail, as only a simulated one can. `ws`: a WebSocket listener. */
  readonly world: 'any' | 'disk' | 'ws';
}

/** What a user relies on, the statements that ask for it, and the bytes that show it. */
export interface Scenario {
  readonly title: string;
  readonly version: Version;
  readonly statements: readonly string[];
  readonly needs: Needs;
  readonly run: (world: World) => Promise<void>;
}

/** The broker as one scenario sees it. */
export class World {
  readonly version: Version;
  readonly packets: Packets;
  readonly #transport: Transport;

  constructor(transport: Transport, version: Version) {
    this.#transport = transport;
    this.version = version;
    this.packets = new Packets(version);
  }

  /** A connection on which nothing has been said. */
  async open(): Promise<Peer> {
    return new Peer(await this.#transport.open(), this.#transport, this.version);
  }

  /** A WebSocket, and a peer that sends and receives over it. */
  async openWebSocket(
    ...subprotocols: readonly string[]
  ): Promise<{ readonly link: WebSocketLink; readonly peer: Peer }> {
    const link = await this.#transport.openWebSocket(subprotocols);
    return { link, peer: new Peer(link, this.#transport, this.version) };
  }

  /** A client whose CONNECT was accepted and that was not told of a session. */
  async connected(id: string, options: ConnectOptions = {}): Promise<Peer> {
    return this.#accepted(id, options, false);
  }

  /** A client whose session was there and was taken up. */
  async resumed(id: string, options: ConnectOptions = {}): Promise<Peer> {
    return this.#accepted(id, { clean: false, ...options }, true);
  }

  /** A client that has the filter at this QoS, and had a SUBACK for it. */
  async subscribed(
    id: string,
    filter: string,
    options: number,
    connect: ConnectOptions = {},
  ): Promise<Peer> {
    const peer = await this.connected(id, connect);
    peer.send(this.packets.subscribe(1, [[filter, options]]));
    await peer.expect(this.packets.suback(1, options & 3));
    return peer;
  }

  /** Lets the broker do all it has to. */
  settle(): Promise<void> {
    return this.#transport.settle();
  }

  /** One turn of the broker: what was sent has come as a piece of its own. */
  turn(): Promise<void> {
    return this.#transport.pass(1);
  }

  passSeconds(seconds: number): Promise<void> {
    return this.#transport.pass(seconds * 1000);
  }

  restart(how: 'stopped' | 'killed'): Promise<void> {
    return this.#transport.restart(how);
  }

  /** From now on nothing can be written to the disk. */
  breakDisk(): void {
    this.#transport.breakDisk();
  }

  async #accepted(id: string, options: ConnectOptions, present: boolean): Promise<Peer> {
    const peer = await this.open();
    peer.send(this.packets.connect({ id, ...options }));
    await peer.expectConnack(0, present);
    return peer;
  }
}

/** A session that outlives its connection, in the words of either version. */
export function lasting(version: Version): ConnectOptions {
  return version === 5 ? { clean: false, properties: '11 0000 0e10' } : { clean: false };
}

/** The same as `lasting`, with a clean start where the version has one. */
export function lastingFromNew(version: Version): ConnectOptions {
  return version === 5 ? { clean: true, properties: '11 0000 0e10' } : { clean: false };
}

/**
 * One scenario for each version that `statements` names. Where it proves something in one version
 * only, it runs in that one.
 */
export function proves(
  statements: ProvenStatements,
  title: string,
  run: (world: World) => Promise<void>,
  options: Partial<Needs> = {},
): readonly Scenario[] {
  const needs: Needs = { toml: '', files: {}, world: 'any', ...options };
  const scenarios: Scenario[] = [];
  const { v4, v5 } = statements;
  if (v4 !== undefined) scenarios.push({ title, version: 4, statements: [v4].flat(), needs, run });
  if (v5 !== undefined) scenarios.push({ title, version: 5, statements: [v5].flat(), needs, run });
  return scenarios;
}

/** What the test of a scenario is called: its statements, its version, what it says. */
export function nameOf({ title, version, statements }: Scenario): string {
  const ids = statements.map((id) => `[MQTT-${id}]`).join('');
  return `${ids} ${version === 5 ? '5.0' : '3.1.1'}: ${title}`;
}
