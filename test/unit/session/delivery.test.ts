import { describe, expect, test } from 'vitest';
import { Delivery } from '../../../src/session/delivery.ts';

describe('Delivery', () => {
  test('the cursor moves to the first message that is not acknowledged', () => {
    const delivery = new Delivery<never>(10, 1);
    const ids = [5, 6, 7].map((sequence) => delivery.begin(sequence, 1, undefined).packetId);
    expect(ids).toEqual([1, 2, 3]);
    delivery.acknowledge(2);
    expect(delivery.toPosition()).toEqual({ position: 5, beyond: [6] });
    delivery.acknowledge(1);
    expect(delivery.toPosition()).toEqual({ position: 7, beyond: [] });
    delivery.acknowledge(3);
    expect(delivery.toPosition()).toEqual({ position: 8, beyond: [] });
  });

  test('after a restart what was done beyond the cursor is not delivered again', () => {
    const before = new Delivery<never>(10, 1);
    before.begin(5, 1, undefined);
    const second = before.begin(6, 1, undefined);
    before.acknowledge(second.packetId);
    const { position, beyond } = before.toPosition();
    const after = new Delivery<never>(10, position, beyond);
    expect([4, 5, 6, 7].map((sequence) => after.isDone(sequence))).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  test('a packet identifier is not used again while its hand-shake is open [MQTT-2.2.1-4]', () => {
    const delivery = new Delivery<never>(65_535, 1);
    delivery.begin(1, 2, undefined);
    for (let sequence = 2; sequence <= 65_535; sequence++) {
      delivery.acknowledge(delivery.begin(sequence, 1, undefined).packetId);
    }
    expect(delivery.begin(70_000, 1, undefined).packetId).toBe(2);
  });

  test('the window counts messages until their hand-shake ends', () => {
    const delivery = new Delivery<never>(2, 1);
    const first = delivery.begin(1, 2, undefined);
    delivery.begin(2, 1, undefined);
    expect(delivery.room).toBe(0);
    delivery.receive(first.packetId);
    expect(delivery.room).toBe(0);
    delivery.complete(first.packetId);
    expect(delivery.room).toBe(1);
  });

  test('nothing passes a QoS 2 message that is on its way to flash', () => {
    const delivery = new Delivery<never>(10, 1);
    delivery.expect(3);
    const later = delivery.begin(4, 1, undefined);
    delivery.acknowledge(later.packetId);
    expect(delivery.toPosition()).toEqual({ position: 3, beyond: [4] });
    const waited = delivery.begin(3, 2, undefined);
    delivery.receive(waited.packetId);
    delivery.complete(waited.packetId);
    expect(delivery.toPosition()).toEqual({ position: 5, beyond: [] });
  });

  test('an expected message that nobody wants any more holds nothing back', () => {
    const delivery = new Delivery<never>(10, 1);
    delivery.expect(3);
    delivery.forgo(3);
    // Others before it may wait to be sent: only a scan, or the next message sent, passes it.
    expect(delivery.position).toBe(1);
    delivery.passed(3);
    expect(delivery.position).toBe(4);
  });

  test('what was done beyond the cursor before a restart does not carry it over what was not', () => {
    // Before it: 5 was in its hand-shake, 6 and 7 were on their way to flash, 8 was acknowledged.
    const delivery = new Delivery<never>(10, 5, [8]);
    delivery.restore(3, 5, true);
    const resumed = delivery.withWindow(10);
    resumed.complete(3);
    expect([6, 7, 8].map((sequence) => resumed.isDone(sequence))).toEqual([false, false, true]);
    const six = resumed.begin(6, 2, undefined);
    resumed.passed(8);
    resumed.complete(six.packetId);
    expect(resumed.position).toBe(9);
  });

  test('a restored hand-shake keeps its identifier, and the cursor below it', () => {
    const delivery = new Delivery<never>(10, 5, []);
    delivery.restore(7, 6, false);
    const next = delivery.begin(9, 1, undefined);
    delivery.acknowledge(next.packetId);
    expect(delivery.position).toBe(6);
    expect(delivery.findBySequence(6)?.packetId).toBe(7);
    delivery.receive(7);
    delivery.complete(7);
    expect(delivery.position).toBe(10);
  });

  test('another window keeps everything in flight, and marks it as not yet repeated', () => {
    const delivery = new Delivery<never>(10, 1);
    delivery.begin(1, 1, undefined);
    const resumed = delivery.withWindow(1);
    expect([...resumed.entries()].map(({ sent }) => sent)).toEqual([false]);
    // It takes room again when it is repeated, or a full window could never be repeated.
    expect(resumed.room).toBe(1);
    const [entry] = resumed.entries();
    if (entry) resumed.markSent(entry);
    expect(resumed.room).toBe(0);
    resumed.acknowledge(1);
    expect(resumed.room).toBe(1);
  });

  test('acks of another kind or for unknown identifiers are told apart', () => {
    const delivery = new Delivery<never>(10, 1);
    const { packetId } = delivery.begin(1, 2, undefined);
    expect(delivery.acknowledge(packetId)).toBeUndefined();
    expect(delivery.complete(9)).toBeUndefined();
    expect(delivery.receive(9)).toBeUndefined();
    expect(delivery.inFlight).toBe(1);
  });
});
