// The fleet of the demo, a process of its own: devices that publish at QoS 1 and write down in the
// ledger what they tried and what was acknowledged. SIGTERM: no new readings; it ends when every
// reading is acknowledged.
import { parseArgs } from 'node:util';
import { Ledger } from '../../support/ledger.ts';
import { ReliablePublisher } from '../../support/reliable-publisher.ts';
import { deviceName, measure } from './readings.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    ledger: { type: 'string' },
    devices: { type: 'string' },
    rate: { type: 'string' },
  },
});
const TICK_MS = 20;
const WINDOW = 16;

const ledger = new Ledger(String(values.ledger));
const deviceCount = Number(values.devices);
const perDevicePerMs = Number(values.rate) / deviceCount / 1000;

const devices = Array.from({ length: deviceCount }, (_, index) => {
  const name = deviceName(index);
  return new ReliablePublisher({
    port: Number(values.port),
    clientId: name,
    version: index % 2 === 0 ? 5 : 4,
    qos: 1,
    window: WINDOW,
    onTried: ({ number }) => ledger.note('tried', name, number),
    onAcknowledged: ({ number }) => ledger.note('acknowledged', name, number),
  });
});
for (const device of devices) device.start();

const startMs = performance.now();
let measured = 0;
const ticks = setInterval(() => {
  const due = Math.floor((performance.now() - startMs) * perDevicePerMs);
  while (measured < due) {
    measured += 1;
    for (const [index, device] of devices.entries()) {
      device.publish({ number: measured, ...measure(index, measured) });
    }
  }
}, TICK_MS);

async function finish(): Promise<void> {
  clearInterval(ticks);
  while (devices.some(({ pending }) => pending > 0)) {
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all(devices.map((device) => device.stop()));
  ledger.close();
  for (const complaint of devices.flatMap(({ complaints }) => complaints)) console.error(complaint);
}

process.once('SIGTERM', () => void finish());
