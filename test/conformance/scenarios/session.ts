import { property } from '../bytes.ts';
import { lasting, lastingFromNew, proves, type Scenario, type World } from '../scenario.ts';

/** Has the filter in a lasting session and goes, in good order. */
async function leaves(world: World, id: string, filter: string, qos: 0 | 1 | 2): Promise<void> {
  const peer = await world.subscribed(id, filter, qos, lastingFromNew(world.version));
  peer.send(world.packets.disconnect());
  await peer.expectClosed();
}

const keeping = [
  ...proves(
    {
      v4: ['3.1.2-4', '3.1.2-5', '3.1.3-2', '3.2.2-2', '4.5.0-1'],
      v5: ['3.1.2-5', '3.1.2-23', '3.1.3-2', '3.2.2-3', '4.5.0-1'],
    },
    'a lasting session keeps its subscriptions and QoS 1 and 2 messages for its own client',
    async (world) => {
      const { packets, version } = world;
      await leaves(world, 'one', 't', 2);
      await leaves(world, 'two', 'other', 2);
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', '1', { qos: 1, id: 1 }));
      publisher.send(packets.publish('t', '2', { qos: 2, id: 2 }));
      await publisher.expect(packets.puback(1));
      await publisher.expect(packets.pubrec(2));
      const one = await world.resumed('one', lasting(version));
      await one.expect(packets.publish('t', '1', { qos: 1, id: 1 }));
      await one.expect(packets.publish('t', '2', { qos: 2, id: 2 }));
      one.send(packets.puback(1), packets.pubrec(2));
      await one.expect(packets.pubrel(2));
      one.send(packets.pubcomp(2), packets.publish('t', '3'));
      await one.expect(packets.publish('t', '3'));
      const two = await world.resumed('two', lasting(version));
      await two.expectNothing();
    },
  ),
  ...proves(
    { v4: ['3.1.2-5', '4.1.0-1', '4.5.0-1'], v5: ['3.1.2-23', '4.1.0-1', '4.5.0-1'] },
    'a lasting session and its messages survive the death of the broker',
    async (world) => {
      const { packets, version } = world;
      await leaves(world, 'one', 't', 1);
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', 'before', { qos: 1, id: 1 }));
      await publisher.expect(packets.puback(1));
      await world.restart('killed');
      const again = await world.connected('p');
      again.send(packets.publish('t', 'after', { qos: 1, id: 1 }));
      await again.expect(packets.puback(1));
      const one = await world.resumed('one', lasting(version));
      await one.expect(packets.publish('t', 'before', { qos: 1, id: 1 }));
      await one.expect(packets.publish('t', 'after', { qos: 1, id: 2 }));
    },
  ),
  ...proves(
    { v4: ['3.1.2-4', '3.1.4-3', '3.2.2-3'], v5: ['3.1.2-6', '3.1.4-4', '3.2.2-3'] },
    'without a clean start and without a session a new one is made, Session Present 0',
    async (world) => {
      const peer = await world.connected('new', lasting(world.version));
      await peer.expectNothing();
    },
  ),
  ...proves(
    {
      v4: ['3.1.2-6', '3.1.4-3', '3.2.2-1'],
      v5: ['3.1.2-4', '3.1.4-4', '3.2.2-2'],
    },
    'a clean start discards subscriptions, messages and hand-shakes, for good',
    async (world) => {
      const { packets, version } = world;
      const first = await world.subscribed('one', 't', 1, lastingFromNew(version));
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await publisher.expect(packets.puback(1));
      await first.expect(packets.publish('t', 'x', { qos: 1, id: 1 }));
      first.drop();
      await world.settle();
      const clean = await world.connected('one', { clean: true });
      publisher.send(packets.publish('t', 'y', { qos: 1, id: 2 }));
      await publisher.expect(packets.puback(2));
      await clean.expectNothing();
      clean.send(packets.disconnect());
      await clean.expectClosed();
      const last = await world.connected('one', lasting(version));
      await last.expectNothing();
    },
  ),
  ...proves(
    { v4: '3.1.2-6', v5: ['4.1.0-2', '3.2.2-3'] },
    'a session that is not lasting ends with its connection',
    async (world) => {
      const { packets, version } = world;
      const peer = await world.subscribed('one', 't', 1);
      peer.drop();
      await world.settle();
      const again = await world.connected('one', { clean: version === 4 ? false : false });
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await publisher.expect(packets.puback(1));
      await again.expectNothing();
    },
  ),
  ...proves(
    { v4: '4.1.0-2', v5: ['4.1.0-1', '4.1.0-2'] },
    'a session lasts while its connection does, whatever its expiry',
    async (world) => {
      const { packets, version } = world;
      const connect = version === 5 ? { properties: property.sessionExpiry(1) } : {};
      const peer = await world.subscribed('one', 't', 1, connect);
      await world.passSeconds(3);
      peer.send(packets.publish('t', 'x'));
      await peer.expect(packets.publish('t', 'x'));
    },
  ),
  ...proves(
    { v4: ['4.5.0-1', '3.1.2-5'], v5: ['4.5.0-1', '3.1.2-23'] },
    'a message is for each session that matches, there or away, once',
    async (world) => {
      const { packets, version } = world;
      await leaves(world, 'away', 'a/#', 1);
      const here = await world.subscribed('here', 'a/b', 1);
      const other = await world.subscribed('other', 'a/c', 1);
      const publisher = await world.connected('p');
      publisher.send(packets.publish('a/b', 'x', { qos: 1, id: 1 }));
      await publisher.expect(packets.puback(1));
      await here.expect(packets.publish('a/b', 'x', { qos: 1, id: 1 }));
      await other.expectNothing();
      const back = await world.resumed('away', lasting(version));
      await back.expect(packets.publish('a/b', 'x', { qos: 1, id: 1 }));
      await back.expectNothing();
      await here.expectNothing();
    },
  ),
];

const expiry = [
  ...proves(
    { v5: ['4.1.0-2', '3.1.2-23'] },
    'a session ends when its expiry has passed, and not before',
    async (world) => {
      const { packets } = world;
      // Far enough apart that a slow machine does not mix them up.
      for (const [id, seconds] of [
        ['stays', 30],
        ['ends', 1],
      ] as const) {
        const connect = { properties: property.sessionExpiry(seconds) };
        const peer = await world.subscribed(id, 't', 1, connect);
        peer.send(packets.disconnect());
        await peer.expectClosed();
      }
      await world.passSeconds(3);
      await world.resumed('stays');
      await world.connected('ends', { clean: false });
    },
  ),
  ...proves(
    { v5: ['4.1.0-2', '3.1.2-23'] },
    'the expiry in DISCONNECT takes the place of that in CONNECT',
    async (world) => {
      const { packets } = world;
      const peer = await world.subscribed('one', 't', 1, { properties: property.sessionExpiry(2) });
      peer.send(packets.disconnect(0, property.sessionExpiry(60)));
      await peer.expectClosed();
      await world.passSeconds(4);
      const again = await world.resumed('one', { properties: property.sessionExpiry(60) });
      again.send(packets.disconnect(0, property.sessionExpiry(0)));
      await again.expectClosed();
      await world.connected('one', { clean: false });
    },
  ),
  ...proves(
    { v5: ['4.13.1-1', '3.14.2-1'] },
    'an expiry in DISCONNECT where CONNECT had none ends the connection as a fault',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 'will', 0);
      const peer = await world.connected('one', { will: { topic: 'will', payload: 'w' } });
      peer.send(packets.disconnect(0, property.sessionExpiry(60)));
      await peer.expectClosed(0x82);
      await watcher.expect(packets.publish('will', 'w'));
    },
  ),
  ...proves(
    { v5: ['4.1.0-2', '3.1.2-23'] },
    'time without the broker counts towards the expiry only from its next start on, and no session is lost early',
    async (world) => {
      const { packets } = world;
      const connect = { properties: property.sessionExpiry(6) };
      const peer = await world.subscribed('one', 't', 1, connect);
      peer.send(packets.disconnect());
      await peer.expectClosed();
      await world.restart('stopped');
      await world.resumed('one', connect);
      await world.restart('killed');
      await world.passSeconds(8);
      await world.connected('one', { clean: false });
    },
  ),
];

const disconnect = [
  ...proves(
    { v4: ['3.14.4-2'], v5: ['3.14.4-1', '3.14.4-2'] },
    'nothing behind a DISCONNECT is processed, and the broker closes',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', '#', 0);
      const peer = await world.connected('one');
      peer.send(packets.disconnect(), packets.publish('t', 'x'), packets.pingreq());
      await peer.expectClosed();
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.14.2-1', '4.13.1-1'] },
    'a DISCONNECT with an unknown reason is a fault',
    async (world) => {
      const peer = await world.connected('one');
      peer.send('e0 01 01');
      await peer.expectClosed(0x82);
    },
  ),
  ...proves(
    { v5: ['3.14.2-1', '3.14.2-2', '3.14.4-1', '3.14.4-2'] },
    'a broker that stops says so by DISCONNECT 0x8B, without an expiry, and closes',
    async (world) => {
      const peer = await world.connected('one', lastingFromNew(5));
      await world.restart('stopped');
      await peer.expectClosed(0x8b);
    },
  ),
];

export const session: readonly Scenario[] = [...keeping, ...expiry, ...disconnect];
