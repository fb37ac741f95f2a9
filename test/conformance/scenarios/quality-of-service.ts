import type { Peer } from '../peer.ts';
import { lasting, lastingFromNew, proves, type Scenario, type World } from '../scenario.ts';

/** `to` is in the middle of a QoS 2 delivery: it has the PUBLISH and has said nothing yet. */
async function beginsDelivery(world: World, to: Peer): Promise<void> {
  const { packets } = world;
  const publisher = await world.connected('publisher');
  publisher.send(packets.publish('t', 'x', { qos: 2, id: 1 }));
  await publisher.expect(packets.pubrec(1));
  publisher.send(packets.pubrel(1));
  await publisher.expect(packets.pubcomp(1));
  await to.expect(packets.publish('t', 'x', { qos: 2, id: 1 }));
}

const receiver = [
  ...proves(
    { v4: ['4.3.2-2', '3.3.4-1'], v5: ['4.3.2-4', '3.3.4-1', '3.4.2-1'] },
    'QoS 1 is answered by PUBACK and passed on',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 1);
      const peer = await world.connected('p');
      peer.send(packets.publish('t', 'x', { qos: 1, id: 5 }));
      await peer.expect(packets.puback(5));
      await watcher.expect(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v4: '4.3.3-2', v5: ['4.3.3-8', '4.3.3-10', '4.3.3-11', '4.3.3-12'] },
    'QoS 2 is passed on once however often it comes before PUBREL, and is a new message after',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 0);
      const peer = await world.connected('p');
      for (const dup of [false, true, true]) {
        peer.send(packets.publish('t', 'one', { qos: 2, id: 5, dup }));
        await peer.expect(packets.pubrec(5));
      }
      await watcher.expect(packets.publish('t', 'one'));
      await watcher.expectNothing();
      peer.send(packets.pubrel(5));
      await peer.expect(packets.pubcomp(5));
      peer.send(packets.publish('t', 'two', { qos: 2, id: 5, dup: true }));
      await peer.expect(packets.pubrec(5));
      await watcher.expect(packets.publish('t', 'two'));
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v4: ['4.3.3-2', '4.1.0-1'], v5: ['4.3.3-10', '4.1.0-1'] },
    'QoS 2 that is repeated on a new connection is passed on once',
    async (world) => {
      const { packets, version } = world;
      const watcher = await world.subscribed('watcher', 't', 0);
      const peer = await world.connected('p', lastingFromNew(version));
      peer.send(packets.publish('t', 'one', { qos: 2, id: 5 }));
      await peer.expect(packets.pubrec(5));
      await watcher.expect(packets.publish('t', 'one'));
      peer.drop();
      await world.settle();
      const again = await world.resumed('p', lasting(version));
      again.send(packets.publish('t', 'one', { qos: 2, id: 5, dup: true }));
      await again.expect(packets.pubrec(5));
      again.send(packets.pubrel(5));
      await again.expect(packets.pubcomp(5));
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v4: ['4.3.3-2', '4.1.0-1'], v5: ['4.3.3-10', '4.1.0-1'] },
    'QoS 2 that is repeated after the broker was killed is passed on once',
    async (world) => {
      const { packets, version } = world;
      const watcher = await world.subscribed('watcher', 't', 1, lastingFromNew(version));
      const peer = await world.connected('p', lastingFromNew(version));
      peer.send(packets.publish('t', 'one', { qos: 2, id: 5 }));
      await peer.expect(packets.pubrec(5));
      await watcher.expect(packets.publish('t', 'one', { qos: 1, id: 1 }));
      watcher.send(packets.puback(1));
      // A moved cursor rides in a commit of the next 5 s; the death comes after it.
      await world.passSeconds(6);
      await world.restart('killed');
      const again = await world.resumed('p', lasting(version));
      again.send(packets.publish('t', 'one', { qos: 2, id: 5, dup: true }));
      await again.expect(packets.pubrec(5));
      again.send(packets.pubrel(5));
      await again.expect(packets.pubcomp(5));
      const back = await world.resumed('watcher', lasting(version));
      await back.expectNothing();
    },
  ),
  ...proves(
    { v4: '4.3.3-2', v5: ['4.3.3-11', '4.3.3-12'] },
    'after a PUBCOMP on whatever connection the identifier stands for a new message, also when the broker is killed then',
    async (world) => {
      const { packets, version } = world;
      const peer = await world.connected('p', lastingFromNew(version));
      peer.send(packets.publish('t', 'one', { qos: 2, id: 5 }));
      await peer.expect(packets.pubrec(5));
      // The release is on its way to the disk when the client repeats it on a new connection.
      peer.send(packets.pubrel(5));
      await world.turn();
      peer.drop();
      const again = await world.open();
      again.send(packets.connect({ id: 'p', ...lasting(version) }), packets.pubrel(5));
      await again.expectConnack(0, true);
      await again.next();
      await world.restart('killed');
      const watcher = await world.subscribed('watcher', 't', 0);
      const last = await world.resumed('p', lasting(version));
      last.send(packets.publish('t', 'two', { qos: 2, id: 5 }));
      await last.expect(packets.pubrec(5));
      await watcher.expect(packets.publish('t', 'two'));
    },
  ),
  ...proves(
    { v4: '4.3.3-2', v5: ['4.3.3-11', '3.7.2-1'] },
    'PUBREL for an unknown identifier is answered by PUBCOMP',
    async (world) => {
      const peer = await world.connected('p');
      peer.send(world.packets.pubrel(77));
      await peer.expectAck('pubcomp', 77, world.version === 5 ? 0x92 : 0);
    },
  ),
  ...proves(
    { v4: ['3.3.4-1', '4.6.0-2', '4.6.0-3'], v5: '3.3.4-1' },
    'acknowledgements come in the order of what they answer',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('p');
      const ids = Array.from({ length: 50 }, (_, i) => i + 1);
      peer.send(
        ...ids.map((id) => packets.publish('t', `${id}`, { qos: id % 2 === 0 ? 1 : 2, id })),
      );
      for (const id of ids)
        await peer.expect(id % 2 === 0 ? packets.puback(id) : packets.pubrec(id));
      peer.send(...ids.filter((id) => id % 2 === 1).map((id) => packets.pubrel(id)));
      for (const id of ids.filter((id) => id % 2 === 1)) await peer.expect(packets.pubcomp(id));
    },
  ),
];

const sender = [
  ...proves(
    { v4: '4.3.2-1', v5: ['4.3.2-2', '4.3.2-3', '4.4.0-1'] },
    'QoS 1 that is not acknowledged is not sent again on the same connection',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 1);
      const peer = await world.connected('p');
      peer.send(packets.publish('t', 'x', { qos: 1, id: 5 }));
      await peer.expect(packets.puback(5));
      await watcher.expect(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await world.passSeconds(3);
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v4: ['4.3.3-1', '2.3.1-6'], v5: ['4.3.3-2', '4.3.3-4', '2.2.1-5', '3.6.2-1'] },
    'QoS 2 goes through PUBLISH, PUBREC, PUBREL, PUBCOMP under one identifier',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 2);
      await beginsDelivery(world, watcher);
      watcher.send(packets.pubrec(1));
      await watcher.expect(packets.pubrel(1));
      watcher.send(packets.pubcomp(1));
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v4: ['4.3.3-1', '4.4.0-1'], v5: ['4.3.3-3', '4.4.0-1'] },
    'a QoS 2 PUBLISH without PUBREC is sent again under its identifier',
    async (world) => {
      const { packets, version } = world;
      const watcher = await world.subscribed('watcher', 't', 2, lastingFromNew(version));
      await beginsDelivery(world, watcher);
      watcher.drop();
      await world.settle();
      const again = await world.resumed('watcher', lasting(version));
      await again.expect(packets.publish('t', 'x', { qos: 2, id: 1, dup: true }));
      again.send(packets.pubrec(1));
      await again.expect(packets.pubrel(1));
      again.send(packets.pubcomp(1));
      await again.expectNothing();
    },
  ),
  ...proves(
    { v4: ['4.3.3-1', '4.4.0-1'], v5: ['4.3.3-5', '4.3.3-6', '4.4.0-1'] },
    'after PUBREC only PUBREL is sent again, over connections and restarts',
    async (world) => {
      const { packets, version } = world;
      const watcher = await world.subscribed('watcher', 't', 2, lastingFromNew(version));
      await beginsDelivery(world, watcher);
      watcher.send(packets.pubrec(1));
      await watcher.expect(packets.pubrel(1));
      watcher.drop();
      await world.settle();
      const again = await world.resumed('watcher', lasting(version));
      await again.expect(packets.pubrel(1));
      await again.expectNothing();
      await world.restart('killed');
      const last = await world.resumed('watcher', lasting(version));
      await last.expect(packets.pubrel(1));
      last.send(packets.pubcomp(1));
      await last.expectNothing();
    },
  ),
  ...proves(
    { v5: ['4.4.0-2', '4.3.2-3'] },
    'a PUBACK that refuses ends the delivery',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 1, lastingFromNew(5));
      const peer = await world.connected('p');
      peer.send(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await peer.expect(packets.puback(1));
      await watcher.expect(packets.publish('t', 'x', { qos: 1, id: 1 }));
      watcher.send(packets.puback(1, 0x97));
      await watcher.expectNothing();
      watcher.drop();
      await world.settle();
      const again = await world.resumed('watcher', lasting(5));
      await again.expectNothing();
    },
  ),
  ...proves(
    { v5: ['4.4.0-2', '4.3.3-4'] },
    'a PUBREC that refuses ends the delivery: no PUBREL, nothing again',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 2, lastingFromNew(5));
      await beginsDelivery(world, watcher);
      watcher.send(packets.pubrec(1, 0x80));
      await watcher.expectNothing();
      watcher.drop();
      await world.settle();
      const again = await world.resumed('watcher', lasting(5));
      await again.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.6.2-1', '4.3.3-4'] },
    'a PUBREC for an unknown identifier is answered by PUBREL 0x92',
    async (world) => {
      const peer = await world.connected('p');
      peer.send(world.packets.pubrec(77));
      await peer.expectAck('pubrel', 77, 0x92);
    },
  ),
  ...proves(
    { v5: ['3.4.2-1', '3.5.2-1', '3.6.2-1', '3.7.2-1', '4.13.1-1'] },
    'a reason code that its acknowledgement does not have ends the connection',
    async (world) => {
      for (const bytes of ['40 03 0001 01', '50 03 0001 92', '62 03 0001 10', '70 03 0001 80']) {
        const peer = await world.connected('p');
        peer.send(bytes);
        await peer.expectClosed(0x82);
      }
    },
  ),
];

const order = [
  ...proves(
    { v4: ['4.6.0-5', '4.6.0-6'], v5: ['4.6.0-5', '4.6.0-6'] },
    'messages of one client arrive in their order, at each QoS',
    async (world) => {
      const { packets } = world;
      for (const qos of [0, 1, 2] as const) {
        const watcher = await world.subscribed('watcher', 't', qos);
        const peer = await world.connected('p');
        const ids = Array.from({ length: 60 }, (_, i) => i + 1);
        const numbered = (id: number) => (qos === 0 ? { qos } : { qos, id });
        peer.send(...ids.map((id) => packets.publish('t', `${id}`, numbered(id))));
        for (const id of ids) await watcher.expect(packets.publish('t', `${id}`, numbered(id)));
      }
    },
  ),
  ...proves(
    { v4: ['4.6.0-1', '4.6.0-6', '4.4.0-1'], v5: ['4.4.0-1', '4.6.0-5'] },
    'what is sent again comes first and in its old order, then what waited',
    async (world) => {
      const { packets, version } = world;
      const watcher = await world.subscribed('watcher', 't', 2, lastingFromNew(version));
      const peer = await world.connected('p');
      const ids = [1, 2, 3, 4];
      const qos = (id: number) => (id % 2 === 0 ? 1 : 2);
      for (const id of ids) {
        peer.send(packets.publish('t', `${id}`, { qos: qos(id), id }));
        await peer.expect(qos(id) === 1 ? packets.puback(id) : packets.pubrec(id));
        await watcher.expect(packets.publish('t', `${id}`, { qos: qos(id), id }));
      }
      watcher.drop();
      await world.settle();
      peer.send(packets.publish('t', '5', { qos: 1, id: 5 }));
      await peer.expect(packets.puback(5));
      const again = await world.resumed('watcher', lasting(version));
      for (const id of ids) {
        await again.expect(packets.publish('t', `${id}`, { qos: qos(id), id, dup: true }));
      }
      await again.expect(packets.publish('t', '5', { qos: 1, id: 5 }));
    },
  ),
  ...proves(
    { v4: ['4.6.0-4', '4.6.0-6'], v5: '4.3.3-4' },
    'PUBRELs come in the order of the PUBRECs',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 2);
      const peer = await world.connected('p');
      for (const id of [1, 2, 3]) peer.send(packets.publish('t', `${id}`, { qos: 2, id }));
      for (const id of [1, 2, 3]) {
        await watcher.expect(packets.publish('t', `${id}`, { qos: 2, id }));
      }
      watcher.send(packets.pubrec(2), packets.pubrec(3), packets.pubrec(1));
      for (const id of [2, 3, 1]) await watcher.expect(packets.pubrel(id));
    },
  ),
];

export const qualityOfService: readonly Scenario[] = [...receiver, ...sender, ...order];
