import { join, packet, property, string } from '../bytes.ts';
import { lasting, lastingFromNew, proves, type Scenario } from '../scenario.ts';

const ALL_PROPERTIES = join(
  property.payloadFormat(1),
  property.contentType('text/plain'),
  property.responseTopic('answers/1'),
  property.correlationData('c\u0001'),
  property.user('b', '1'),
  property.user('a', '2'),
  property.user('b', '1'),
);

const header = [
  ...proves(
    { v4: ['3.3.1-1', '4.4.0-1', '4.1.0-1'], v5: ['3.3.1-1', '4.4.0-1', '4.1.0-1'] },
    'what was not acknowledged is sent again with DUP and its identifier when the session is taken up',
    async (world) => {
      const { packets, version } = world;
      const first = await world.subscribed('keeps', 't', 1, lastingFromNew(version));
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await publisher.expect(packets.puback(1));
      await first.expect(packets.publish('t', 'x', { qos: 1, id: 1 }));
      first.drop();
      await world.settle();
      const second = await world.resumed('keeps', lasting(version));
      await second.expect(packets.publish('t', 'x', { qos: 1, id: 1, dup: true }));
      second.send(packets.puback(1));
      await second.expectNothing();
      second.drop();
      await world.settle();
      const third = await world.resumed('keeps', lasting(version));
      await third.expectNothing();
    },
  ),
  ...proves(
    { v4: ['3.3.1-2', '4.3.1-1'], v5: ['3.3.1-2', '4.3.1-1'] },
    'QoS 0 goes out with QoS 0 and DUP 0, and with DUP 1 it ends the connection',
    async (world) => {
      const { packets } = world;
      const peer = await world.subscribed('both', 't', 2);
      peer.send(packets.publish('t', 'x'));
      await peer.expect(packets.publish('t', 'x'));
      peer.send(packets.publish('t', 'x', { dup: true }));
      await peer.expectClosed(0x81);
    },
  ),
  ...proves(
    { v4: ['3.3.1-3', '4.3.2-1'], v5: ['3.3.1-3', '4.3.2-2', '4.3.3-2'] },
    'the DUP that came in does not go out',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 2);
      const peer = await world.connected('p');
      peer.send(packets.publish('t', 'x', { qos: 1, id: 1, dup: true }));
      await peer.expect(packets.puback(1));
      await watcher.expect(packets.publish('t', 'x', { qos: 1, id: 1 }));
      peer.send(packets.publish('t', 'y', { qos: 2, id: 2, dup: true }));
      await peer.expect(packets.pubrec(2));
      await watcher.expect(packets.publish('t', 'y', { qos: 2, id: 2 }));
    },
  ),
  ...proves(
    { v4: ['3.3.1-4', '4.8.0-1'], v5: ['3.3.1-4', '4.13.1-1'] },
    'both QoS bits end the connection',
    async (world) => {
      for (const first of [0x36, 0x37, 0x3e]) {
        const peer = await world.connected('p');
        const properties = world.version === 5 ? '00' : '';
        peer.send(packet(first, string('t'), '00 01', properties, '78'));
        await peer.expectClosed(0x81);
      }
    },
  ),
];

const topic = [
  ...proves(
    { v4: ['3.3.2-1', '4.7.3-1'], v5: ['3.3.2-1', '4.7.3-1'] },
    'a PUBLISH without a topic, or with half of one, ends the connection',
    async (world) => {
      const properties = world.version === 5 ? '00' : '';
      const empty = packet(0x30, string(''), properties, '78');
      for (const [bytes, reason] of [
        [empty, 0x82],
        [packet(0x30), 0x81],
        [packet(0x30, '00'), 0x81],
        [packet(0x30, '00 05 74 74'), 0x81],
        [packet(0x32, string('t'), '00'), 0x81],
      ] as const) {
        const peer = await world.connected('p');
        peer.send(bytes);
        await peer.expectClosed(reason);
      }
    },
  ),
  ...proves(
    { v4: ['3.3.2-2', '4.7.1-1'], v5: ['3.3.2-2', '4.7.0-1'] },
    'a wildcard in a topic name ends the connection, and nobody is sent the message',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', '#', 0);
      for (const name of ['#', '+', 'a/#', 'a/+/b', 'a+', 'b#']) {
        const peer = await world.connected('p');
        peer.send(packets.publish(name, 'x'));
        await peer.expectClosed(0x90);
      }
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v4: '3.3.2-3', v5: '3.3.2-3' },
    'what is sent bears the topic it was published under, which matches the filter',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 'a/+/c', 0);
      const peer = await world.connected('p');
      peer.send(
        packets.publish('a/b/c', '1'),
        packets.publish('a/b', '2'),
        packets.publish('a/b/c/d', '3'),
        packets.publish('a//c', '4'),
      );
      await watcher.expect(packets.publish('a/b/c', '1'));
      await watcher.expect(packets.publish('a//c', '4'));
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v4: ['4.7.3-3'], v5: ['4.7.3-3'] },
    'a topic or filter as long as the packet can say is refused or taken whole, never cut',
    async (world) => {
      const { packets } = world;
      const long = 'l'.repeat(4096);
      const peer = await world.subscribed('both', long, 0);
      peer.send(packets.publish(long, 'x'));
      await peer.expect(packets.publish(long, 'x'));
      peer.send(packets.publish('l'.repeat(5000), 'x'));
      await peer.expectClosed(0x90);
    },
  ),
];

const properties = [
  ...proves(
    {
      v5: ['3.3.2-4', '3.3.2-15', '3.3.2-16', '3.3.2-17', '3.3.2-18', '3.3.2-20'],
    },
    'payload format, content type, response topic, correlation data and user properties pass as they came',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 2);
      const peer = await world.connected('p');
      const sent = { properties: ALL_PROPERTIES };
      peer.send(packets.publish('t', 'x', sent));
      await watcher.expect(packets.publish('t', 'x', sent));
      peer.send(packets.publish('t', 'x', { ...sent, qos: 1, id: 9 }));
      await peer.expect(packets.puback(9));
      await watcher.expect(packets.publish('t', 'x', { ...sent, qos: 1, id: 1 }));
      peer.send(packets.publish('t', 'x', { ...sent, qos: 2, id: 10 }));
      await peer.expect(packets.pubrec(10));
      await watcher.expect(packets.publish('t', 'x', { ...sent, qos: 2, id: 2 }));
    },
  ),
  ...proves(
    { v5: ['3.3.2-4', '3.3.2-15', '3.3.2-16', '3.3.2-17', '3.3.2-18', '3.3.2-20'] },
    'a retained message and one that waited for its subscriber keep their properties',
    async (world) => {
      const { packets } = world;
      const away = await world.subscribed('away', 't', 1, lastingFromNew(5));
      away.send(packets.disconnect());
      await away.expectClosed();
      const peer = await world.connected('p');
      const sent = { properties: ALL_PROPERTIES, qos: 1, id: 1 } as const;
      peer.send(packets.publish('t', 'x', { ...sent, retain: true }));
      await peer.expect(packets.puback(1));
      const back = await world.resumed('away', lasting(5));
      await back.expect(packets.publish('t', 'x', sent));
      const late = await world.subscribed('late', 't', 1);
      await late.expect(packets.publish('t', 'x', { ...sent, retain: true }));
    },
  ),
  ...proves(
    { v5: ['3.3.2-13', '3.3.2-19'] },
    'a response topic or content type that is not UTF-8 ends the connection',
    async (world) => {
      const bad = Buffer.from('e9', 'hex');
      for (const properties of [property.responseTopic(bad), property.contentType(bad)]) {
        const peer = await world.connected('p');
        peer.send(world.packets.publish('t', 'x', { properties }));
        await peer.expectClosed(0x81);
      }
    },
  ),
  ...proves(
    { v5: '3.3.2-14' },
    'a response topic with a wildcard ends the connection',
    async (world) => {
      for (const text of ['a/+', '#']) {
        const peer = await world.connected('p');
        peer.send(world.packets.publish('t', 'x', { properties: property.responseTopic(text) }));
        await peer.expectClosed(0x82);
      }
    },
  ),
  ...proves(
    { v5: ['3.3.4-6', '4.13.1-1'] },
    'a subscription identifier from a client ends the connection',
    async (world) => {
      const peer = await world.connected('p');
      peer.send(world.packets.publish('t', 'x', { properties: property.subscriptionId(1) }));
      await peer.expectClosed(0x82);
    },
  ),
  ...proves(
    { v5: '4.13.1-1' },
    'a property twice, an unknown one, or one of another packet ends the connection',
    async (world) => {
      for (const [properties, reason] of [
        [join(property.payloadFormat(0), property.payloadFormat(0)), 0x82],
        [join(property.contentType('a'), property.contentType('a')), 0x82],
        [property.payloadFormat(2), 0x82],
        [property.sessionExpiry(1), 0x82],
        [property.reasonString('why'), 0x82],
        ['7f 00', 0x81],
        ['01', 0x81],
      ] as const) {
        const peer = await world.connected('p');
        peer.send(world.packets.publish('t', 'x', { properties }));
        await peer.expectClosed(reason);
      }
    },
  ),
];

const expiry = [
  ...proves(
    { v5: '3.3.2-6' },
    'a message that waited goes out with the seconds of life it has left',
    async (world) => {
      const { packets } = world;
      const away = await world.subscribed('away', 't', 1, lastingFromNew(5));
      away.send(packets.disconnect());
      await away.expectClosed();
      const peer = await world.connected('p');
      const sent = (seconds: number) => ({
        qos: 1 as const,
        id: 1,
        properties: property.messageExpiry(seconds),
      });
      peer.send(packets.publish('t', 'x', sent(1000)));
      await peer.expect(packets.puback(1));
      await world.passSeconds(2.3);
      const back = await world.resumed('away', lasting(5));
      // At least 2 s have passed, and more where the machine is slow.
      const came = Buffer.from(await back.next());
      const left = came.readUInt32BE(came.length - 5);
      if (left < 985 || left > 998) throw new Error(`it has ${left} s left`);
      const wanted = Buffer.from(packets.publish('t', 'x', sent(left)));
      if (!came.equals(wanted)) throw new Error(`came ${came.toString('hex')}`);
    },
  ),
  ...proves(
    { v5: '3.3.2-6' },
    'a message that does not wait goes out with the life it came with',
    async (world) => {
      const { packets } = world;
      const peer = await world.subscribed('both', 't', 0);
      const sent = packets.publish('t', 'x', { properties: property.messageExpiry(100) });
      peer.send(sent);
      await peer.expect(sent);
    },
  ),
  ...proves(
    { v5: '3.3.2-5' },
    'a message that expired while its subscriber was away is not delivered, retained ones neither',
    async (world) => {
      const { packets } = world;
      const away = await world.subscribed('away', 't', 1, lastingFromNew(5));
      away.send(packets.disconnect());
      await away.expectClosed();
      const peer = await world.connected('p');
      const properties = property.messageExpiry(1);
      peer.send(packets.publish('t', 'short', { qos: 1, id: 1, properties, retain: true }));
      peer.send(packets.publish('t', 'long', { qos: 1, id: 2 }));
      await peer.expect(packets.puback(1));
      await peer.expect(packets.puback(2));
      await world.passSeconds(2.5);
      const back = await world.resumed('away', lasting(5));
      await back.expect(packets.publish('t', 'long', { qos: 1, id: 1 }));
      await back.expectNothing();
      const late = await world.subscribed('late', 't', 0);
      await late.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.3.2-5', '4.9.0-2'] },
    'a message that expired while the window was full is not delivered',
    async (world) => {
      const { packets } = world;
      const window = { properties: property.receiveMaximum(1) };
      const watcher = await world.subscribed('watcher', 't', 1, window);
      const peer = await world.connected('p');
      const properties = property.messageExpiry(1);
      peer.send(packets.publish('t', 'first', { qos: 1, id: 1 }));
      peer.send(packets.publish('t', 'short', { qos: 1, id: 2, properties }));
      peer.send(packets.publish('t', 'third', { qos: 1, id: 3 }));
      for (const id of [1, 2, 3]) await peer.expect(packets.puback(id));
      await watcher.expect(packets.publish('t', 'first', { qos: 1, id: 1 }));
      await world.passSeconds(2.5);
      watcher.send(packets.puback(1));
      await watcher.expect(packets.publish('t', 'third', { qos: 1, id: 2 }));
    },
  ),
];

const handshakes = [
  ...proves(
    { v5: '4.3.3-7' },
    'a QoS 2 message does not expire once it was sent',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 2, lastingFromNew(5));
      const peer = await world.connected('p');
      const sent = { qos: 2, id: 1, properties: property.messageExpiry(1) } as const;
      peer.send(packets.publish('t', 'x', sent));
      await peer.expect(packets.pubrec(1));
      await watcher.expect(packets.publish('t', 'x', sent));
      watcher.drop();
      await world.passSeconds(2.5);
      const again = await world.resumed('watcher', lasting(5));
      const [first] = await again.next();
      if (first !== 0x3c) throw new Error(`came a packet that begins with ${first}`);
      again.send(packets.pubrec(1));
      await again.expect(packets.pubrel(1));
    },
  ),
  ...proves(
    { v5: '4.3.3-13' },
    'the hand-shake of a QoS 2 message that expired is gone through to its end',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('p');
      const sent = { qos: 2, id: 1, properties: property.messageExpiry(1) } as const;
      peer.send(packets.publish('t', 'x', sent));
      await peer.expect(packets.pubrec(1));
      await world.passSeconds(2.5);
      peer.send(packets.publish('t', 'x', { ...sent, dup: true }));
      await peer.expect(packets.pubrec(1));
      peer.send(packets.pubrel(1));
      await peer.expect(packets.pubcomp(1));
    },
  ),
];

export const publish: readonly Scenario[] = [
  ...header,
  ...topic,
  ...properties,
  ...expiry,
  ...handshakes,
];
