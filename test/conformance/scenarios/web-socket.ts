import { proves, type Scenario } from '../scenario.ts';

const LISTENS = { toml: 'protocol = "ws"\npath = "/mqtt"\n', world: 'ws' } as const;
const BINARY = 2;
const TEXT = 1;
const CONTINUATION = 0;

export const webSocket: readonly Scenario[] = [
  ...proves(
    { v4: '6.0.0-1', v5: '6.0.0-1' },
    'packets come in binary frames, and a text frame ends the connection',
    async (world) => {
      const { packets } = world;
      const { link, peer } = await world.openWebSocket('mqtt');
      peer.send(packets.connect({ id: 'a' }));
      await peer.expectConnack();
      peer.send(packets.subscribe(1, [['t', 0]]), packets.publish('t', 'x'));
      await peer.expect(packets.suback(1, 0));
      await peer.expect(packets.publish('t', 'x'));
      if (link.opcodes.some((opcode) => opcode !== BINARY))
        throw new Error(`opcodes ${link.opcodes.join()}`);
      link.sendFrame(TEXT, packets.pingreq());
      await peer.expectClosed();
    },
    LISTENS,
  ),
  ...proves(
    { v4: '6.0.0-2', v5: '6.0.0-2' },
    'a frame may hold several packets, and a packet may lie in several frames and fragments',
    async (world) => {
      const { packets } = world;
      const { link, peer } = await world.openWebSocket('mqtt');
      for (const byte of packets.connect({ id: 'a' })) link.send(Uint8Array.of(byte));
      await peer.expectConnack();
      peer.send(packets.pingreq(), packets.subscribe(1, [['t', 0]]), packets.pingreq());
      for (const wanted of [packets.pingresp(), packets.suback(1, 0), packets.pingresp()]) {
        await peer.expect(wanted);
      }
      const stream = Buffer.concat([packets.publish('t', 'x'.repeat(300)), packets.pingreq()]);
      link.sendFrame(BINARY, stream.subarray(0, 1), false);
      link.sendFrame(CONTINUATION, stream.subarray(1, 150), false);
      link.sendFrame(CONTINUATION, stream.subarray(150, 151), true);
      link.sendFrame(BINARY, stream.subarray(151));
      await peer.expect(packets.publish('t', 'x'.repeat(300)));
      await peer.expect(packets.pingresp());
    },
    LISTENS,
  ),
  ...proves(
    { v4: '6.0.0-3', v5: '6.0.0-3' },
    'a client that does not offer the subprotocol mqtt is turned away',
    async (world) => {
      for (const offered of [[], ['soap'], ['mqttx', 'xmqtt']]) {
        const { link, peer } = await world.openWebSocket(...offered);
        if (link.status === 101) throw new Error(`${offered.join()} was let in`);
        await peer.expectClosed();
      }
    },
    LISTENS,
  ),
  ...proves(
    { v4: '6.0.0-4', v5: '6.0.0-4' },
    'the subprotocol selected is mqtt, whatever else is offered',
    async (world) => {
      for (const offered of [['mqtt'], ['soap', 'mqtt'], ['mqtt', 'mqttv3.1']]) {
        const { link, peer } = await world.openWebSocket(...offered);
        if (link.status !== 101 || link.subprotocol !== 'mqtt') {
          throw new Error(`${offered.join()}: ${link.status}, ${link.subprotocol}`);
        }
        peer.send(world.packets.connect({ id: 'a' }));
        await peer.expectConnack();
      }
    },
    LISTENS,
  ),
];
