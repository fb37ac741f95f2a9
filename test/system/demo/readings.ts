import { decode, encode } from 'cbor-x';

/** What a device sends. `device` and `n` say which reading it is; the rest is what it measured. */
export interface Measurement {
  readonly device: string;
  readonly n: number;
  readonly atMs: number;
  readonly [quantity: string]: unknown;
}

type Kind = (n: number) => Readonly<Record<string, unknown>>;

const KINDS: readonly (readonly [string, Kind])[] = [
  ['temperature', (n) => ({ celsius: round(21 + 4 * Math.sin(n / 90), 2) })],
  [
    'vibration',
    (n) => ({
      rmsMmPerS: round(1.8 + Math.abs(Math.sin(n / 13)), 3),
      spectrum: Array.from({ length: 16 }, (_, bin) => round(Math.abs(Math.sin(n * bin)), 3)),
    }),
  ],
  ['pressure', (n) => ({ bar: round(6.1 + 0.2 * Math.sin(n / 40), 3) })],
  ['power', (n) => ({ watts: Math.round(740 + 60 * Math.sin(n / 25)), kwh: round(n / 3600, 4) })],
];

/** The device's name, topic and format follow from its index: half speak JSON, half CBOR. */
export function measure(
  index: number,
  n: number,
): { readonly topic: string; readonly payload: Buffer } {
  const [kind, quantities] = KINDS[index % KINDS.length] as (typeof KINDS)[number];
  const device = deviceName(index);
  const measurement: Measurement = { device, n, atMs: Date.now(), ...quantities(n) };
  const isJson = isJsonDevice(index);
  return {
    topic: `plant/hall-${1 + (index % 3)}/${device}/${kind}/${isJson ? 'json' : 'cbor'}`,
    payload: isJson ? Buffer.from(JSON.stringify(measurement)) : encode(measurement),
  };
}

export function deviceName(index: number): string {
  return `device-${String(index + 1).padStart(2, '0')}`;
}

/** Reads a payload back; the last level of the topic names its format. */
export function readMeasurement(topic: string, payload: Buffer): Measurement {
  const isJson = topic.endsWith('/json');
  return (isJson ? JSON.parse(payload.toString()) : decode(payload)) as Measurement;
}

function isJsonDevice(index: number): boolean {
  return Math.floor(index / KINDS.length) % 2 === 0;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
