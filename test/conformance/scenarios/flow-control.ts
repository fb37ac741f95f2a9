import { join, property } from '../bytes.ts';
import type { Peer } from '../peer.ts';
import { lasting, lastingFromNew, proves, type Scenario, type World } from '../scenario.ts';

const WINDOW_OF_10 = { toml: '[limits]\ninflight = 10' };
const PACKETS_OF_1_KIB = { toml: '[limits]\npacket_size = "1KiB"' };

/** Publishes messages 1 to `count` of this QoS to `t`, and sees them acknowledged. */
async function publishes(world: World, count: number, qos: 1 | 2): Promise<Peer> {
  const { packets } = world;
  const publisher = await world.connected('p');
  for (let id = 1; id <= count; id += 1) {
    publisher.send(packets.publish('t', `${id}`, { qos, id }));
    await publisher.expect(qos === 1 ? packets.puback(id) : packets.pubrec(id));
  }
  return publisher;
}

const window = [
  ...proves(
    { v5: ['3.3.4-9', '4.9.0-1', '4.9.0-2'] },
    'no more QoS 1 messages are on their way than the client can receive',
    async (world) => {
      const { packets } = world;
      const properties = property.receiveMaximum(2);
      const watcher = await world.subscribed('watcher', 't', 1, { properties });
      await publishes(world, 5, 1);
      const message = (id: number) => packets.publish('t', `${id}`, { qos: 1, id });
      await watcher.expect(message(1));
      await watcher.expect(message(2));
      await watcher.expectNothing();
      watcher.send(packets.puback(1));
      await watcher.expect(message(3));
      await watcher.expectNothing();
      // One by a refusal, which counts as well.
      watcher.send(packets.puback(2), packets.puback(3, 0x80));
      await watcher.expect(message(4));
      await watcher.expect(message(5));
    },
  ),
  ...proves(
    { v5: ['3.3.4-9', '4.9.0-2'] },
    'a QoS 2 message takes its place in the window until PUBCOMP, or until a PUBREC that refuses',
    async (world) => {
      const { packets } = world;
      const properties = property.receiveMaximum(1);
      const watcher = await world.subscribed('watcher', 't', 2, { properties });
      await publishes(world, 3, 2);
      const message = (id: number) => packets.publish('t', `${id}`, { qos: 2, id });
      await watcher.expect(message(1));
      watcher.send(packets.pubrec(1));
      await watcher.expect(packets.pubrel(1));
      await watcher.expectNothing();
      watcher.send(packets.pubcomp(1));
      await watcher.expect(message(2));
      await watcher.expectNothing();
      watcher.send(packets.pubrec(2, 0x80));
      await watcher.expect(message(3));
    },
  ),
  ...proves(
    { v5: ['3.3.4-10', '4.9.0-3', '3.3.4-8'] },
    'with a full window all but QoS 1 and 2 goes on, both ways',
    async (world) => {
      const { packets } = world;
      const properties = property.receiveMaximum(1);
      const watcher = await world.subscribed('watcher', 't', 1, { properties });
      const publisher = await publishes(world, 3, 1);
      await watcher.expect(packets.publish('t', '1', { qos: 1, id: 1 }));
      watcher.send(packets.subscribe(5, [['other', 1]]));
      await watcher.expect(packets.suback(5, 1));
      publisher.send(packets.publish('t', 'zero'));
      await watcher.expect(packets.publish('t', 'zero'));
      watcher.send(packets.publish('elsewhere', 'x', { qos: 2, id: 6 }));
      await watcher.expect(packets.pubrec(6));
      watcher.send(packets.pubrel(6));
      await watcher.expect(packets.pubcomp(6));
      watcher.send(packets.unsubscribe(7, 'other'));
      await watcher.expect(packets.unsuback(7, 0));
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v5: ['4.9.0-1', '3.3.4-9', '4.4.0-1'] },
    'the window is that of the new connection, also for what is sent again',
    async (world) => {
      const { packets } = world;
      const first = await world.subscribed('keeps', 't', 1, lastingFromNew(5));
      await publishes(world, 4, 1);
      const message = (id: number, dup = false) =>
        packets.publish('t', `${id}`, { qos: 1, id, dup });
      for (const id of [1, 2, 3, 4]) await first.expect(message(id));
      first.drop();
      await world.settle();
      const properties = join(property.sessionExpiry(3600), property.receiveMaximum(2));
      const second = await world.resumed('keeps', { properties });
      await second.expect(message(1, true));
      await second.expect(message(2, true));
      await second.expectNothing();
      second.send(packets.puback(1));
      await second.expect(message(3, true));
      second.send(packets.puback(2), packets.puback(3));
      await second.expect(message(4, true));
      await second.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.3.4-7', '4.9.0-2', '4.13.1-1'] },
    'a client with more on its way than the Receive Maximum of CONNACK gets DISCONNECT 0x93',
    async (world) => {
      const { packets } = world;
      const peer = await world.open();
      peer.send(packets.connect({ id: 'greedy' }));
      const { properties } = await peer.expectConnack();
      const maximum = Buffer.from(properties.get(0x21) ?? 'ffff').toString('hex');
      if (maximum !== '000a') throw new Error(`Receive Maximum ${maximum}`);
      for (let id = 1; id <= 10; id += 1) {
        peer.send(packets.publish('t', 'x', { qos: 2, id }));
        await peer.expect(packets.pubrec(id));
      }
      peer.send(packets.pubrel(1));
      await peer.expect(packets.pubcomp(1));
      peer.send(packets.publish('t', 'x', { qos: 2, id: 1 }));
      await peer.expect(packets.pubrec(1));
      peer.send(packets.publish('t', 'x', { qos: 2, id: 11 }));
      await peer.expectClosed(0x93);
    },
    WINDOW_OF_10,
  ),
  ...proves(
    { v5: ['4.9.0-1', '3.1.4-1'] },
    'a Receive Maximum of 0 is a protocol error',
    async (world) => {
      const peer = await world.open();
      peer.send(world.packets.connect({ properties: property.receiveMaximum(0) }));
      await peer.expectConnack(0x82);
      await peer.expectClosed();
    },
  ),
];

const packetSize = [
  ...proves(
    { v5: ['3.1.2-24', '3.1.2-25'] },
    'a message too large for the client is left out as if it had been delivered',
    async (world) => {
      const { packets } = world;
      const properties = property.maximumPacketSize(30);
      const watcher = await world.subscribed('watcher', 't', 2, { properties });
      const publisher = await world.connected('p');
      const large = 'l'.repeat(30);
      for (const qos of [0, 1, 2] as const) {
        publisher.send(packets.publish('t', large, qos === 0 ? {} : { qos, id: qos }));
        if (qos === 1) await publisher.expect(packets.puback(1));
        if (qos === 2) await publisher.expect(packets.pubrec(2));
      }
      await publisher.expectNothing();
      await watcher.expectNothing();
      // Exactly at the limit: 2 for the header, 3 for the topic, 2 for the identifier, 1 for properties.
      publisher.send(packets.publish('t', 's'.repeat(22), { qos: 1, id: 3 }));
      await publisher.expect(packets.puback(3));
      const came = await watcher.next();
      if (came.length !== 30) throw new Error(`${came.length} bytes`);
    },
  ),
  ...proves(
    { v5: ['3.1.2-25', '3.1.2-24', '4.9.0-2'] },
    'a message too large for a session that was away is left out, and leaves no place in its window',
    async (world) => {
      const { packets } = world;
      const away = await world.subscribed('away', 't', 1, lastingFromNew(5));
      away.send(packets.disconnect());
      await away.expectClosed();
      const publisher = await world.connected('p');
      for (const [id, payload] of ['l'.repeat(30), 'l'.repeat(30), 's'].entries()) {
        publisher.send(packets.publish('t', payload, { qos: 1, id: id + 1 }));
        await publisher.expect(packets.puback(id + 1));
      }
      const back = await world.resumed('away', {
        properties: join(
          property.sessionExpiry(3600),
          property.maximumPacketSize(30),
          property.receiveMaximum(1),
        ),
      });
      const came = await back.next();
      const id = Buffer.from(came).readUInt16BE(5);
      if (Buffer.compare(came, packets.publish('t', 's', { qos: 1, id })) !== 0) {
        throw new Error(`came ${Buffer.from(came).toString('hex')}`);
      }
      back.send(packets.puback(id));
      await back.expectNothing();
      back.drop();
      await world.settle();
      const again = await world.resumed('away', lasting(5));
      await again.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.2.2-15', '4.13.1-1'] },
    'a packet beyond the Maximum Packet Size of CONNACK gets DISCONNECT 0x95',
    async (world) => {
      const { packets } = world;
      const peer = await world.open();
      peer.send(packets.connect({ id: 'a' }));
      const { properties } = await peer.expectConnack();
      const maximum = Buffer.from(properties.get(0x27) ?? '').toString('hex');
      if (maximum !== '00000400') throw new Error(`Maximum Packet Size ${maximum}`);
      // 3 for the header, 3 for the topic, 1 for the properties.
      peer.send(packets.publish('t', 'x'.repeat(1024 - 7)));
      await peer.expectNothing();
      peer.send(packets.publish('t', 'x'.repeat(1024 - 6)));
      await peer.expectClosed(0x95);
    },
    PACKETS_OF_1_KIB,
  ),
  ...proves(
    { v4: '4.8.0-1' },
    'a packet beyond the limit ends the connection',
    async (world) => {
      const peer = await world.connected('a');
      peer.send(world.packets.publish('t', 'x'.repeat(1024)));
      await peer.expectClosed();
    },
    PACKETS_OF_1_KIB,
  ),
];

/** Each of these the client refuses to take: no packet may be larger than it said. */
async function isWithin(maximum: number, peer: Peer, first: number): Promise<void> {
  const came = await peer.next();
  if (came.length > maximum || came[0] !== first) {
    throw new Error(`came ${Buffer.from(came).toString('hex')}, at most ${maximum} bytes`);
  }
}

const texts = [
  ...proves(
    {
      v5: [
        '3.1.2-24',
        '3.6.2-2',
        '3.6.2-3',
        '3.7.2-2',
        '3.7.2-3',
        '3.9.2-1',
        '3.9.2-2',
        '3.11.2-1',
        '3.11.2-2',
        '3.14.2-3',
        '3.14.2-4',
      ],
    },
    'no reason string makes an answer larger than the Maximum Packet Size of the client',
    async (world) => {
      const { packets } = world;
      const maximum = 20;
      const properties = property.maximumPacketSize(maximum);
      const peer = await world.connected('small', { properties });
      peer.send(packets.pubrec(7));
      await isWithin(maximum, peer, 0x62);
      peer.send(packets.pubrel(7));
      await isWithin(maximum, peer, 0x70);
      peer.send(packets.unsubscribe(1, 'nothing'));
      await isWithin(maximum, peer, 0xb0);
      peer.send(packets.subscribe(2, [['$queue/not/there', 0]]));
      await isWithin(maximum, peer, 0x90);
      peer.send('00 00');
      await isWithin(maximum, peer, 0xe0);
      await peer.expectClosed();
    },
  ),
  ...proves(
    { v5: ['3.2.2-19', '3.2.2-20', '3.1.2-24'] },
    'no reason string makes a CONNACK larger than the Maximum Packet Size of the client',
    async (world) => {
      for (const maximum of [5, 6, 20]) {
        const peer = await world.open();
        peer.send(
          world.packets.connect({
            properties: join(
              property.authenticationMethod('SCRAM-SHA-1'),
              property.maximumPacketSize(maximum),
            ),
          }),
        );
        await isWithin(maximum, peer, 0x20);
        await peer.expectClosed();
      }
    },
  ),
  ...proves(
    { v5: '3.1.2-24' },
    'a client too small for the CONNACK that accepts it is sent nothing larger than it can take',
    async (world) => {
      const peer = await world.open();
      peer.send(world.packets.connect({ properties: property.maximumPacketSize(4) }));
      await peer.expectClosed();
    },
  ),
  ...proves(
    { v5: '3.1.2-29' },
    'without Request Problem Information acknowledgements carry no text',
    async (world) => {
      const { packets } = world;
      const properties = property.requestProblemInformation(0);
      const peer = await world.connected('quiet', { properties });
      peer.send(packets.pubrec(7));
      await peer.expect('62 03 00 07 92');
      peer.send(packets.pubrel(7));
      await peer.expect('70 03 00 07 92');
      peer.send(packets.unsubscribe(1, 'nothing'));
      await peer.expect(packets.unsuback(1, 0x11));
      peer.send(packets.subscribe(2, [['$queue/not/there', 0]]));
      const suback = await peer.next();
      if (suback.length !== 6) throw new Error(`${Buffer.from(suback).toString('hex')}`);
    },
  ),
  ...proves(
    { v5: '3.1.2-28' },
    'a client that does not ask for Response Information gets none',
    async (world) => {
      for (const properties of ['', property.requestResponseInformation(0)]) {
        const peer = await world.open();
        peer.send(world.packets.connect({ id: 'a', properties }));
        const connack = await peer.expectConnack();
        if (connack.properties.has(0x1a)) throw new Error('Response Information came');
      }
    },
  ),
];

export const flowControl: readonly Scenario[] = [...window, ...packetSize, ...texts];
