import { expect, test } from 'vitest';
import { BlockedPublishers } from '../../../src/broker/blocked-publishers.ts';
import type { Connection } from '../../../src/broker/connection.ts';
import type { PublishView } from '../../../src/codec/packet-decoder.ts';
import type { Ring } from '../../../src/ring/types.ts';
import type { StreamGate } from '../../../src/streams/stream-gate.ts';
import { SimClock } from '../../support/sim-clock.ts';

/** What has room for so many more messages, and says when a reader has moved. */
class Gate {
  room = 0;
  #watchers: (() => void)[] = [];

  whenMoved(fn: () => void): void {
    this.#watchers.push(fn);
  }

  move(room: number): void {
    this.room = room;
    for (const fn of this.#watchers.splice(0)) fn();
  }
}

function blockedCrowd(size: number) {
  const gate = new Gate();
  const waiting: (() => void)[] = [];
  const ring = {
    accepting: true,
    failed: false,
    onAccepting: (fn: () => void) => void waiting.push(fn),
  };
  const tried: string[] = [];
  const unblocked: string[] = [];
  const names = new Map<Connection, string>();
  const blocked = new BlockedPublishers({
    clock: new SimClock(),
    ring: ring as unknown as Ring,
    retry: (connection, view) => {
      tried.push(names.get(connection) ?? '?');
      if (gate.room === 0) blocked.block(connection, view, gate as unknown as StreamGate);
      else gate.room -= 1;
    },
    onTimeout: () => undefined,
  });
  const view = { buffer: new Uint8Array(8), payloadEnd: 8 } as PublishView;
  const crowd = Array.from({ length: size }, (_, index) => {
    const name = `c${index}`;
    const connection = {
      block: () => undefined,
      unblock: () => unblocked.push(name),
    } as unknown as Connection;
    names.set(connection, name);
    return connection;
  });
  for (const connection of crowd) blocked.block(connection, view, gate as unknown as StreamGate);
  return { ring, waiting, gate, tried, unblocked, blocked, crowd };
}

test('blocked publishers go on in the order in which they came, and those behind a full stream are not tried', () => {
  const { gate, tried, unblocked } = blockedCrowd(1_000);
  gate.move(2);
  expect(unblocked).toEqual(['c0', 'c1']);
  expect(tried).toEqual(['c0', 'c1', 'c2']);
  gate.move(0);
  gate.move(3);
  expect(unblocked).toEqual(['c0', 'c1', 'c2', 'c3', 'c4']);
  expect(tried).toHaveLength(3 + 1 + 4);
  gate.move(Infinity);
  expect(unblocked).toEqual(Array.from({ length: 1_000 }, (_, index) => `c${index}`));
});

test('one that has gone holds up nobody', () => {
  const { gate, unblocked, blocked, crowd } = blockedCrowd(3);
  blocked.forget(crowd[0] as Connection);
  gate.move(1);
  expect(unblocked).toEqual(['c1']);
});

test('nobody is tried while the ring takes nothing, and all are as soon as it does', () => {
  const { ring, waiting, gate, tried, unblocked } = blockedCrowd(3);
  ring.accepting = false;
  gate.move(Infinity);
  expect(tried).toEqual([]);
  ring.accepting = true;
  for (const fn of waiting) fn();
  expect(unblocked).toEqual(['c0', 'c1', 'c2']);
});
