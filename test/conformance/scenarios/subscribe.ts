import { join, packet, property, string } from '../bytes.ts';
import { proves, type Scenario } from '../scenario.ts';

const ADD_LIMIT = { toml: '[limits]\nsubscriptions_per_client = 2' };

const exchange = [
  ...proves(
    { v4: ['3.8.4-1', '3.8.4-5', '3.9.3-2'], v5: ['3.8.4-1', '3.8.4-6', '3.8.4-7', '3.9.3-2'] },
    'SUBSCRIBE is answered by SUBACK with the QoS granted',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('a');
      for (const qos of [0, 1, 2]) {
        peer.send(packets.subscribe(10 + qos, [[`t/${qos}`, qos]]));
        await peer.expect(packets.suback(10 + qos, qos));
      }
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v4: ['3.8.4-4', '3.8.4-5', '3.9.3-1'], v5: ['3.8.4-5', '3.8.4-6', '3.9.3-1'] },
    'several filters get one SUBACK with the codes in their order, and each has its effect',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('a');
      const filters = [
        ['a', 2],
        ['b/+', 0],
        ['c/#', 1],
        ['a', 1],
      ] as const;
      peer.send(packets.subscribe(1, filters));
      await peer.expect(packets.suback(1, 2, 0, 1, 1));
      peer.send(packets.publish('b/1', 'b'));
      await peer.expect(packets.publish('b/1', 'b'));
      peer.send(packets.publish('c', 'c'));
      await peer.expect(packets.publish('c', 'c'));
      // The last of two equal filters counts, as if it had come in a SUBSCRIBE of its own.
      peer.send(packets.publish('a', 'a', { qos: 2, id: 2 }));
      await peer.expectInAnyOrder(packets.pubrec(2), packets.publish('a', 'a', { qos: 1, id: 1 }));
    },
  ),
  ...proves(
    { v4: ['3.8.3-3', '4.8.0-1'], v5: ['3.8.3-2', '4.13.1-1'] },
    'a SUBSCRIBE without a filter ends the connection',
    async (world) => {
      const peer = await world.connected('a');
      peer.send(world.packets.subscribe(1, []));
      await peer.expectClosed(0x82);
    },
  ),
  ...proves(
    { v4: ['3.8.3-4', '4.8.0-1'] },
    'reserved bits and QoS 3 in a SUBSCRIBE end the connection',
    async (world) => {
      for (const options of [0x03, 0x04, 0x08, 0x10, 0x40, 0x80]) {
        const peer = await world.connected('a');
        peer.send(world.packets.subscribe(1, [['t', options]]));
        await peer.expectClosed();
      }
    },
  ),
  ...proves(
    { v5: ['3.8.3-5', '4.13.1-1'] },
    'reserved bits, QoS 3 and retain handling 3 in a SUBSCRIBE end the connection',
    async (world) => {
      for (const [options, reason] of [
        [0x40, 0x81],
        [0x80, 0x81],
        [0x03, 0x82],
        [0x30, 0x82],
      ] as const) {
        const peer = await world.connected('a');
        peer.send(world.packets.subscribe(1, [['t', options]]));
        await peer.expectClosed(reason);
      }
    },
  ),
  ...proves(
    { v4: '3.8.3-1', v5: '3.8.3-1' },
    'a filter that is no UTF-8 string, or is cut short, ends the connection',
    async (world) => {
      const properties = world.version === 5 ? '00' : '';
      for (const filter of [string(Buffer.from('e9', 'hex')), '00 05 74', '00 01 74']) {
        const peer = await world.connected('a');
        // Behind the last of them the options are missing.
        const options = filter === '00 01 74' ? '' : '00';
        peer.send(packet(0x82, '00 01', properties, filter, options));
        await peer.expectClosed(0x81);
      }
    },
  ),
  ...proves(
    { v4: ['3.8.4-5', '3.9.3-2'] },
    'a filter beyond the limit is refused by 0x80, the others are granted',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('a');
      const filters = ['1', '2', '3'].map((name) => [name, 1] as const);
      peer.send(packets.subscribe(1, filters));
      await peer.expect(packets.suback(1, 1, 1, 0x80));
    },
    ADD_LIMIT,
  ),
  ...proves(
    { v5: ['3.8.4-7', '3.9.3-2', '3.9.2-1', '3.9.2-2'] },
    'a filter beyond the limit is refused by 0x97, within the Maximum Packet Size of the client',
    async (world) => {
      const { packets } = world;
      const properties = property.maximumPacketSize(40);
      const peer = await world.connected('a', { properties });
      const filters = ['1', '2', '3'].map((name) => [name, 1] as const);
      peer.send(packets.subscribe(1, filters));
      const suback = await peer.next();
      const codes = Buffer.from(suback.subarray(-3)).toString('hex');
      if (suback.length > 40 || codes !== '010197') throw new Error(`SUBACK with codes ${codes}`);
    },
    ADD_LIMIT,
  ),
];

const effect = [
  ...proves(
    { v4: '3.8.4-6', v5: ['3.8.4-8', '4.3.1-1'] },
    'a message goes out at the lower of its QoS and the QoS granted',
    async (world) => {
      const { packets } = world;
      const watchers = [
        await world.subscribed('w0', 't', 0),
        await world.subscribed('w1', 't', 1),
        await world.subscribed('w2', 't', 2),
      ];
      const peer = await world.connected('p');
      for (const qos of [0, 1, 2] as const) {
        peer.send(packets.publish('t', `${qos}`, qos === 0 ? {} : { qos, id: qos }));
        if (qos === 1) await peer.expect(packets.puback(1));
        if (qos === 2) await peer.expect(packets.pubrec(2));
        for (const [granted, watcher] of watchers.entries()) {
          const lower = Math.min(granted, qos) as 0 | 1 | 2;
          // Identifiers count what was sent above QoS 0.
          const id = granted === 1 ? qos : lower;
          const options = lower === 0 ? {} : { qos: lower, id };
          await watcher.expect(packets.publish('t', `${qos}`, options));
        }
      }
    },
  ),
  ...proves(
    { v4: '3.8.4-3', v5: ['3.8.4-3', '3.8.4-4', '3.3.1-9'] },
    'the same filter again replaces the subscription and brings retained messages again',
    async (world) => {
      const { packets } = world;
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', 'kept', { retain: true }));
      await publisher.expectNothing();
      const peer = await world.connected('a');
      peer.send(packets.subscribe(1, [['t', 0]]));
      await peer.expect(packets.suback(1, 0));
      await peer.expect(packets.publish('t', 'kept', { retain: true }));
      peer.send(packets.subscribe(2, [['t', 1]]));
      await peer.expect(packets.suback(2, 1));
      await peer.expect(packets.publish('t', 'kept', { retain: true }));
      publisher.send(packets.publish('t', 'new', { qos: 1, id: 1 }));
      await publisher.expect(packets.puback(1));
      await peer.expect(packets.publish('t', 'new', { qos: 1, id: 1 }));
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v4: '3.8.4-3', v5: '3.8.4-4' },
    'no message is lost, and none comes twice, while a subscription is replaced',
    async (world) => {
      const { packets } = world;
      const peer = await world.subscribed('a', 't', 1);
      const publisher = await world.connected('p');
      const ids = Array.from({ length: 40 }, (_, i) => i + 1);
      for (const id of ids) {
        publisher.send(packets.publish('t', `${id}`, { qos: 1, id }));
        if (id % 10 === 0) {
          peer.send(packets.subscribe(id, [['t', 1]]));
          await world.settle();
        }
      }
      await world.settle();
      const payloads: string[] = [];
      // Between the messages are the four SUBACKs.
      for (let count = 0; count < ids.length + 4; count += 1) {
        const came = Buffer.from(await peer.next());
        if (came[0] === 0x32) payloads.push(came.subarray(world.version === 5 ? 8 : 7).toString());
      }
      if (payloads.join() !== ids.join()) throw new Error(`came: ${payloads.join()}`);
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v4: '3.3.5-1', v5: '3.3.4-2' },
    'overlapping subscriptions bring one copy at the highest QoS among them',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('a');
      const filters = [
        ['a/#', 0],
        ['a/+', 2],
        ['a/b', 1],
      ] as const;
      peer.send(packets.subscribe(1, filters));
      await peer.expect(packets.suback(1, 0, 2, 1));
      const publisher = await world.connected('p');
      publisher.send(packets.publish('a/b', 'x', { qos: 2, id: 1 }));
      await publisher.expect(packets.pubrec(1));
      await peer.expect(packets.publish('a/b', 'x', { qos: 2, id: 1 }));
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.3.4-3', '3.3.4-4', '3.3.4-5'] },
    'one copy carries the identifiers of all subscriptions that match, and of no other',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('a');
      const filters = [
        ['a/#', 1],
        ['a/b', 200],
        ['b', 3],
        ['a/+', undefined],
      ] as const;
      for (const [filter, subscriptionId] of filters) {
        const properties = subscriptionId && property.subscriptionId(subscriptionId);
        peer.send(packets.subscribe(1, [[filter, 0]], properties || ''));
        await peer.expect(packets.suback(1, 0));
      }
      peer.send(packets.publish('a/b', 'x'));
      const [one, other] = [property.subscriptionId(1), property.subscriptionId(200)];
      const came = Buffer.from(await peer.next()).toString('hex');
      const either = [join(one, other), join(other, one)].map((properties) =>
        Buffer.from(packets.publish('a/b', 'x', { properties })).toString('hex'),
      );
      if (!either.includes(came)) throw new Error(`came ${came}`);
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.3.4-3', '3.8.4-3'] },
    'the identifier of a subscription is that of its last SUBSCRIBE, and none where it had none',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('a');
      for (const properties of [property.subscriptionId(7), property.subscriptionId(8), '']) {
        peer.send(packets.subscribe(1, [['t', 0]], properties));
        await peer.expect(packets.suback(1, 0));
        peer.send(packets.publish('t', 'x'));
        await peer.expect(packets.publish('t', 'x', { properties }));
      }
    },
  ),
  ...proves(
    { v5: '3.8.3-3' },
    'with No Local a client is not sent what it published, others are',
    async (world) => {
      const { packets } = world;
      const peer = await world.subscribed('own', 't', 0x04 | 2);
      const other = await world.subscribed('other', 't', 0);
      peer.send(packets.publish('t', 'x'), packets.publish('t', 'y', { qos: 1, id: 1 }));
      await peer.expect(packets.puback(1));
      await other.expect(packets.publish('t', 'x'));
      await other.expect(packets.publish('t', 'y'));
      other.send(packets.publish('t', 'z'));
      await peer.expect(packets.publish('t', 'z'));
      await peer.expectNothing();
    },
  ),
];

const unsubscribe = [
  ...proves(
    { v4: ['3.10.3-2', '4.8.0-1'], v5: ['3.10.3-2', '4.13.1-1'] },
    'an UNSUBSCRIBE without a filter ends the connection',
    async (world) => {
      const peer = await world.connected('a');
      peer.send(world.packets.unsubscribe(1));
      await peer.expectClosed(0x82);
    },
  ),
  ...proves(
    { v4: '3.10.3-1', v5: '3.10.3-1' },
    'a filter to give up that is no UTF-8 string ends the connection',
    async (world) => {
      const properties = world.version === 5 ? '00' : '';
      for (const filter of [string(Buffer.from('e9', 'hex')), '00 05 74']) {
        const peer = await world.connected('a');
        peer.send(packet(0xa2, '00 01', properties, filter));
        await peer.expectClosed(0x81);
      }
    },
  ),
  ...proves(
    {
      v4: ['3.10.4-1', '3.10.4-2', '3.10.4-4', '3.10.4-5'],
      v5: ['3.10.4-1', '3.10.4-2', '3.10.4-4', '3.10.4-5', '3.11.3-2'],
    },
    'UNSUBSCRIBE ends the subscription whose filter is the same, and no other that matches',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('a');
      peer.send(packets.subscribe(1, [['a/+', 0]]));
      await peer.expect(packets.suback(1, 0));
      for (const other of ['a/b', 'a/#', '#', 'A/+', 'a/+/']) {
        peer.send(packets.unsubscribe(2, other));
        await peer.expect(packets.unsuback(2, 0x11));
      }
      peer.send(packets.publish('a/b', 'x'));
      await peer.expect(packets.publish('a/b', 'x'));
      peer.send(packets.unsubscribe(3, 'a/+'));
      await peer.expect(packets.unsuback(3, 0));
      peer.send(packets.publish('a/b', 'y'));
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v4: '3.10.4-6', v5: ['3.10.4-6', '3.11.3-1', '3.11.3-2'] },
    'several filters to give up get one UNSUBACK with the codes in their order',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('a');
      const filters = [
        ['a', 0],
        ['b', 0],
        ['c', 0],
      ] as const;
      peer.send(packets.subscribe(1, filters));
      await peer.expect(packets.suback(1, 0, 0, 0));
      peer.send(packets.unsubscribe(2, 'a', 'x', 'c', 'a'));
      await peer.expect(packets.unsuback(2, 0, 0x11, 0, 0x11));
      peer.send(packets.publish('a', '1'), packets.publish('b', '2'), packets.publish('c', '3'));
      await peer.expect(packets.publish('b', '2'));
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v4: '3.10.4-3', v5: '3.10.4-3' },
    'deliveries that had begun are completed after UNSUBSCRIBE',
    async (world) => {
      const { packets } = world;
      const peer = await world.subscribed('a', 't', 2);
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', 'one', { qos: 1, id: 1 }));
      publisher.send(packets.publish('t', 'two', { qos: 2, id: 2 }));
      await publisher.expect(packets.puback(1));
      await publisher.expect(packets.pubrec(2));
      await peer.expect(packets.publish('t', 'one', { qos: 1, id: 1 }));
      await peer.expect(packets.publish('t', 'two', { qos: 2, id: 2 }));
      peer.send(packets.unsubscribe(3, 't'));
      await peer.expect(packets.unsuback(3, 0));
      peer.send(packets.puback(1), packets.pubrec(2));
      await peer.expect(packets.pubrel(2));
      peer.send(packets.pubcomp(2));
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v4: ['3.10.4-3', '4.4.0-1'], v5: ['3.10.4-3', '4.4.0-1'] },
    'a delivery that had begun is sent again after UNSUBSCRIBE and a new connection',
    async (world) => {
      const { packets, version } = world;
      const lasting = version === 5 ? { properties: property.sessionExpiry(60) } : { clean: false };
      const peer = await world.subscribed('a', 't', 1, lasting);
      const publisher = await world.connected('p');
      publisher.send(packets.publish('t', 'one', { qos: 1, id: 1 }));
      await publisher.expect(packets.puback(1));
      await peer.expect(packets.publish('t', 'one', { qos: 1, id: 1 }));
      peer.send(packets.unsubscribe(3, 't'));
      await peer.expect(packets.unsuback(3, 0));
      peer.drop();
      await world.settle();
      const again = await world.resumed('a', { ...lasting, clean: false });
      await again.expect(packets.publish('t', 'one', { qos: 1, id: 1, dup: true }));
      again.send(packets.puback(1));
      await again.expectNothing();
    },
  ),
];

export const subscribe: readonly Scenario[] = [...exchange, ...effect, ...unsubscribe];
