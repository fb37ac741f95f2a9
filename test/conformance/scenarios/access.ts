import { pbkdf2Sync } from 'node:crypto';
import { join, property } from '../bytes.ts';
import { proves, type Scenario } from '../scenario.ts';

/** As `mosquitto_passwd` writes it: salted, PBKDF2 with SHA-512. */
function passwordLine(user: string, password: string): string {
  const salt = Buffer.from('0123456789ab');
  const hash = pbkdf2Sync(password, salt, 101, 64, 'sha512');
  return `${user}:$7$101$${salt.toString('base64')}$${hash.toString('base64')}\n`;
}

const ASKS_FOR_PASSWORDS = {
  toml: 'anonymous = false\n[auth]\npassword_file = "{files}/passwd"\n',
  files: { passwd: passwordLine('user', 'right') },
};

const ONLY_OPEN_TOPICS = {
  toml: 'anonymous = true\n[auth]\nacl_file = "{files}/acl"\n',
  files: { acl: 'topic readwrite open/#\ntopic read #\n' },
};

const logins = [
  ...proves(
    { v4: ['3.1.4-4', '3.2.2-3'], v5: ['3.1.4-2', '3.1.4-5'] },
    'the right password is let in',
    async (world) => {
      const peer = await world.connected('a', { user: 'user', password: 'right' });
      await peer.expectNothing();
    },
    ASKS_FOR_PASSWORDS,
  ),
  ...proves(
    {
      v4: ['3.1.4-5', '3.2.2-4', '3.2.2-5'],
      v5: ['3.1.4-2', '3.1.4-6', '3.2.2-6', '3.2.2-7', '3.2.2-8', '4.13.2-1'],
    },
    'a wrong password, or none, gets CONNACK, a close, and none of its packets processed',
    async (world) => {
      const { packets, version } = world;
      const watcher = await world.subscribed('watcher', '#', 0, {
        user: 'user',
        password: 'right',
      });
      for (const [credentials, v4, v5] of [
        [{ user: 'user', password: 'wrong' }, 4, 0x86],
        [{ user: 'nobody', password: 'right' }, 4, 0x86],
        [{}, 5, 0x87],
      ] as const) {
        const peer = await world.open();
        peer.send(
          packets.connect({ id: 'a', clean: false, ...credentials }),
          packets.publish('t', 'x', { retain: true }),
          packets.pingreq(),
        );
        await peer.expectConnack(version === 5 ? v5 : v4);
        await peer.expectClosed();
      }
      await watcher.expectNothing();
    },
    ASKS_FOR_PASSWORDS,
  ),
];

const rights = [
  ...proves(
    { v4: '3.3.5-2' },
    'a PUBLISH without the right to it is acknowledged as if it had one, and is not retained',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('p');
      peer.send(packets.publish('closed', 'x', { qos: 1, id: 1, retain: true }));
      await peer.expect(packets.puback(1));
      peer.send(packets.publish('closed', 'x', { qos: 2, id: 2, retain: true }));
      await peer.expect(packets.pubrec(2));
      peer.send(packets.pubrel(2));
      await peer.expect(packets.pubcomp(2));
      peer.send(packets.publish('closed', 'x', { retain: true }));
      await peer.expectNothing();
      const watcher = await world.subscribed('watcher', '#', 0);
      await watcher.expectNothing();
    },
    ONLY_OPEN_TOPICS,
  ),
  ...proves(
    { v5: ['3.4.2-1', '3.5.2-1', '4.3.3-9'] },
    'a PUBLISH without the right to it gets 0x87, and its identifier stands for a new message after',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 'open/#', 0);
      const peer = await world.connected('p');
      peer.send(packets.publish('closed', 'x', { qos: 1, id: 5 }));
      await peer.expectAck('puback', 5, 0x87);
      peer.send(packets.publish('closed', 'x', { qos: 2, id: 5 }));
      await peer.expectAck('pubrec', 5, 0x87);
      peer.send(packets.publish('open/1', 'y', { qos: 2, id: 5 }));
      await peer.expect(packets.pubrec(5));
      await watcher.expect(packets.publish('open/1', 'y'));
      peer.send(packets.pubrel(5));
      await peer.expect(packets.pubcomp(5));
    },
    ONLY_OPEN_TOPICS,
  ),
  ...proves(
    { v5: ['3.4.2-2', '3.4.2-3', '3.5.2-2', '3.5.2-3', '3.1.2-24'] },
    'a refusal has no text that makes it larger than the Maximum Packet Size of the client',
    async (world) => {
      const { packets } = world;
      const properties = property.maximumPacketSize(20);
      const peer = await world.connected('p', { properties });
      for (const [qos, first] of [
        [1, 0x40],
        [2, 0x50],
      ] as const) {
        peer.send(packets.publish('closed', 'x', { qos, id: 5 }));
        const came = await peer.next();
        if (came[0] !== first || came.length > 20) {
          throw new Error(`came ${Buffer.from(came).toString('hex')}`);
        }
      }
    },
    ONLY_OPEN_TOPICS,
  ),
  ...proves(
    { v5: '3.1.2-29' },
    'without Request Problem Information a refusal carries no text',
    async (world) => {
      const { packets } = world;
      const properties = join(property.requestProblemInformation(0));
      const peer = await world.connected('p', { properties });
      peer.send(packets.publish('closed', 'x', { qos: 1, id: 5 }));
      await peer.expect('40 03 00 05 87');
      peer.send(packets.publish('closed', 'x', { qos: 2, id: 6 }));
      await peer.expect('50 03 00 06 87');
    },
    ONLY_OPEN_TOPICS,
  ),
  ...proves(
    { v4: ['3.8.4-5', '3.9.3-2'], v5: ['3.8.4-7', '3.9.3-2'] },
    'a filter that no right allows is refused, the others are granted',
    async (world) => {
      const { packets, version } = world;
      const peer = await world.connected('a');
      const filters = [
        ['open/1', 1],
        ['$secret', 1],
      ] as const;
      peer.send(packets.subscribe(1, filters));
      const suback = await peer.next();
      const codes = Buffer.from(suback.subarray(-2)).toString('hex');
      if (codes !== (version === 5 ? '0187' : '0180')) throw new Error(`codes ${codes}`);
    },
    ONLY_OPEN_TOPICS,
  ),
];

const faults = [
  ...proves(
    { v4: '4.8.0-2' },
    'a message that cannot be written is not acknowledged: the connection is closed',
    async (world) => {
      const { packets } = world;
      const peer = await world.connected('p');
      peer.send(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await peer.expect(packets.puback(1));
      world.breakDisk();
      peer.send(packets.publish('t', 'x', { qos: 1, id: 2 }));
      await world.passSeconds(10);
      peer.send(packets.publish('t', 'x', { qos: 1, id: 3 }));
      await peer.expectClosed();
    },
    { world: 'disk' },
  ),
];

export const access: readonly Scenario[] = [...logins, ...rights, ...faults];
