import type { SimRandom } from '../support/sim-random.ts';

/** Bytes at which parsers turn: lengths, flags, wildcards, the edges of UTF-8. */
const TELLING = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x23, 0x2b, 0x2f, 0x24, 0xc0, 0xe0, 0xed, 0xf4];

type Mutation = (bytes: Buffer, random: SimRandom) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    return bytes;
  },
  (bytes, random) => {
    bytes[random.below(bytes.length)] = random.pick(TELLING);
    return bytes;
  },
  (bytes, random) => {
    // A length one off, which moves every field behind it.
    const at = 1 + random.below(Math.max(1, bytes.length - 1));
    if (at < bytes.length) bytes[at] = ((bytes[at] as number) + random.pick([255, 1])) & 0xff;
    return bytes;
  },
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const more = Buffer.from(random.bytes(1 + random.below(6)));
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
  },
  (bytes, random) => {
    const from = random.below(bytes.length);
    const to = from + random.below(bytes.length - from + 1);
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
  },
  (bytes, random) => {
    const from = random.below(bytes.length);
    const to = from + random.below(bytes.length - from + 1);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
];

/** The packet with one to three faults; the remaining length is made true again half of the time. */
export function mutated(packet: Uint8Array, random: SimRandom): Uint8Array {
  let bytes = Buffer.from(packet);
  for (let count = 1 + random.below(3); count > 0 && bytes.length > 0; count -= 1) {
    bytes = Buffer.from(random.pick(MUTATIONS)(bytes, random));
  }
  // Otherwise most faults would be found by their length alone, and the fields never be read.
  if (random.chance(0.5) && bytes.length >= 2 && bytes.length < 130) bytes[1] = bytes.length - 2;
  return bytes;
}

/** The bytes in pieces as a network may cut them: often whole, sometimes one by one. */
export function pieces(bytes: Uint8Array, random: SimRandom): Uint8Array[] {
  if (bytes.length < 2 || random.chance(0.6)) return [bytes];
  const cuts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = random.chance(0.2) ? 1 : 1 + random.below(bytes.length);
    cuts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return cuts;
}
