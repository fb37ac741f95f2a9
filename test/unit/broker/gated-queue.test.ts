import { expect, test } from 'vitest';
import { GatedQueue, type GatedItem } from '../../../src/broker/gated-queue.ts';

test('an item waits for its commit, and those behind it wait for it [MQTT-4.6.0-2]', () => {
  const queue = new GatedQueue();
  const said: GatedItem[] = [];
  const release = (durable: number) => {
    said.length = 0;
    queue.release(durable, (item) => said.push(item));
    return [...said];
  };
  queue.push(5, 1);
  queue.push(0, 2);
  queue.push(7, 3);
  expect(release(4)).toEqual([]);
  expect(release(5)).toEqual([1, 2]);
  expect(queue.length).toBe(1);
  expect(release(9)).toEqual([3]);
  expect(queue.isEmpty).toBe(true);
});

test('keeps the order over many partial releases', () => {
  const queue = new GatedQueue();
  const said: GatedItem[] = [];
  for (let gate = 1; gate <= 20_000; gate++) queue.push(gate, gate);
  for (let durable = 0; durable <= 20_000; durable += 777) {
    queue.release(durable, (item) => said.push(item));
  }
  queue.release(20_000, (item) => said.push(item));
  expect(said).toEqual(Array.from({ length: 20_000 }, (_, index) => index + 1));
});

test('an item that is pushed while another is handed out is not lost', () => {
  const queue = new GatedQueue();
  const said: GatedItem[] = [];
  queue.push(1, () => queue.push(0, 42));
  queue.release(1, (item) => (typeof item === 'function' ? item() : said.push(item)));
  queue.release(1, (item) => said.push(item));
  expect(said).toEqual([42]);
});
