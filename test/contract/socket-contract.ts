import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Listener, Socket } from '../../src/platform/network.ts';
import { waitFor } from '../support/wait-for.ts';

/** The other end of a socket, whatever is between. */
export interface Peer {
  /** All that has come so far. */
  readonly received: Buffer;
  readonly isClosed: boolean;
  send(data: Buffer): void;
  /** Reads no more from the connection, so that the window of TCP fills, until `resume`. */
  pause(): void;
  resume(): void;
  /** Closes in the polite way of its protocol. */
  close(): void;
}

export interface SocketWorld {
  readonly address: string;
  listen(onSocket: (socket: Socket) => void): Promise<Listener>;
  connect(port: number): Promise<Peer>;
}

/** The owner's side of one connection: what was called, in order. */
class Owner {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  closes = 0;
  drains = 0;
  /** Called for each chunk, before it is noted. */
  onChunk: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.onData = (chunk) => {
      this.onChunk();
      // The receiver may keep the chunk only until it returns.
      this.chunks.push(Buffer.from(chunk));
    };
    socket.onClose = () => {
      this.closes += 1;
    };
    socket.onDrain = () => {
      this.drains += 1;
    };
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/** Text that shows where something is missing or out of order. */
function sample(bytes: number): Buffer {
  const data = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) data.writeUInt32BE(at, at);
  return data;
}

/** A peer that does not read its goodbye is cut, in the time that it says. */
export async function expectGoodbyeToEnd(world: SocketWorld): Promise<void> {
  const owners: Owner[] = [];
  const listener = await world.listen((socket) => owners.push(new Owner(socket)));
  const peer = await world.connect(portOf(listener));
  peer.send(Buffer.from('!'));
  await waitFor('the first byte', () => owners[0]?.chunks.length === 1);
  peer.pause();
  const [owner] = owners;
  for (let written = 0; written < 64; written += 1) owner?.socket.write(sample(256 * 1024));
  owner?.socket.end();
  await waitFor('the cut', () => owner?.closes === 1, 4_000);
  await listener.close();
}

function portOf({ address }: Listener): number {
  return Number(/:(\d+)$/.exec(address)?.[1]);
}

/** What a broker relies on, whatever a listener has between TCP and MQTT. */
export function socketContract(openWorld: () => SocketWorld | Promise<SocketWorld>): void {
  const stage = new Stage();
  beforeEach(async () => stage.open(await openWorld()));
  afterEach(() => stage.close());
  describeFlow(stage);
  describeEnds(stage);
}

/** One listener, and those who came to it. */
class Stage {
  readonly owners: Owner[] = [];
  #world: SocketWorld | undefined;
  #listener: Listener | undefined;

  get world(): SocketWorld {
    if (this.#world === undefined) throw new Error('nothing is open');
    return this.#world;
  }

  /** `wanted`: whether the owner keeps a socket that comes. */
  async open(world: SocketWorld, wanted = true): Promise<void> {
    this.owners.length = 0;
    this.#world = world;
    this.#listener = await world.listen((socket) => {
      this.owners.push(new Owner(socket));
      if (!wanted) socket.destroy();
    });
  }

  async close(): Promise<void> {
    for (const { socket } of this.owners) socket.destroy();
    await this.#listener?.close();
  }

  connect(): Promise<Peer> {
    if (this.#listener === undefined) throw new Error('nothing is open');
    return this.world.connect(portOf(this.#listener));
  }

  /** A connection over which one byte has come, so that everything in between is up. */
  async connected(): Promise<{ peer: Peer; owner: Owner }> {
    const peer = await this.connect();
    peer.send(Buffer.from('!'));
    await waitFor('the first byte', () => this.owners[0]?.chunks.length === 1);
    const [owner] = this.owners;
    if (owner === undefined) throw new Error('no socket');
    owner.chunks.length = 0;
    return { peer, owner };
  }
}

function describeFlow(stage: Stage): void {
  test('a peer has an address, and bytes go both ways, whole and in order', async () => {
    const { peer, owner } = await stage.connected();
    expect(owner.socket.remoteAddress).toBe(stage.world.address);
    expect(owner.socket.remotePort).toBeGreaterThan(0);
    const data = sample(1_000_000);
    for (let at = 0; at < data.length; at += 70_001) {
      peer.send(data.subarray(at, at + 70_001));
      owner.socket.write(data.subarray(at, at + 70_001));
    }
    await waitFor('all at the owner', () => owner.received.length >= data.length);
    await waitFor('all at the peer', () => peer.received.length >= data.length);
    expect(owner.received.equals(data)).toBe(true);
    expect(peer.received.equals(data)).toBe(true);
  });

  test('each write is released once, and what is queued is counted and drains', async () => {
    const { peer, owner } = await stage.connected();
    peer.pause();
    const chunk = sample(256 * 1024);
    let released = 0;
    let written = 0;
    let queued = 0;
    while (queued < 2 * chunk.length && written < 200) {
      queued = owner.socket.write(chunk, () => {
        released += 1;
      });
      written += 1;
      await new Promise((resolve) => void setTimeout(resolve, 2));
    }
    expect(queued).toBeGreaterThanOrEqual(2 * chunk.length);
    expect(released).toBeLessThan(written);
    owner.drains = 0;
    peer.resume();
    await waitFor('the drain', () => owner.drains > 0);
    await waitFor('all at the peer', () => peer.received.length >= written * chunk.length);
    expect(released).toBe(written);
    expect(owner.socket.write(Buffer.from('x'))).toBeLessThan(1024);
  });

  test('after pause nothing comes, not even from the same chunk; after resume nothing is missing', async () => {
    const { peer, owner } = await stage.connected();
    owner.onChunk = () => owner.socket.pause();
    const parts = Array.from({ length: 40 }, (_, index) => Buffer.alloc(1000, index));
    for (const part of parts) peer.send(part);
    await waitFor('a chunk', () => owner.chunks.length > 0);
    await new Promise((resolve) => void setTimeout(resolve, 30));
    expect(owner.chunks).toHaveLength(1);
    await waitFor('the rest, a chunk for each resume', () => {
      if (owner.received.length < 40_000) owner.socket.resume();
      return owner.received.length === 40_000;
    });
    expect(owner.received.equals(Buffer.concat(parts))).toBe(true);
  });

  test('a paused socket does not read on: the peer cannot fill the memory', async () => {
    const { peer, owner } = await stage.connected();
    owner.socket.pause();
    for (let sent = 0; sent < 64; sent += 1) peer.send(sample(256 * 1024));
    await new Promise((resolve) => void setTimeout(resolve, 100));
    expect(owner.received).toHaveLength(0);
    owner.socket.resume();
    await waitFor('all of it', () => owner.received.length === 64 * 256 * 1024);
  });
}

function describeEnds(stage: Stage): void {
  test('end sends what is queued, then closes, and the owner is told once', async () => {
    const { peer, owner } = await stage.connected();
    const data = sample(600_000);
    owner.socket.write(data);
    owner.socket.end();
    await waitFor('the end', () => peer.isClosed && owner.closes > 0);
    expect(peer.received.equals(data)).toBe(true);
    owner.socket.destroy();
    await new Promise((resolve) => void setTimeout(resolve, 10));
    expect(owner.closes).toBe(1);
  });

  test('after destroy the owner is told once, and a write is released', async () => {
    const { peer, owner } = await stage.connected();
    owner.socket.destroy();
    let released = 0;
    owner.socket.write(sample(100), () => {
      released += 1;
    });
    owner.socket.end();
    owner.socket.destroy();
    await waitFor('the end', () => peer.isClosed && owner.closes > 0);
    await waitFor('the release', () => released > 0);
    expect([owner.closes, released]).toEqual([1, 1]);
  });

  test('the owner is told once that the peer has closed', async () => {
    const { peer, owner } = await stage.connected();
    peer.send(sample(1000));
    peer.close();
    await waitFor('the end', () => owner.closes > 0);
    expect(owner.received).toHaveLength(1000);
    await new Promise((resolve) => void setTimeout(resolve, 10));
    expect(owner.closes).toBe(1);
  });

  test('a socket that is not wanted is closed before the peer has said anything', async () => {
    const { world } = stage;
    await stage.close();
    await stage.open(world, false);
    const peer = await stage.connect().catch(() => undefined);
    await waitFor('the end', () => stage.owners[0]?.closes === 1);
    if (peer !== undefined) await waitFor('the end at the peer', () => peer.isClosed);
  });
}
