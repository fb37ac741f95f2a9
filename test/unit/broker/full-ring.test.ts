import { describe, expect, test } from 'vitest';
import { PacketType } from '../../../src/codec/control-packet.ts';
import { encodeControl } from '../../../src/codec/control-encoder.ts';
import { ACK_BYTES, encodePublish, writeAck } from '../../../src/codec/publish-encoder.ts';
import type { SimClient } from '../../support/sim-client.ts';
import { PUBACK, PUBREC, start, startMortal } from './sim-broker.ts';

const NO_PROPERTIES = new Uint8Array(0);
/** More than may wait for one commit of the simulated ring, an eighth of 1 MiB. */
const FILLERS = 24;
const FILLER_BYTES = 7_000;

function publish(topic: string, qos: 1 | 2, packetId: number, payload = 'x'): Uint8Array {
  const name = Buffer.from(topic);
  const body = Buffer.from(payload);
  return encodePublish(4, name, qos, false, false, packetId, NO_PROPERTIES, body).bytes;
}

function ack(type: 5 | 6 | 7, packetId: number): Uint8Array {
  const bytes = new Uint8Array(ACK_BYTES);
  writeAck(bytes, 0, type, packetId);
  return bytes;
}

/** More than one turn may append. */
function flood(filler: SimClient, messages = FILLERS): void {
  const packets = Array.from({ length: messages }, (_, index) =>
    publish('f', 1, index + 1, 'f'.repeat(FILLER_BYTES)),
  );
  filler.raw(Buffer.concat(packets));
}

describe('a ring that takes nothing more in this turn', () => {
  test('is waited for by a connection that rested meanwhile', async () => {
    const cistern = await start();
    const filler = await cistern.connected({ clientId: 'filler' });
    const resting = await cistern.connected({ clientId: 'resting' });
    const ping = encodeControl({ type: 'pingreq' }, 4);
    const pings = Array.from({ length: 300 }, () => ping);
    for (let round = 1; round <= 5; round++) {
      resting.raw(Buffer.concat([...pings, publish('r', 1, round)]));
      flood(filler);
      await cistern.settle();
    }
    const acked = resting.acks.filter(({ type }) => type === PUBACK);
    expect(acked.map(({ packetId }) => packetId)).toEqual([1, 2, 3, 4, 5]);
    expect(filler.acks).toHaveLength(5 * FILLERS);
  });

  test('is waited for behind a step of QoS 2 in the same chunk', async () => {
    const cistern = await start();
    const filler = await cistern.connected({ clientId: 'filler' });
    const device = await cistern.connected({ clientId: 'd', cleanStart: false });
    device.autoAck = false;
    for (let id = 1; id <= 40; id++) device.raw(publish('q', 2, id));
    await cistern.settle();
    // Little is missing now; a step of QoS 2 takes more of it than a message.
    flood(filler, 18);
    const steps = Array.from({ length: 40 }, (_, index) => [
      ack(PacketType.pubrel, index + 1),
      publish('q', 1, 100 + index),
    ]);
    device.raw(Buffer.concat(steps.flat()));
    await cistern.settle(200);
    const acked = device.acks.filter(({ type }) => type === PUBACK);
    expect(acked).toHaveLength(40);
    expect(device.closed).toBe(false);
  });
});

test('a 3.1.1 client that never releases its QoS 2 messages ends with its connection', async () => {
  const cistern = await start('[storage]\nsize = "16MiB"\nsegment = "1MiB"');
  const device = await cistern.connected({ clientId: 'd' });
  device.autoAck = false;
  for (let first = 1; first <= 17_000; first += 500) {
    const packets = Array.from({ length: 500 }, (_, index) => publish('q', 2, first + index));
    device.raw(Buffer.concat(packets));
    await cistern.settle();
  }
  expect(device.closed).toBe(true);
  // Of the chunk that went too far nothing was answered: its commit came after the end.
  expect(device.acks.filter(({ type }) => type === PUBREC)).toHaveLength(16_000);
  expect(cistern.running?.status().messages.dropped).toMatchObject({ receipt_limit: 1 });
});

test('QoS 2 identifiers of lasting sessions take no more of the ring than its state may', async () => {
  const mortal = await startMortal();
  const clientId = 'long-'.repeat(200);
  const device = await mortal.cistern.connected({ clientId, cleanStart: false });
  device.autoAck = false;
  for (let id = 1; id <= 400 && !device.closed; id += 10) {
    const packets = Array.from({ length: 10 }, (_, index) => publish('q', 2, id + index));
    device.raw(Buffer.concat(packets));
    await mortal.cistern.settle();
  }
  expect(device.closed).toBe(true);
  await mortal.killAndRestart();
  const back = await mortal.cistern.connected({ clientId, cleanStart: false });
  back.raw(publish('q', 2, 999));
  await mortal.cistern.settle();
  expect(back.closed).toBe(true);
  const again = await mortal.cistern.connected({ clientId, cleanStart: false });
  for (let id = 1; id <= 100; id++) again.ack(PacketType.pubrel, id);
  again.raw(publish('q', 2, 999));
  await mortal.cistern.settle(100);
  expect(again.acks.some(({ type, packetId }) => type === PUBREC && packetId === 999)).toBe(true);
});
