import { afterEach, expect, test } from 'vitest';
import { type Cistern, startCistern } from '../support/executable.ts';
import { PersistentSubscriber } from '../support/persistent-subscriber.ts';
import { ReliablePublisher } from '../support/reliable-publisher.ts';
import { waitFor } from '../support/wait-for.ts';

/** Far beyond what a session keeps in memory. */
const WHILE_AWAY = 30_000;
const WHILE_BACK = 3_000;

let broker: Cistern;
const undo: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
  await broker?.stop();
});

function subscriber(clientId: string, qos: 1 | 2, numbers: number[]): PersistentSubscriber {
  const client = new PersistentSubscriber({
    port: broker.mqttPort,
    clientId,
    version: 4,
    filters: ['jobs/+/new'],
    qos,
    onMessage: ({ payload }) => numbers.push(Number.parseInt(payload.toString(), 10)),
  });
  undo.push(() => client.stop());
  return client;
}

test.each([1, 2] as const)(
  'away for 30,000 messages of QoS %i and a kill -9: all of them, in order, while more come',
  async (qos) => {
    broker = await startCistern({ toml: 'anonymous = true' });
    const first = subscriber('worker', qos, []);
    await first.start();
    await first.stop();

    const publisher = new ReliablePublisher({
      port: broker.mqttPort,
      clientId: 'publisher',
      version: 5,
      qos,
      window: 200,
    });
    undo.push(() => publisher.stop());
    publisher.start();
    const publish = (from: number, to: number): void => {
      for (let number = from; number < to; number += 1) {
        const payload = Buffer.from(`${number}`.padEnd(200));
        // Every third message is not for this session.
        publisher.publish({ number, topic: `jobs/${number % 40}/new`, payload });
        if (number % 3 === 0) publisher.publish({ number, topic: 'jobs/other', payload });
      }
    };
    publish(0, WHILE_AWAY);
    await waitFor('the acknowledgements', () => publisher.pending === 0, 60_000);
    await broker.kill9();
    await broker.launch();

    const numbers: number[] = [];
    const back = subscriber('worker', qos, numbers);
    await back.resume();
    publish(WHILE_AWAY, WHILE_AWAY + WHILE_BACK);
    const total = WHILE_AWAY + WHILE_BACK;
    await waitFor('all messages', () => new Set(numbers).size === total, 60_000).catch(
      () => undefined,
    );
    expect(numbers.length).toBe(total);
    expect(numbers).toEqual(Array.from({ length: total }, (_, number) => number));
  },
  120_000,
);
