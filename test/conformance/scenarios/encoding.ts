import { join, packet, property, string, uint16 } from '../bytes.ts';
import { proves, type Scenario, type World } from '../scenario.ts';

/** Latin-1, a surrogate, an overlong form, beyond U+10FFFF, and a sequence that is cut short. */
const ILL_FORMED = ['61 e9 62', 'ed a0 80', 'c0 af', 'f5 80 80 80', 'e2 82'];
const NULL_CHARACTER = '61 00 62';
/** Messages at a time: within every window. */
const ROUND = 400;

/** A connection that is accepted, says this, and is closed for it. */
async function isClosedFor(
  world: World,
  bytes: Uint8Array | string,
  reason: number,
): Promise<void> {
  const peer = await world.connected('faulty');
  peer.send(bytes);
  await peer.expectClosed(reason);
}

/** The text, which is no string, as a topic name, a filter to have and a filter to give up. */
async function isRefusedAsString(world: World, text: string): Promise<void> {
  const { packets } = world;
  const bytes = Buffer.from(text.replaceAll(' ', ''), 'hex');
  const properties = world.version === 5 ? '00' : '';
  const filter = join(uint16(1), properties, string(bytes));
  await isClosedFor(world, packets.publish(bytes, 'x'), 0x81);
  await isClosedFor(world, packets.publish(bytes, 'x', { qos: 1, id: 1 }), 0x81);
  await isClosedFor(world, packet(0x82, filter, '00'), 0x81);
  await isClosedFor(world, packet(0xa2, filter), 0x81);
}

async function connectIsRefused(world: World, id: Uint8Array): Promise<void> {
  const peer = await world.open();
  peer.send(world.packets.connect({ id }));
  if (world.version === 5) await peer.expectConnack(0x81);
  await peer.expectClosed();
}

const strings = [
  ...proves(
    { v4: '1.5.3-1', v5: '1.5.4-1' },
    'ill-formed UTF-8 and surrogates in topics and filters end the connection',
    async (world) => {
      for (const text of ILL_FORMED) await isRefusedAsString(world, text);
    },
  ),
  ...proves(
    { v4: ['1.5.3-2', '4.7.3-2'], v5: ['1.5.4-2', '4.7.3-2'] },
    'U+0000 in topics and filters ends the connection',
    (world) => isRefusedAsString(world, NULL_CHARACTER),
  ),
  ...proves(
    { v4: ['3.1.3-4', '3.1.4-1'], v5: ['3.1.3-4', '3.1.3-8', '3.1.4-1'] },
    'a client identifier that is not UTF-8 is rejected and the connection closed',
    async (world) => {
      for (const text of [...ILL_FORMED, NULL_CHARACTER]) {
        await connectIsRefused(world, Buffer.from(text.replaceAll(' ', ''), 'hex'));
      }
    },
  ),
  ...proves(
    { v4: '1.5.3-3', v5: '1.5.4-3' },
    'a byte order mark is part of a topic',
    async (world) => {
      const { packets } = world;
      const marked = await world.subscribed('marked', '\ufeffa', 0);
      const plain = await world.subscribed('plain', 'a', 0);
      plain.send(packets.publish('\ufeffa', 'with'), packets.publish('a', 'without'));
      await marked.expect(packets.publish('\ufeffa', 'with'));
      await plain.expect(packets.publish('a', 'without'));
      await marked.expectNothing();
      await plain.expectNothing();
    },
  ),
  ...proves(
    { v5: '1.5.7-1' },
    'a user property whose name or value is not UTF-8 ends the connection',
    async (world) => {
      const bad = Buffer.from('e9', 'hex');
      for (const properties of [property.user(bad, 'v'), property.user('n', bad)]) {
        await isClosedFor(world, world.packets.publish('t', 'x', { properties }), 0x81);
      }
    },
  ),
];

const integers = [
  ...proves(
    { v5: '1.5.5-1' },
    'a length that takes more bytes than it needs ends the connection',
    async (world) => {
      // A remaining length, a property length and a subscription identifier, each a byte too long.
      await isClosedFor(world, 'c0 80 00', 0x81);
      await isClosedFor(world, '30 06 00 01 74 80 00 78', 0x81);
      await isClosedFor(world, '82 0a 00 01 03 0b 81 00 00 01 74 00', 0x81);
    },
  ),
  ...proves(
    { v5: ['1.5.5-1', '2.2.2-1'] },
    'lengths that the broker writes take the fewest bytes, and no properties are one byte of 0',
    async (world) => {
      const peer = await world.subscribed('both', 't', 0);
      for (const bytes of [1, 123, 124, 8000]) {
        const sent = world.packets.publish('t', 'p'.repeat(bytes));
        peer.send(sent);
        await peer.expect(sent);
      }
    },
  ),
  ...proves(
    { v5: '2.2.2-1' },
    'a packet without its property length ends the connection',
    async (world) => {
      await isClosedFor(world, '82 02 00 01', 0x81);
      await isClosedFor(world, '30 03 00 01 74', 0x81);
    },
  ),
];

const flags = [
  ...proves(
    { v4: ['2.2.2-1', '2.2.2-2'], v5: '2.1.3-1' },
    'a reserved flag in the fixed header ends the connection',
    async (world) => {
      const wrong = ['41 02 00 01', '51 02 00 01', '71 02 00 01', 'c1 00', 'e1 00'];
      for (const bytes of wrong) await isClosedFor(world, bytes, 0x81);
      const peer = await world.open();
      peer.send(join('1f', world.packets.connect().subarray(1)));
      await peer.expectClosed();
    },
  ),
  ...proves(
    { v4: '3.6.1-1', v5: '3.6.1-1' },
    'PUBREL with other flags than 0010 ends the connection',
    async (world) => {
      for (const first of ['60', '61', '63', '66', '6a']) {
        await isClosedFor(world, `${first} 02 00 01`, 0x81);
      }
    },
  ),
  ...proves(
    { v4: '3.8.1-1', v5: '3.8.1-1' },
    'SUBSCRIBE with other flags than 0010 ends the connection',
    async (world) => {
      const right = world.packets.subscribe(1, [['t', 0]]);
      for (const first of ['80', '81', '83', '86', '8a']) {
        await isClosedFor(world, join(first, right.subarray(1)), 0x81);
      }
    },
  ),
  ...proves(
    { v4: '3.10.1-1', v5: '3.10.1-1' },
    'UNSUBSCRIBE with other flags than 0010 ends the connection',
    async (world) => {
      const right = world.packets.unsubscribe(1, 't');
      for (const first of ['a0', 'a1', 'a3', 'a6', 'aa']) {
        await isClosedFor(world, join(first, right.subarray(1)), 0x81);
      }
    },
  ),
  ...proves(
    { v4: '3.14.1-1', v5: '3.14.1-1' },
    'DISCONNECT with a reserved flag is a fault, so the will is published',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 'will', 0);
      const peer = await world.connected('faulty', { will: { topic: 'will', payload: 'w' } });
      peer.send('e2 00');
      await peer.expectClosed(0x81);
      await watcher.expect(packets.publish('will', 'w'));
    },
  ),
];

const identifiers = [
  ...proves(
    { v4: '2.3.1-1', v5: '2.2.1-3' },
    'a packet identifier of 0 ends the connection',
    async (world) => {
      const { packets } = world;
      const faulty = [
        packets.publish('t', 'x', { qos: 1, id: 0 }),
        packets.publish('t', 'x', { qos: 2, id: 0 }),
        packets.subscribe(0, [['t', 0]]),
        packets.unsubscribe(0, 't'),
      ];
      for (const bytes of faulty) await isClosedFor(world, bytes, 0x82);
    },
  ),
  ...proves(
    { v4: '2.3.1-5', v5: '2.2.1-2' },
    'a PUBLISH of QoS 0 has no identifier: the payload begins behind the topic',
    async (world) => {
      const peer = await world.subscribed('both', 't', 2);
      const bytes = world.version === 5 ? '30 06 00 01 74 00 12 34' : '30 05 00 01 74 12 34';
      peer.send(bytes);
      await peer.expect(bytes);
    },
  ),
  ...proves(
    { v4: ['2.3.1-6', '3.3.4-1'], v5: ['2.2.1-5', '3.3.4-1'] },
    'acknowledgements carry the identifier of their PUBLISH, whichever it is',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('p');
      for (const id of [1, 0x1234, 0xffff]) {
        peer.send(packets.publish('t', 'x', { qos: 1, id }));
        await peer.expect(packets.puback(id));
        peer.send(packets.publish('t', 'x', { qos: 2, id }));
        await peer.expect(packets.pubrec(id));
        peer.send(packets.pubrel(id));
        await peer.expect(packets.pubcomp(id));
      }
      peer.send(packets.publish('t', 'x'));
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v4: ['2.3.1-7', '3.8.4-2', '3.10.4-4'], v5: ['2.2.1-6', '3.8.4-2', '3.10.4-5'] },
    'SUBACK and UNSUBACK carry the identifier of what they answer',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('p');
      for (const id of [1, 0x1234, 0xffff]) {
        peer.send(packets.subscribe(id, [['t', 1]]));
        await peer.expect(packets.suback(id, 1));
        peer.send(packets.unsubscribe(id, 't'));
        await peer.expect(packets.unsuback(id, 0));
      }
    },
  ),
  ...proves(
    { v4: ['2.3.1-3', '4.3.2-2'], v5: ['2.2.1-3', '4.3.2-5'] },
    'an identifier is free again after its acknowledgement, whatever DUP says',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 0);
      const peer = await world.connected('p');
      for (const [payload, dup] of [
        ['one', false],
        ['two', true],
        ['three', false],
      ] as const) {
        peer.send(packets.publish('t', payload, { qos: 1, id: 7, dup }));
        await peer.expect(packets.puback(7));
        await watcher.expect(packets.publish('t', payload));
      }
    },
  ),
  ...proves(
    { v4: ['2.3.1-4', '4.3.2-1'], v5: ['2.2.1-4', '4.3.2-1', '4.3.3-1'] },
    'the broker numbers from 1 to 65535 and over again, past what is still in use',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 't', 1);
      const peer = await world.connected('p');
      const isLast = 65_535;
      let next = 1;
      for (let sent = 0; sent < 65_600; sent += ROUND) {
        const round = Array.from({ length: ROUND }, () => {
          const id = next;
          // Number 1 is never acknowledged, so it is passed over the second time.
          next = next === isLast ? 2 : next + 1;
          return id;
        });
        peer.send(...round.map((id) => packets.publish('t', 'x', { qos: 1, id })));
        for (const id of round) await peer.expect(packets.puback(id));
        for (const id of round) await watcher.expect(packets.publish('t', 'x', { qos: 1, id }));
        watcher.send(...round.filter((id) => id !== 1).map((id) => packets.puback(id)));
      }
      await watcher.expectNothing();
    },
  ),
];

export const encoding: readonly Scenario[] = [...strings, ...integers, ...flags, ...identifiers];
