import { expect, test } from 'vitest';
import { AckReasonFilter } from '../../../src/codec/ack-reason-filter.ts';

// CONNACK with a property, a PUBLISH that looks like an ack inside, PINGRESP, then the acks.
const BEFORE = '2006000003210001' + '300a00016100' + '400300019540' + 'd000';
const STREAM = `${BEFORE}40020007` + '4003000195' + '5003123495' + '4003000387' + '4003000542';
const EXPECTED = `${BEFORE}40020007` + '4003000183' + '5003123483' + '4003000387' + '4003000542';

test.each([1, 2, 3, 5, 7, 1000])('in pieces of %d bytes', (size) => {
  const filter = new AckReasonFilter();
  const bytes = Buffer.from(STREAM, 'hex');
  for (let at = 0; at < bytes.length; at += size) filter.rewrite(bytes.subarray(at, at + size));
  expect(bytes.toString('hex')).toBe(EXPECTED);
  expect([1, 0x1234, 3, 5, 7].map((packetId) => filter.take(packetId))).toEqual([
    0x95,
    0x95,
    undefined,
    undefined,
    undefined,
  ]);
  expect(filter.take(1)).toBeUndefined();
});

test('a packet whose length takes two bytes is passed over as a whole', () => {
  const filter = new AckReasonFilter();
  const publish = Buffer.concat([Buffer.from('30c801', 'hex'), Buffer.alloc(200, 0x40)]);
  const bytes = Buffer.concat([publish, Buffer.from('4004000195004004000295', 'hex')]);
  filter.rewrite(bytes);
  expect(bytes.subarray(0, publish.length)).toEqual(publish);
  expect(bytes.subarray(publish.length).toString('hex')).toBe('4004000183004004000283');
});
