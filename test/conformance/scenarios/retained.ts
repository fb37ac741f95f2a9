import { lastingFromNew, proves, type Scenario, type World } from '../scenario.ts';

/** Publishes from a client of its own and waits until the broker has taken it. */
async function retains(
  world: World,
  topic: string,
  payload: string,
  qos: 0 | 1 | 2 = 0,
): Promise<void> {
  const { packets } = world;
  const publisher = await world.connected('retaining');
  publisher.send(
    packets.publish(topic, payload, { retain: true, ...(qos === 0 ? {} : { qos, id: 1 }) }),
  );
  if (qos === 1) await publisher.expect(packets.puback(1));
  if (qos === 2) await publisher.expect(packets.pubrec(1));
  await publisher.expectNothing();
  publisher.send(packets.disconnect());
}

/** What a client that subscribes now is sent first, exactly. */
async function isKept(world: World, filter: string, ...wanted: readonly Uint8Array[]) {
  const late = await world.subscribed('late', filter, 2);
  await late.expectInAnyOrder(...wanted);
  await late.expectNothing();
  late.send(world.packets.disconnect());
}

const storing = [
  ...proves(
    { v4: ['3.3.1-5', '3.3.1-6', '3.3.1-8'], v5: ['3.3.1-5', '3.3.1-9'] },
    'a retained message is sent to a new subscription with its QoS and RETAIN 1',
    async (world) => {
      const { packets } = world;
      for (const qos of [0, 1, 2] as const) {
        await retains(world, `t/${qos}`, 'x', qos);
        const options = qos === 0 ? { retain: true } : { retain: true, qos, id: 1 };
        await isKept(world, `t/${qos}`, packets.publish(`t/${qos}`, 'x', options));
      }
    },
  ),
  ...proves(
    { v4: ['3.3.1-6', '3.3.1-8'], v5: '3.3.1-9' },
    'a filter with wildcards brings the retained message of each topic it matches, once',
    async (world) => {
      const { packets } = world;
      for (const topic of ['a/b', 'a/c', 'a', 'b']) await retains(world, topic, topic);
      const kept = ['a', 'a/b', 'a/c'].map((t) => packets.publish(t, t, { retain: true }));
      await isKept(world, 'a/#', ...kept);
    },
  ),
  ...proves(
    { v4: ['3.3.1-5', '3.3.1-7'], v5: '3.3.1-5' },
    'the last retained message replaces the one before, also QoS 0 one of QoS 1',
    async (world) => {
      const { packets } = world;
      await retains(world, 't', 'first', 1);
      await retains(world, 't', 'second', 0);
      await isKept(world, 't', packets.publish('t', 'second', { retain: true }));
      await retains(world, 't', 'third', 2);
      const third = packets.publish('t', 'third', { retain: true, qos: 2, id: 1 });
      await isKept(world, 't', third);
    },
  ),
  ...proves(
    { v4: ['3.3.1-10', '3.3.1-11'], v5: ['3.3.1-6', '3.3.1-7'] },
    'an empty retained message is passed on and removes what was retained',
    async (world) => {
      const { packets } = world;
      await retains(world, 't', 'x');
      const watcher = await world.subscribed('watcher', 't', 0);
      await watcher.expect(packets.publish('t', 'x', { retain: true }));
      // Acknowledged, so that it is on disk when the broker is killed.
      await retains(world, 't', '', 1);
      await watcher.expect(packets.publish('t', ''));
      await isKept(world, 't');
      await world.restart('killed');
      await isKept(world, 't');
    },
  ),
  ...proves(
    { v4: '3.3.1-12', v5: '3.3.1-8' },
    'a message without RETAIN neither stores, replaces nor removes',
    async (world) => {
      const { packets } = world;
      await retains(world, 't', 'kept');
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', 'passing'), packets.publish('t', ''));
      publisher.send(packets.publish('other', 'passing'));
      await publisher.expectNothing();
      await isKept(world, '#', packets.publish('t', 'kept', { retain: true }));
    },
  ),
  ...proves(
    { v4: '3.1.2-7', v5: ['3.3.1-5', '4.1.0-2'] },
    'retained messages outlive the session that published them, and the process',
    async (world) => {
      const { packets } = world;
      await retains(world, 't', 'x', 1);
      await isKept(world, 't', packets.publish('t', 'x', { retain: true, qos: 1, id: 1 }));
      await world.restart('killed');
      await isKept(world, 't', packets.publish('t', 'x', { retain: true, qos: 1, id: 1 }));
    },
  ),
];

const forwarding = [
  ...proves(
    { v4: '3.3.1-9', v5: '3.3.1-12' },
    'a subscription that is there is sent a retained message with RETAIN 0',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 1);
      await retains(world, 't', 'x', 1);
      await watcher.expect(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await retains(world, 't', 'y', 0);
      await watcher.expect(packets.publish('t', 'y'));
    },
  ),
  ...proves(
    { v5: '3.3.1-13' },
    'with Retain As Published the flag goes out as it came in',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 0x08 | 1);
      await retains(world, 't', 'x', 1);
      await watcher.expect(packets.publish('t', 'x', { qos: 1, id: 1, retain: true }));
      await retains(world, 't', 'y', 0);
      await watcher.expect(packets.publish('t', 'y', { retain: true }));
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', 'z'));
      await watcher.expect(packets.publish('t', 'z'));
    },
  ),
  ...proves(
    { v4: '3.3.1-9', v5: ['3.3.1-12', '3.3.1-13'] },
    'a message that waited for its subscriber goes out with the same RETAIN as a live one',
    async (world) => {
      const { packets, version } = world;
      const connect = lastingFromNew(version);
      const plain = await world.subscribed('plain', 't', 1, connect);
      plain.send(packets.disconnect());
      await plain.expectClosed();
      if (version === 5) {
        const published = await world.subscribed('published', 't', 0x08 | 1, connect);
        published.send(packets.disconnect());
        await published.expectClosed();
      }
      await retains(world, 't', 'x', 1);
      const back = await world.resumed('plain', { ...connect, clean: false });
      await back.expect(packets.publish('t', 'x', { qos: 1, id: 1 }));
      if (version === 4) return;
      const other = await world.resumed('published', { ...connect, clean: false });
      await other.expect(packets.publish('t', 'x', { qos: 1, id: 1, retain: true }));
    },
  ),
];

const handling = [
  ...proves(
    { v5: '3.3.1-9' },
    'Retain Handling 0 brings retained messages at every SUBSCRIBE',
    async (world) => {
      const { packets } = world;
      await retains(world, 't', 'x');
      const peer = await world.connected('a');
      for (const id of [1, 2]) {
        peer.send(packets.subscribe(id, [['t', 0]]));
        await peer.expect(packets.suback(id, 0));
        await peer.expect(packets.publish('t', 'x', { retain: true }));
      }
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v5: '3.3.1-10' },
    'Retain Handling 1 brings them where the subscription is new',
    async (world) => {
      const { packets } = world;
      await retains(world, 't', 'x');
      const peer = await world.connected('a');
      peer.send(packets.subscribe(1, [['t', 0x10]]));
      await peer.expect(packets.suback(1, 0));
      await peer.expect(packets.publish('t', 'x', { retain: true }));
      peer.send(packets.subscribe(2, [['t', 0x10 | 1]]));
      await peer.expect(packets.suback(2, 1));
      await peer.expectNothing();
      peer.send(packets.unsubscribe(3, 't'));
      await peer.expect(packets.unsuback(3, 0));
      peer.send(packets.subscribe(4, [['t', 0x10]]));
      await peer.expect(packets.suback(4, 0));
      await peer.expect(packets.publish('t', 'x', { retain: true }));
    },
  ),
  ...proves({ v5: '3.3.1-11' }, 'Retain Handling 2 brings none', async (world) => {
    const { packets } = world;
    await retains(world, 't', 'x');
    const peer = await world.connected('a');
    for (const id of [1, 2]) {
      peer.send(packets.subscribe(id, [['t', 0x20]]));
      await peer.expect(packets.suback(id, 0));
    }
    await peer.expectNothing();
  }),
];

export const retained: readonly Scenario[] = [...storing, ...forwarding, ...handling];
