import { join, packet, property, string } from '../bytes.ts';
import type { Peer } from '../peer.ts';
import { lastingFromNew, proves, type Scenario, type World } from '../scenario.ts';

const ALL_FIELDS = {
  id: 'full',
  keepAlive: 60,
  will: { topic: 'will', payload: 'gone' },
  user: 'user',
  password: 'secret',
} as const;

/** A CONNECT with these flags and this payload behind the client identifier `a`. */
function withFlags(world: World, flags: number, ...payload: readonly Uint8Array[]): Uint8Array {
  const head = join(string('MQTT'), Uint8Array.of(world.version, flags), '00 00');
  return packet(0x10, head, world.version === 5 ? '00' : '', string('a'), ...payload);
}

/** Not answered in 3.1.1 [MQTT-3.1.4-1]; in 5.0 by a CONNACK that says malformed. */
async function isMalformed(world: World, bytes: Uint8Array): Promise<void> {
  const peer = await world.open();
  peer.send(bytes);
  if (world.version === 5) await peer.expectConnack(0x81);
  await peer.expectClosed();
}

async function assignedId(peer: Peer): Promise<string> {
  const { properties } = await peer.expectConnack();
  const assigned = properties.get(0x12) ?? new Uint8Array(2);
  return Buffer.from(assigned.subarray(2)).toString();
}

const order = [
  ...proves(
    { v4: ['3.1.0-1', '4.8.0-1'], v5: ['3.1.0-1', '3.14.0-1'] },
    'another first packet than CONNECT ends the connection, and nothing is said',
    async (world) => {
      const { packets } = world;
      const first = [
        packets.pingreq(),
        packets.publish('t', 'x', { retain: true }),
        packets.subscribe(1, [['t', 0]]),
        packets.disconnect(),
      ];
      for (const bytes of first) {
        const peer = await world.open();
        peer.send(bytes);
        await peer.expectClosed();
      }
      const watcher = await world.subscribed('watcher', '#', 0);
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v4: ['3.1.0-2', '4.8.0-1'], v5: ['3.1.0-2', '3.2.0-2', '4.13.1-1'] },
    'a second CONNECT ends the connection, without a second CONNACK',
    async (world) => {
      const peer = await world.connected('a');
      peer.send(world.packets.connect({ id: 'a' }));
      await peer.expectClosed(0x82);
    },
  ),
  ...proves(
    { v4: ['3.2.0-1', '3.1.4-4'], v5: ['3.2.0-1', '3.2.0-2', '3.1.4-5'] },
    'CONNACK is the first answer, and comes once, however much was sent behind CONNECT',
    async (world) => {
      const { packets } = world;
      const peer = await world.open();
      peer.send(
        packets.connect({ id: 'eager', ...lastingFromNew(world.version) }),
        packets.pingreq(),
        packets.subscribe(1, [['t', 0]]),
        packets.publish('t', 'x', { qos: 1, id: 2 }),
      );
      await peer.expectConnack();
      await peer.expectInAnyOrder(
        packets.pingresp(),
        packets.suback(1, 0),
        packets.publish('t', 'x'),
        packets.puback(2),
      );
      await peer.expectNothing();
    },
  ),
  ...proves(
    { v4: ['3.2.0-1', '4.8.0-1'], v5: ['3.14.0-1', '3.2.0-1', '4.13.1-1'] },
    'a fault right behind CONNECT is not answered before CONNACK',
    async (world) => {
      const { packets, version } = world;
      const peer = await world.open();
      // A lasting session and a will: CONNACK waits for their commit.
      const will = { topic: 'will', payload: 'w' };
      peer.send(packets.connect({ id: 'hasty', will, ...lastingFromNew(version) }), '00 00');
      await peer.expectConnack();
      await peer.expectClosed(0x81);
    },
  ),
  ...proves(
    { v4: ['3.1.4-4', '3.2.2-3'], v5: ['3.1.4-5', '3.2.2-1', '3.2.2-3'] },
    'a valid CONNECT is answered by CONNACK with code 0 and no flag',
    async (world) => {
      const peer = await world.open();
      peer.send(world.packets.connect({ id: 'a' }));
      if (world.version === 4) {
        await peer.expect('20 02 00 00');
      } else {
        const connack = await peer.next();
        const body = connack.subarray(2);
        // Flags and reason code; the properties say their length.
        if (body[0] !== 0 || body[1] !== 0 || body[2] !== body.length - 3) {
          throw new Error(`not a CONNACK that accepts: ${Buffer.from(connack).toString('hex')}`);
        }
      }
    },
  ),
];

const protocol = [
  ...proves({ v4: '3.1.2-1' }, 'another protocol name is not taken for MQTT', async (world) => {
    const peer = await world.open();
    peer.send('10 0d 00 04 4d515458 04 02 0000 00 01 61');
    await peer.expect('20 02 00 01');
    await peer.expectClosed();
  }),
  ...proves(
    { v5: '3.1.2-1' },
    'another protocol name gets CONNACK 0x84 and a close',
    async (world) => {
      const peer = await world.open();
      peer.send('10 0e 00 04 4d515458 05 02 0000 00 00 01 61');
      await peer.expectConnack(0x84);
      await peer.expectClosed();
    },
  ),
  ...proves(
    { v4: '3.1.2-2', v5: '3.1.2-2' },
    'a protocol level that is not supported gets CONNACK 1 and a close',
    async (world) => {
      for (const level of ['00', '02', '06', '7f', '84']) {
        const peer = await world.open();
        peer.send(`10 0d 00 04 4d515454 ${level} 02 0000 00 01 61`);
        await peer.expect('20 02 00 01');
        await peer.expectClosed();
      }
    },
  ),
  ...proves(
    { v4: ['3.1.2-3', '3.1.4-1', '3.2.2-6'], v5: ['3.1.2-3', '3.1.4-1', '4.13.1-1'] },
    'the reserved connect flag ends the connection',
    (world) => isMalformed(world, withFlags(world, 0x03)),
  ),
];

const fields = [
  ...proves(
    {
      v4: ['3.1.2-11', '3.1.2-13', '3.1.2-15', '3.1.4-1'],
      v5: ['3.1.2-11', '3.1.2-13', '3.1.4-1'],
    },
    'will QoS, will retain and will fields without a will end the connection',
    async (world) => {
      for (const flags of [0x0a, 0x12, 0x22]) await isMalformed(world, withFlags(world, flags));
      const properties = world.version === 5 ? '00' : '';
      const will = join(properties, string('will'), string('x'));
      await isMalformed(world, withFlags(world, 0x02, will));
    },
  ),
  ...proves(
    { v4: ['3.1.2-14', '3.1.4-1'], v5: ['3.1.2-12', '3.1.4-1'] },
    'a will of QoS 3 ends the connection',
    async (world) => {
      const properties = world.version === 5 ? '00' : '';
      const will = join(properties, string('will'), string('x'));
      await isMalformed(world, withFlags(world, 0x1e, will));
    },
  ),
  ...proves(
    { v4: ['3.1.2-9', '3.1.4-1'], v5: ['3.1.2-9', '3.1.4-1'] },
    'a will flag without a will in the payload ends the connection',
    async (world) => {
      const properties = world.version === 5 ? '00' : '';
      await isMalformed(world, withFlags(world, 0x06));
      await isMalformed(world, withFlags(world, 0x06, join(properties, string('will'))));
    },
  ),
  ...proves(
    { v4: '3.1.2-18', v5: '3.1.2-16' },
    'a user name without its flag ends the connection',
    (world) => isMalformed(world, withFlags(world, 0x02, string('user'))),
  ),
  ...proves(
    { v4: '3.1.2-19', v5: '3.1.2-17' },
    'a user name flag without a user name ends the connection',
    (world) => isMalformed(world, withFlags(world, 0x82)),
  ),
  ...proves(
    { v4: '3.1.2-20', v5: '3.1.2-18' },
    'a password without its flag ends the connection',
    (world) => isMalformed(world, withFlags(world, 0x82, string('user'), string('secret'))),
  ),
  ...proves(
    { v4: '3.1.2-21', v5: '3.1.2-19' },
    'a password flag without a password ends the connection',
    (world) => isMalformed(world, withFlags(world, 0xc2, string('user'))),
  ),
  ...proves(
    { v4: '3.1.2-22' },
    'a password flag without a user name flag ends the connection',
    (world) => isMalformed(world, withFlags(world, 0x42, string('secret'))),
  ),
  ...proves(
    { v5: ['3.1.2-19', '3.1.4-5'] },
    'a password without a user name is accepted',
    async (world) => {
      await world.connected('a', { password: 'secret' });
    },
  ),
  ...proves(
    { v4: '3.1.3-1', v5: '3.1.3-1' },
    'the payload is read in its order: identifier, will, user name, password',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 'will', 0);
      const peer = await world.connected('full', ALL_FIELDS);
      peer.drop();
      await watcher.expect(packets.publish('will', 'gone'));
    },
  ),
  ...proves(
    { v4: '3.1.3-3', v5: '3.1.3-3' },
    'a CONNECT without a client identifier ends the connection',
    async (world) => {
      const properties = world.version === 5 ? '00' : '';
      const level = Uint8Array.of(world.version);
      await isMalformed(world, packet(0x10, string('MQTT'), level, '02 00 00', properties));
    },
  ),
  ...proves(
    { v4: '3.1.3-10', v5: '3.1.3-11' },
    'a will topic that is not UTF-8 ends the connection',
    async (world) => {
      for (const topic of ['e9', 'eda080', '610062']) {
        const will = { topic: Buffer.from(topic, 'hex'), payload: 'x' };
        await isMalformed(world, world.packets.connect({ will }));
      }
    },
  ),
  ...proves(
    { v4: '3.1.3-11', v5: '3.1.3-12' },
    'a user name that is not UTF-8 ends the connection',
    async (world) => {
      for (const user of ['e9', 'eda080', '610062']) {
        await isMalformed(world, world.packets.connect({ user: Buffer.from(user, 'hex') }));
      }
    },
  ),
];

const clientId = [
  ...proves(
    { v4: '3.1.3-5', v5: '3.1.3-5' },
    'identifiers of 1 to 23 letters and digits are accepted',
    async (world) => {
      const ids = ['a', '0123456789abcdefghijklm', 'nopqrstuvwxyzABCDEFGHIJ', 'KLMNOPQRSTUVWXYZ'];
      for (const id of ids) await world.connected(id);
    },
  ),
  ...proves(
    { v4: '3.1.3-6', v5: '3.1.3-6' },
    'clients with an empty identifier each get one of their own',
    async (world) => {
      const first = await world.subscribed('', 'first', 0);
      const second = await world.subscribed('', 'second', 0);
      second.send(world.packets.publish('first', 'x'), world.packets.publish('second', 'y'));
      await first.expect(world.packets.publish('first', 'x'));
      await second.expect(world.packets.publish('second', 'y'));
      await first.expectNothing();
      await second.expectNothing();
    },
  ),
  ...proves(
    { v5: ['3.1.3-7', '3.2.2-16'] },
    'an identifier that was assigned is told, is new, and works as if the client had said it',
    async (world) => {
      const { packets } = world;
      const first = await world.open();
      first.send(packets.connect({ id: '', properties: property.sessionExpiry(3600) }));
      const one = await assignedId(first);
      const second = await world.open();
      second.send(packets.connect({ id: '' }));
      const two = await assignedId(second);
      if (one === '' || two === '' || one === two) throw new Error(`assigned: ${one} and ${two}`);
      const again = await world.resumed(one);
      await first.expectClosed(0x8e);
      await again.expectNothing();
    },
  ),
  ...proves(
    { v4: ['3.1.3-7', '3.1.3-8', '3.1.3-9', '3.2.2-4', '3.2.2-5'] },
    'an empty identifier without a clean session gets CONNACK 2 and a close',
    async (world) => {
      const peer = await world.open();
      peer.send(world.packets.connect({ id: '', clean: false }));
      await peer.expect('20 02 00 02');
      await peer.expectClosed();
    },
  ),
  ...proves(
    { v4: '3.1.4-2', v5: ['3.1.4-3', '4.13.2-1', '3.14.4-1', '3.14.4-2'] },
    'a client that connects again takes over: the old connection is told and closed',
    async (world) => {
      const { packets } = world;
      const old = await world.subscribed('same', 't', 0);
      const young = await world.connected('same');
      await old.expectClosed(0x8e);
      young.send(packets.publish('t', 'x'));
      await young.expectNothing();
    },
  ),
];

const refusals = [
  ...proves(
    { v4: '3.1.4-5' },
    'nothing behind a CONNECT that was rejected is processed',
    async (world) => {
      const { packets } = world;
      const peer = await world.open();
      peer.send(
        packets.connect({ id: '', clean: false }),
        packets.publish('t', 'x', { retain: true }),
      );
      await peer.expect('20 02 00 02');
      await peer.expectClosed();
      const watcher = await world.subscribed('watcher', '#', 0);
      await watcher.expectNothing();
    },
  ),
  ...proves(
    {
      v5: [
        '3.1.2-30',
        '3.1.4-6',
        '3.2.2-6',
        '3.2.2-7',
        '3.2.2-8',
        '4.12.0-1',
        '4.12.0-4',
        '4.13.2-1',
      ],
    },
    'an authentication method gets CONNACK 0x8C, Session Present 0, and nothing more is processed',
    async (world) => {
      const { packets } = world;
      const owner = await world.connected('a', lastingFromNew(5));
      owner.send(packets.disconnect());
      await owner.expectClosed();
      const peer = await world.open();
      peer.send(
        packets.connect({
          clean: false,
          properties: join(
            property.authenticationMethod('SCRAM-SHA-1'),
            property.authenticationData('n,,n=user'),
          ),
        }),
        packets.publish('t', 'x', { retain: true }),
      );
      await peer.expectConnack(0x8c);
      await peer.expectClosed();
      const watcher = await world.subscribed('watcher', '#', 0);
      await watcher.expectNothing();
    },
  ),
  ...proves(
    { v5: ['4.12.0-6', '4.12.0-7', '4.13.1-1'] },
    'without an authentication method the broker sends no AUTH and takes none',
    async (world) => {
      const { packets } = world;
      const peer = await world.open();
      peer.send(packets.connect({ id: 'a' }));
      const { properties } = await peer.expectConnack();
      if (properties.has(0x15) || properties.has(0x16)) throw new Error('a method is named');
      await peer.expectNothing();
      peer.send('f0 02 18 00');
      await peer.expectClosed(0x82);
    },
  ),
  ...proves(
    { v5: ['3.15.1-1', '4.13.1-1'] },
    'AUTH with a reserved flag ends the connection',
    async (world) => {
      const peer = await world.connected('a');
      peer.send('f1 02 19 00');
      await peer.expectClosed(0x81);
    },
  ),
  ...proves(
    { v5: ['3.15.2-1', '4.12.0-7'] },
    'AUTH with an unknown reason, or without the method of CONNECT, ends the connection',
    async (world) => {
      for (const bytes of ['f0 02 17 00', 'f0 00', 'f0 02 19 00']) {
        const peer = await world.connected('a');
        peer.send(bytes);
        await peer.expectClosed(0x82);
      }
    },
  ),
];

const keepAlive = [
  ...proves(
    { v4: ['3.1.2-24', '3.12.4-1'], v5: ['3.1.2-22', '3.2.2-22', '3.12.4-1'] },
    'PINGREQ is answered and keeps the connection; silence of 1.5 times the keep alive ends it',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 'will', 0);
      const peer = await world.connected('silent', {
        keepAlive: 2,
        will: { topic: 'will', payload: 'gone' },
      });
      for (let round = 0; round < 3; round += 1) {
        await world.passSeconds(1.6);
        peer.send(packets.pingreq());
        await peer.expect(packets.pingresp());
      }
      await world.passSeconds(2);
      await peer.expectSilence();
      await world.passSeconds(2.4);
      await peer.expectClosed(0x8d);
      await watcher.expect(packets.publish('will', 'gone'));
    },
  ),
  ...proves(
    { v4: '3.1.2-24', v5: '3.1.2-22' },
    'a keep alive of 0 asks for nothing',
    async (world) => {
      const peer = await world.connected('silent', { keepAlive: 0 });
      await world.passSeconds(4);
      await peer.expectNothing();
    },
  ),
];

export const connect: readonly Scenario[] = [
  ...order,
  ...protocol,
  ...fields,
  ...clientId,
  ...refusals,
  ...keepAlive,
];
