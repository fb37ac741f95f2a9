import { proves, type Scenario } from '../scenario.ts';

export const transport: readonly Scenario[] = [
  ...proves(
    { v4: '7.1.1-1', v5: '4.2.0-1' },
    'packets may be cut at any byte on their way and arrive whole and in order',
    async (world) => {
      const { packets } = world;
      const peer = await world.open();
      const stream = Buffer.concat([
        packets.connect({ id: 'slow' }),
        packets.subscribe(1, [['t', 1]]),
        packets.publish('t', 'x'.repeat(200), { qos: 1, id: 7 }),
        packets.pingreq(),
      ]);
      for (const byte of stream) {
        peer.send(Uint8Array.of(byte));
        await world.turn();
      }
      await peer.expectConnack();
      await peer.expect(packets.suback(1, 1));
      const message = packets.publish('t', 'x'.repeat(200), { qos: 1, id: 1 });
      await peer.expectInAnyOrder(message, packets.puback(7), packets.pingresp());
    },
  ),
  ...proves(
    { v4: '7.0.0-2', v5: '4.2.0-1' },
    'many packets in one piece are each answered, by nothing but MQTT',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('many');
      const ids = Array.from({ length: 300 }, (_, i) => i + 1);
      peer.send(...ids.map((id) => packets.publish(`t/${id}`, 'x', { qos: 1, id })));
      for (const id of ids) await peer.expect(packets.puback(id));
      await peer.expectNothing();
    },
  ),
];
