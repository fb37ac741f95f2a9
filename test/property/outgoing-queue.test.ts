import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OutgoingPool, OutgoingQueue } from '../../src/broker/outgoing-queue.ts';
import { Publication, weightOf } from '../../src/broker/publication.ts';
import { Topic } from '../../src/broker/topics.ts';
import { WaitingMemory } from '../../src/session/waiting-queue.ts';

const topics = ['a', 'b/c'].map((name) => new Topic(name, []));

interface Sent {
  readonly topic: number;
  readonly hasSource: boolean;
  readonly payload: Uint8Array;
  readonly properties: Uint8Array;
  readonly published: 1 | 2;
  readonly qos: 1 | 2;
  readonly publishedRetain: boolean;
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[];
  readonly sequence: number;
  readonly isKept: boolean;
}

const qos = fc.constantFrom<1 | 2>(1, 2);
const sent: fc.Arbitrary<Sent> = fc.record({
  topic: fc.constantFrom(0, 1),
  hasSource: fc.boolean(),
  // Around what is copied, and what a chunk holds.
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.uint8Array({ minLength: 505, maxLength: 520, size: 'max' }),
    fc.nat(2_000).map((length) => new Uint8Array(length).fill(length)),
  ),
  properties: fc.oneof(
    { weight: 4, arbitrary: fc.constant(new Uint8Array(0)) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 9 }) },
  ),
  published: qos,
  qos,
  publishedRetain: fc.boolean(),
  retain: fc.boolean(),
  subscriptionIds: fc.constantFrom([], [7]),
  sequence: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 2 ** 40 })),
  isKept: fc.boolean(),
});

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('push' as const),
      messages: fc.array(sent, { maxLength: 400, size: 'max' }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('shift' as const), count: fc.nat(500) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('filter' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
);

/** One receive buffer for all messages, overwritten by each, as a broker's is. */
class Router {
  readonly #buffer = new Uint8Array(2_100).fill(0xee);
  readonly #message = new Publication(topics[0] as Topic);
  readonly #sources = topics.map(({ name }) => ({
    topic: name,
    origin: 'dev',
    epoch: 0,
    number: 0,
  }));

  message(of: Sent): Publication {
    const topic = topics[of.topic] as Topic;
    const message = this.#message;
    message.reset(topic, this.#sources[of.topic] ?? { topic: '', origin: '', epoch: 0, number: 0 });
    this.#buffer.fill(0xee);
    this.#buffer.set(of.payload, 9);
    message.topic = topic;
    message.source = of.hasSource ? (this.#sources[of.topic] ?? null) : null;
    message.origin = of.hasSource ? 'dev' : '';
    message.qos = of.published;
    message.retain = of.publishedRetain;
    message.properties = of.properties;
    message.buffer = this.#buffer;
    message.payloadStart = 9;
    message.payloadEnd = 9 + of.payload.length;
    message.sequence = of.sequence;
    if (of.isKept) message.keep();
    return message;
  }
}

function expectNext(queue: OutgoingQueue, of: Sent): void {
  const message = queue.shift();
  expect(
    message && {
      topic: message.topic.name,
      origin: message.origin,
      payload: [...message.payload],
      properties: [...message.properties],
      published: message.qos,
      publishedRetain: message.retain,
      sequence: message.sequence,
      qos: queue.qos,
      retain: queue.retain,
      subscriptionIds: queue.subscriptionIds,
    },
  ).toEqual({
    topic: topics[of.topic]?.name,
    origin: of.hasSource ? 'dev' : '',
    payload: [...of.payload],
    properties: [...of.properties],
    published: of.published,
    publishedRetain: of.publishedRetain,
    sequence: of.sequence,
    qos: of.qos,
    retain: of.retain,
    subscriptionIds: of.subscriptionIds,
  });
}

test('queues that share chunks give back what was put in, in order, and weigh it', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(0, 1), step), { maxLength: 25 }), (steps) => {
      const memory = new WaitingMemory(1e9);
      const pool = new OutgoingPool(memory);
      const pair = [0, 1].map(() => ({ queue: new OutgoingQueue(pool), model: [] as Sent[] }));
      const router = new Router();
      for (const [which, one] of steps) {
        const { queue, model } = pair[which] as (typeof pair)[0];
        if (one.kind === 'push') {
          for (const each of one.messages) {
            queue.push(router.message(each), each.qos, each.retain, each.subscriptionIds);
            model.push(each);
          }
        } else if (one.kind === 'shift') {
          for (const each of model.splice(0, one.count)) expectNext(queue, each);
        } else if (one.kind === 'filter') {
          queue.filter(({ sequence }) => sequence === 0);
          model.splice(0, model.length, ...model.filter(({ sequence }) => sequence === 0));
        } else {
          queue.clear();
          model.length = 0;
        }
        expect(queue.length).toBe(model.length);
        const weight = model.reduce((sum, each) => sum + weightOf(router.message(each)), 0);
        expect(queue.bytes).toBe(weight);
      }
      const left = pair.reduce((sum, { queue }) => sum + queue.bytes, 0);
      expect(memory.usedBytes).toBe(left);
      for (const { queue, model } of pair) for (const each of model) expectNext(queue, each);
      for (const { queue } of pair) expect(queue.shift()).toBe(undefined);
      expect(memory.usedBytes).toBe(0);
    }),
    { numRuns: 40 },
  );
});
