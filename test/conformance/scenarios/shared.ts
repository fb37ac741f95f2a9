import type { Peer } from '../peer.ts';
import { lasting, lastingFromNew, proves, type Scenario, type World } from '../scenario.ts';

const SHARE = '$share/group/t';

/** The member that this message went to; the other one has nothing. */
async function memberThatGot(
  members: readonly [Peer, Peer],
  message: Uint8Array,
): Promise<{ chosen: Peer; other: Peer }> {
  const [one, two] = members;
  const oneCame = await one.hasReceived();
  const [chosen, other] = oneCame ? [one, two] : [two, one];
  await chosen.expect(message);
  await other.expectNothing();
  return { chosen, other };
}

async function publishesQos2(world: World, id: number): Promise<void> {
  const { packets } = world;
  const publisher = await world.connected('p');
  publisher.send(packets.publish('t', 'x', { qos: 2, id }));
  await publisher.expect(packets.pubrec(id));
  publisher.send(packets.pubrel(id));
  await publisher.expect(packets.pubcomp(id));
}

const filters = [
  ...proves(
    { v5: ['4.8.2-1', '4.8.2-2'] },
    'a share without a name, with a wildcard in it, or without a filter is refused',
    async (world) => {
      const { packets } = world;
      const wrong = ['$share/', '$share//t', '$share/g', '$share/g/', '$share/+/t', '$share/g#/t'];
      for (const filter of wrong) {
        const peer = await world.connected('a');
        peer.send(packets.subscribe(1, [[filter, 0]]));
        const answer = await peer.next();
        const isRefused = answer[0] === 0x90 && answer.at(-1) === 0x8f;
        const isClosed = answer[0] === 0xe0 && answer[2] === 0x8f;
        if (!isRefused && !isClosed) {
          throw new Error(`${filter}: ${Buffer.from(answer).toString('hex')}`);
        }
        if (isClosed) await peer.expectClosed();
      }
    },
  ),
  ...proves(
    { v5: ['3.8.3-4', '4.13.1-1'] },
    'No Local on a shared subscription is a protocol error',
    async (world) => {
      const peer = await world.connected('a');
      peer.send(world.packets.subscribe(1, [[SHARE, 0x04]]));
      await peer.expectClosed(0x82);
    },
  ),
  ...proves(
    { v5: ['4.8.2-1', '4.8.2-2', '3.3.2-3'] },
    'each message goes to one member of a share, and to each share and plain subscription',
    async (world) => {
      const { packets } = world;
      const plain = await world.subscribed('plain', 't', 0);
      const alone = await world.subscribed('alone', '$share/other/#', 0);
      const one = await world.subscribed('one', SHARE, 0);
      const two = await world.subscribed('two', SHARE, 0);
      const publisher = await world.connected('p');
      for (let count = 0; count < 10; count += 1) {
        const message = packets.publish('t', `${count}`);
        publisher.send(message);
        await plain.expect(message);
        await alone.expect(message);
        await memberThatGot([one, two], message);
      }
      publisher.send(packets.publish('$share/group/t', 'x'));
      await publisher.expectNothing();
      await one.expectNothing();
    },
  ),
];

const delivery = [
  ...proves(
    { v5: '4.8.2-3' },
    'a member is sent messages at the QoS it was granted',
    async (world) => {
      const { packets } = world;
      for (const qos of [0, 1] as const) {
        const member = await world.subscribed('member', SHARE, qos);
        await publishesQos2(world, 1);
        await member.expect(packets.publish('t', 'x', qos === 0 ? {} : { qos, id: 1 }));
        member.send(packets.disconnect());
        await member.expectClosed();
      }
    },
  ),
  ...proves(
    { v5: ['4.8.2-4', '4.4.0-1'] },
    'a QoS 2 message begun with a member is completed with it when it is back',
    async (world) => {
      const { packets } = world;
      const one = await world.subscribed('one', SHARE, 2, lastingFromNew(5));
      await publishesQos2(world, 1);
      await one.expect(packets.publish('t', 'x', { qos: 2, id: 1 }));
      const two = await world.subscribed('two', SHARE, 2);
      one.drop();
      await world.settle();
      await two.expectNothing();
      const again = await world.resumed('one', lasting(5));
      await again.expect(packets.publish('t', 'x', { qos: 2, id: 1, dup: true }));
      again.send(packets.pubrec(1));
      await again.expect(packets.pubrel(1));
      again.send(packets.pubcomp(1));
      await again.expectNothing();
      await two.expectNothing();
    },
  ),
  ...proves(
    { v5: '4.8.2-5' },
    'a QoS 2 message begun with a member whose session ended goes to no other',
    async (world) => {
      const { packets } = world;
      const one = await world.subscribed('one', SHARE, 2, lastingFromNew(5));
      await publishesQos2(world, 1);
      await one.expect(packets.publish('t', 'x', { qos: 2, id: 1 }));
      const two = await world.subscribed('two', SHARE, 2);
      one.drop();
      await world.settle();
      await world.connected('one', { clean: true });
      await two.expectNothing();
    },
  ),
  ...proves(
    { v5: ['4.8.2-6', '4.4.0-2'] },
    'a message that a member refused goes to no other',
    async (world) => {
      const { packets } = world;
      const one = await world.subscribed('one', SHARE, 2);
      const publisher = await world.connected('q');
      publisher.send(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await publisher.expect(packets.puback(1));
      await one.expect(packets.publish('t', 'x', { qos: 1, id: 1 }));
      await publishesQos2(world, 1);
      await one.expect(packets.publish('t', 'x', { qos: 2, id: 2 }));
      const two = await world.subscribed('two', SHARE, 2);
      one.send(packets.puback(1, 0x80), packets.pubrec(2, 0x97));
      await one.expectNothing();
      await two.expectNothing();
      one.send(packets.disconnect());
      await one.expectClosed();
      await two.expectNothing();
    },
  ),
  ...proves(
    { v5: ['4.8.2-1', '3.8.4-1'] },
    'a member that is gone gets nothing more; the others get what follows',
    async (world) => {
      const { packets } = world;
      const one = await world.subscribed('one', SHARE, 0);
      const two = await world.subscribed('two', SHARE, 0);
      one.send(packets.unsubscribe(2, SHARE));
      await one.expect(packets.unsuback(2, 0));
      const publisher = await world.connected('p');
      for (let count = 0; count < 4; count += 1) {
        publisher.send(packets.publish('t', 'x'));
        await two.expect(packets.publish('t', 'x'));
      }
      await one.expectNothing();
    },
  ),
];

export const shared: readonly Scenario[] = [...filters, ...delivery];
