import { join, property, type Will } from '../bytes.ts';
import type { Peer } from '../peer.ts';
import { lasting, lastingFromNew, proves, type Scenario, type World } from '../scenario.ts';

const WILL: Will = { topic: 'will', payload: 'gone' };

/** A client that watches the topic of the will and has seen nothing yet. */
function watcherOf(world: World): Promise<Peer> {
  return world.subscribed('watcher', 'will', 0);
}

const publishing = [
  ...proves(
    { v4: ['3.1.2-8', '3.1.2-9', '3.1.2-16'], v5: ['3.1.2-7', '3.1.2-8', '3.1.2-9', '3.1.2-14'] },
    'a will is published once when the connection is lost, and is not retained',
    async (world) => {
      const { packets } = world;
      const watcher = await watcherOf(world);
      const peer = await world.connected('mortal', { will: WILL });
      await watcher.expectNothing();
      peer.drop();
      await watcher.expect(packets.publish('will', 'gone'));
      await watcher.expectNothing();
      const late = await world.subscribed('late', 'will', 0);
      await late.expectNothing();
    },
  ),
  ...proves(
    { v4: '3.1.2-8', v5: '3.1.2-8' },
    'a will is published when the broker ends the connection for a fault, and at its QoS',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 'will', 2);
      for (const qos of [0, 1, 2] as const) {
        const peer = await world.connected('mortal', { will: { ...WILL, qos } });
        peer.send('00 00');
        await peer.expectClosed(0x81);
        await watcher.expect(packets.publish('will', 'gone', qos === 0 ? {} : { qos, id: qos }));
      }
    },
  ),
  ...proves(
    { v4: '3.1.2-17', v5: '3.1.2-15' },
    'a will with the retain flag is published as a retained message',
    async (world) => {
      const { packets } = world;
      const watcher = await watcherOf(world);
      const peer = await world.connected('mortal', { will: { ...WILL, retain: true } });
      peer.drop();
      await watcher.expect(packets.publish('will', 'gone'));
      const late = await world.subscribed('late', 'will', 0);
      await late.expect(packets.publish('will', 'gone', { retain: true }));
    },
  ),
  ...proves(
    { v4: '3.1.2-12', v5: ['3.1.2-8', '3.1.2-10'] },
    'without a will nothing is published, also where an earlier connection had one',
    async (world) => {
      const watcher = await watcherOf(world);
      const first = await world.connected('mortal', { will: WILL });
      first.send(world.packets.disconnect());
      await first.expectClosed();
      const second = await world.connected('mortal');
      second.drop();
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v4: ['3.14.4-3', '3.1.2-10'], v5: ['3.14.4-3', '3.1.2-10', '3.1.2-8'] },
    'DISCONNECT discards the will, and the broker closes',
    async (world) => {
      const watcher = await watcherOf(world);
      const peer = await world.connected('mortal', { will: WILL });
      peer.send(world.packets.disconnect());
      await peer.expectClosed();
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v4: '3.1.2-8', v5: '3.1.2-7' },
    'a will survives the death of the broker, and is published when its client does not return',
    async (world) => {
      const { packets, version } = world;
      const watcher = await world.subscribed('watcher', 'will', 1, lastingFromNew(version));
      await world.connected('mortal', { will: { ...WILL, qos: 1 } });
      watcher.drop();
      await world.settle();
      await world.restart('killed');
      const back = await world.resumed('watcher', lasting(version));
      await back.expectNothing();
      await world.passSeconds(33);
      await back.expect(packets.publish('will', 'gone', { qos: 1, id: 1 }));
    },
  ),
];

const version5 = [
  ...proves({ v5: '3.1.2-8' }, 'DISCONNECT with reason 0x04 publishes the will', async (world) => {
    const watcher = await watcherOf(world);
    const peer = await world.connected('mortal', { will: WILL });
    peer.send(world.packets.disconnect(0x04));
    await peer.expectClosed();
    await watcher.expect(world.packets.publish('will', 'gone'));
  }),
  ...proves(
    { v5: ['3.1.3-10', '3.1.2-9', '3.3.2-17', '3.3.2-18'] },
    'a will is published with its properties, the user properties in their order',
    async (world) => {
      const { packets } = world;
      const watcher = await watcherOf(world);
      const properties = join(
        property.payloadFormat(1),
        property.contentType('text/plain'),
        property.responseTopic('answers'),
        property.correlationData('c'),
        property.user('b', '1'),
        property.user('a', '2'),
        property.user('b', '1'),
      );
      const peer = await world.connected('mortal', { will: { ...WILL, properties } });
      peer.drop();
      await watcher.expect(packets.publish('will', 'gone', { properties }));
    },
  ),
  ...proves({ v5: ['3.1.2-8', '4.1.0-2'] }, 'a will waits for its delay', async (world) => {
    const watcher = await watcherOf(world);
    const peer = await world.connected('mortal', {
      properties: property.sessionExpiry(60),
      will: { ...WILL, properties: property.willDelay(3) },
    });
    peer.drop();
    await world.passSeconds(1.5);
    await watcher.expectNothing();
    await world.passSeconds(3);
    await watcher.expect(world.packets.publish('will', 'gone'));
  }),
  ...proves(
    { v5: '3.1.2-8' },
    'a will does not wait longer than its session lasts',
    async (world) => {
      const watcher = await watcherOf(world);
      const will = { ...WILL, properties: property.willDelay(60) };
      const short = await world.connected('short', { properties: property.sessionExpiry(3), will });
      const none = await world.connected('none', { will });
      none.drop();
      await watcher.expect(world.packets.publish('will', 'gone'));
      short.drop();
      await world.passSeconds(1.5);
      await watcher.expectNothing();
      await world.passSeconds(3);
      await watcher.expect(world.packets.publish('will', 'gone'));
    },
  ),
  ...proves(
    { v5: ['3.1.3-9', '3.1.2-8'] },
    'a client that is back before the delay is over takes its will back',
    async (world) => {
      const watcher = await watcherOf(world);
      const properties = property.sessionExpiry(60);
      const will = { ...WILL, properties: property.willDelay(2) };
      const peer = await world.connected('mortal', { properties, will });
      peer.drop();
      await world.settle();
      const again = await world.resumed('mortal', { properties });
      await world.passSeconds(4);
      await watcher.expectNothing();
      await again.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.1.2-8', '3.1.2-4'] },
    'a clean start ends the session and with it the delay: the will is published',
    async (world) => {
      const watcher = await watcherOf(world);
      const properties = property.sessionExpiry(60);
      const will = { ...WILL, properties: property.willDelay(60) };
      const peer = await world.connected('mortal', { properties, will });
      peer.drop();
      await world.settle();
      await world.connected('mortal');
      await watcher.expect(world.packets.publish('will', 'gone'));
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.1.2-8', '3.1.4-3'] },
    'a client taken over has its will published at once where there is no delay, else not',
    async (world) => {
      const { packets } = world;
      const watcher = await watcherOf(world);
      const properties = property.sessionExpiry(60);
      const old = await world.connected('mortal', { properties, will: WILL });
      const young = await world.resumed('mortal', {
        properties,
        will: { topic: 'will', payload: 'delayed', properties: property.willDelay(60) },
      });
      await old.expectClosed(0x8e);
      await watcher.expect(packets.publish('will', 'gone'));
      await world.resumed('mortal', { properties });
      await young.expectClosed(0x8e);
      await watcher.expectNothing();
    },
  ),
];

const version311 = [
  ...proves(
    { v4: ['3.1.2-8', '3.1.4-2'] },
    'a client taken over has its will published',
    async (world) => {
      const watcher = await watcherOf(world);
      const old = await world.connected('mortal', { will: WILL });
      await world.connected('mortal');
      await old.expectClosed();
      await watcher.expect(world.packets.publish('will', 'gone'));
      await watcher.expectNothing();
    },
  ),
];

export const will: readonly Scenario[] = [...publishing, ...version5, ...version311];
