import { Encoder } from 'cbor-x';
import { SimRandom } from '../../support/sim-random.ts';

export type PayloadKind = 'json' | 'senml' | 'random';

export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** One measured quantity: a random walk that is drawn back to its middle, read at a resolution. */
interface Quantity {
  readonly name: string;
  readonly unit: string;
  readonly decimals: number;
  readonly middle: number;
  readonly step: number;
  value: number;
}

interface Device {
  readonly kind: string;
  readonly id: string;
  readonly topic: string;
  readonly address: string;
  readonly quantities: readonly Quantity[];
  readonly periodMs: number;
  cycle: number;
  dueMs: number;
}

type Row = readonly [name: string, unit: string, decimals: number, middle: number, step: number];

const CLIMATE: readonly Row[] = [
  ['temperature', 'Cel', 2, 21.4, 0.03],
  ['humidity', '%RH', 1, 54, 0.2],
  ['co2', 'ppm', 0, 640, 4],
  ['pressure', 'hPa', 1, 1013.2, 0.1],
  ['battery', 'V', 3, 3.02, 0.001],
];
const METER: readonly Row[] = [
  ['voltage1', 'V', 1, 231.2, 0.3],
  ['voltage2', 'V', 1, 230.4, 0.3],
  ['voltage3', 'V', 1, 232.1, 0.3],
  ['power', 'W', 0, 2960, 25],
  ['frequency', 'Hz', 2, 49.99, 0.01],
];
const PRESS: readonly Row[] = [
  ['rpm', '1/min', 0, 1480, 3],
  ['vibrationX', 'm/s2', 3, 0.41, 0.03],
  ['vibrationY', 'm/s2', 3, 0.29, 0.03],
  ['bearing', 'Cel', 1, 61.5, 0.1],
  ['current', 'A', 2, 7.8, 0.08],
];

const DEVICES_A_KIND = 8;
const JITTER_MS = 15;
const START_MS = 1_790_000_000_000;
const RANDOM_BYTES = 200;

// RFC 8428, section 6: labels are integers in CBOR, so the packs are maps and not records.
const SENML = { baseName: -2, baseTime: -3, name: 0, unit: 1, value: 2 } as const;
const cbor = new Encoder({ mapsAsObjects: false, useRecords: false });

/**
 * What a small site sends: 24 devices of three kinds, each with its own topic and clock, one
 * message in 0.5, 1 or 2 s with some ms of jitter. Values drift and are read at the sensor's resolution, times rise.
 * The same seed gives the same messages.
 */
export class Telemetry {
  readonly #kind: PayloadKind;
  readonly #random: SimRandom;
  readonly #devices: Device[] = [];

  constructor(kind: PayloadKind, seed: number) {
    this.#kind = kind;
    this.#random = new SimRandom(seed);
    this.#add('climate', CLIMATE, 2000);
    this.#add('meter', METER, 1000);
    this.#add('press', PRESS, 500);
  }

  next(): Message {
    let device = this.#devices[0] as Device;
    for (const other of this.#devices) if (other.dueMs < device.dueMs) device = other;
    const timeMs = device.dueMs;
    device.dueMs += device.periodMs + this.#random.below(2 * JITTER_MS + 1) - JITTER_MS;
    device.cycle++;
    for (const quantity of device.quantities) this.#drift(quantity);
    return { topic: device.topic, payload: this.#payload(device, timeMs) };
  }

  #payload(device: Device, timeMs: number): Uint8Array {
    if (this.#kind === 'random') return this.#random.bytes(RANDOM_BYTES);
    return this.#kind === 'json' ? asJson(device, timeMs) : asSenml(device, timeMs);
  }

  #add(kind: string, rows: readonly Row[], periodMs: number): void {
    for (let n = 1; n <= DEVICES_A_KIND; n++) {
      const id = `${kind}-${String(n).padStart(2, '0')}`;
      const serial = this.#random.uint32().toString(16).padStart(8, '0');
      this.#devices.push({
        kind,
        id,
        topic: `plant/line-${1 + (n % 3)}/${id}/reading`,
        address: `urn:dev:mac:0024beff${serial}:`,
        quantities: rows.map(([name, unit, decimals, middle, step]) => ({
          ...{ name, unit, decimals, middle, step },
          value: middle + 20 * step * (this.#random.fraction() - 0.5),
        })),
        periodMs,
        cycle: 40_000 + this.#random.below(50_000),
        dueMs: START_MS + this.#random.below(periodMs),
      });
    }
  }

  #drift(quantity: Quantity): void {
    // The sum of three is near enough to a normal distribution.
    const noise = this.#random.fraction() + this.#random.fraction() + this.#random.fraction() - 1.5;
    quantity.value += 2 * quantity.step * noise + 0.01 * (quantity.middle - quantity.value);
  }
}

function asJson(device: Device, timeMs: number): Uint8Array {
  const reading: Record<string, unknown> = {
    device: device.id,
    ts: device.kind === 'climate' ? new Date(timeMs).toISOString() : timeMs,
  };
  for (const quantity of device.quantities) reading[quantity.name] = read(quantity);
  if (device.kind === 'press') reading['cycle'] = device.cycle;
  reading['state'] = device.cycle % 400 < 380 ? 'running' : 'idle';
  return Buffer.from(JSON.stringify(reading));
}

function asSenml(device: Device, timeMs: number): Uint8Array {
  const pack = device.quantities.map((quantity, n) => {
    const record = new Map<number, unknown>();
    if (n === 0) {
      record.set(SENML.baseName, device.address);
      record.set(SENML.baseTime, timeMs / 1000);
    }
    record.set(SENML.name, quantity.name);
    record.set(SENML.unit, quantity.unit);
    record.set(SENML.value, read(quantity));
    return record;
  });
  return cbor.encode(pack);
}

function read({ value, decimals }: Quantity): number {
  return Number(value.toFixed(decimals));
}
