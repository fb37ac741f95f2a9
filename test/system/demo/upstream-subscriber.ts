// The independent witness of the demo, a process of its own at the upstream broker: it writes down in
// its ledger every reading that arrives there, before it acknowledges it. SIGTERM ends it.
import { parseArgs } from 'node:util';
import { Ledger } from '../../support/ledger.ts';
import { PersistentSubscriber } from '../../support/persistent-subscriber.ts';
import { readMeasurement } from './readings.ts';

const { values } = parseArgs({
  options: { port: { type: 'string' }, ledger: { type: 'string' } },
});

const ledger = new Ledger(String(values.ledger));
const subscriber = new PersistentSubscriber({
  port: Number(values.port),
  clientId: 'witness',
  version: 4,
  filters: ['#'],
  qos: 1,
  onMessage: ({ topic, payload }) => {
    const { device, n } = readMeasurement(topic, Buffer.from(payload));
    ledger.note('arrived', device, n);
  },
});
await subscriber.start();
console.log('subscribed');

process.once('SIGTERM', () => {
  void subscriber.stop().then(() => ledger.close());
});
