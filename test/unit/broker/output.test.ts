import { describe, expect, test } from 'vitest';
import { BrokerCounters } from '../../../src/broker/counters.ts';
import { ChunkPool, Output } from '../../../src/broker/output.ts';
import type { Socket } from '../../../src/platform/network.ts';

const LIMIT_BYTES = 256 * 1024;

/** A peer that takes what it is sent when it is told to. */
class SlowPeer {
  readonly held: { readonly bytes: number; readonly capacity: number; release: () => void }[] = [];
  readonly output: Output;
  calls = 0;

  constructor(pool: ChunkPool, counters = new BrokerCounters()) {
    const socket = {
      write: (data: Uint8Array, released?: () => void) => {
        const capacity = data.buffer.byteLength;
        this.held.push({ bytes: data.length, capacity, release: () => released?.() });
        return 0;
      },
    } as unknown as Socket;
    this.output = new Output({
      socket,
      pool,
      counters,
      limitBytes: LIMIT_BYTES,
      onDirty: () => {},
      owner: { onWritable: () => void this.calls++ },
    });
  }

  send(bytes: number): void {
    this.output.write(new Uint8Array(bytes));
    this.output.flush();
  }

  takeAll(): void {
    for (const { release } of this.held.splice(0)) release();
  }
}

describe('Output', () => {
  test('is writable below its limit, and says so when it is again', () => {
    const peer = new SlowPeer(new ChunkPool());
    peer.send(LIMIT_BYTES - 1);
    expect(peer.output.writable).toBe(true);
    peer.send(1);
    expect(peer.output.writable).toBe(false);
    peer.takeAll();
    expect(peer.calls).toBe(1);
    expect(peer.output.writable).toBe(true);
  });

  test('many stalled peers have less each, and are told when the crowd is gone', () => {
    const pool = new ChunkPool();
    const peers = Array.from({ length: 300 }, () => new SlowPeer(pool));
    for (const peer of peers) peer.send(LIMIT_BYTES - 1);
    const late = new SlowPeer(pool);
    late.send(3_000);
    expect(late.output.writable).toBe(true);
    late.send(3_000);
    expect(late.output.writable).toBe(false);
    for (const peer of peers) peer.takeAll();
    late.held.shift()?.release();
    expect(late.calls).toBe(1);
    late.takeAll();
    expect(pool.queuedBytes).toBe(0);
  });

  test('a stalled peer holds no more memory than what waits for it needs', () => {
    const peer = new SlowPeer(new ChunkPool());
    for (let i = 0; i < 100; i++) peer.send(10);
    const capacity = peer.held.slice(1).reduce((sum, each) => sum + each.capacity, 0);
    expect(capacity).toBe(99 * 10);
  });

  test('a connection that is closed leaves nothing in the sum, whenever its peer answers', () => {
    const pool = new ChunkPool();
    const peer = new SlowPeer(pool);
    peer.send(1_000);
    peer.output.close();
    expect(pool.queuedBytes).toBe(0);
    peer.takeAll();
    expect(pool.queuedBytes).toBe(0);
  });

  test('counts what was handed over, of any size', () => {
    const counters = new BrokerCounters();
    const peer = new SlowPeer(new ChunkPool(), counters);
    for (const bytes of [1, 1_024, 1_025, 8_192, 8_193, 65_536, 65_537, 200_000]) peer.send(bytes);
    expect(counters.bytesSent).toBe(1 + 1_024 + 1_025 + 8_192 + 8_193 + 65_536 + 65_537 + 200_000);
  });
});
