import { join, property } from '../bytes.ts';
import { bodyOf, type Peer } from '../peer.ts';
import { proves, type Scenario, type World } from '../scenario.ts';

/** Connects and returns how many aliases CONNACK allows. */
async function aliasesAllowed(world: World, id: string): Promise<{ peer: Peer; maximum: number }> {
  const peer = await world.open();
  peer.send(world.packets.connect({ id }));
  const { properties } = await peer.expectConnack();
  const maximum = Buffer.from(properties.get(0x22) ?? [0, 0]).readUInt16BE(0);
  if (maximum === 0) throw new Error('CONNACK allows no topic alias');
  return { peer, maximum };
}

/** The next PUBLISH of QoS 0: its topic as the alias table of this connection resolves it. */
async function nextTopic(
  peer: Peer,
  aliases: Map<number, string>,
): Promise<{ topic: string; alias: number | undefined }> {
  const body = Buffer.from(bodyOf(await peer.next()));
  const topicBytes = body.readUInt16BE(0);
  const said = body.subarray(2, 2 + topicBytes).toString();
  const propertyBytes = body[2 + topicBytes] as number;
  const properties = body.subarray(3 + topicBytes, 3 + topicBytes + propertyBytes);
  // These messages have no other property.
  const alias = propertyBytes === 0 ? undefined : properties.readUInt16BE(1);
  if (alias !== undefined && said !== '') aliases.set(alias, said);
  const topic = said === '' ? aliases.get(alias ?? 0) : said;
  if (topic === undefined) throw new Error(`alias ${alias} stands for nothing`);
  return { topic, alias };
}

const inbound = [
  ...proves(
    { v5: '3.3.2-12' },
    'every alias up to the maximum of CONNACK is taken and stands for its topic',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', 'a/#', 0);
      const { peer, maximum } = await aliasesAllowed(world, 'p');
      const aliases = Array.from({ length: maximum }, (_, i) => i + 1);
      const withAlias = (alias: number) => ({ properties: property.topicAlias(alias) });
      for (const alias of aliases) {
        peer.send(packets.publish(`a/${alias}`, 'first', withAlias(alias)));
        await watcher.expect(packets.publish(`a/${alias}`, 'first'));
      }
      for (const alias of aliases) {
        peer.send(packets.publish('', 'second', withAlias(alias)));
        await watcher.expect(packets.publish(`a/${alias}`, 'second'));
      }
      // A topic with an alias that is in use gives it a new meaning.
      peer.send(packets.publish('a/new', 'third', withAlias(1)));
      await watcher.expect(packets.publish('a/new', 'third'));
      peer.send(packets.publish('', 'fourth', withAlias(1)));
      await watcher.expect(packets.publish('a/new', 'fourth'));
    },
  ),
  ...proves(
    { v5: ['3.3.2-9', '3.2.2-17', '4.13.1-1'] },
    'an alias above the maximum of CONNACK gets DISCONNECT 0x94',
    async (world) => {
      const { peer, maximum } = await aliasesAllowed(world, 'p');
      const properties = property.topicAlias(maximum + 1);
      peer.send(world.packets.publish('t', 'x', { properties }));
      await peer.expectClosed(0x94);
    },
  ),
  ...proves({ v5: ['3.3.2-8', '4.13.1-1'] }, 'an alias of 0 ends the connection', async (world) => {
    const peer = await world.connected('p');
    peer.send(world.packets.publish('t', 'x', { properties: property.topicAlias(0) }));
    const [first, , reason] = await peer.next();
    // Section 3.3.2.3.4 forbids it; 3.14.2.1 has two codes that fit.
    if (first !== 0xe0 || (reason !== 0x82 && reason !== 0x94)) throw new Error(`${reason}`);
    await peer.expectClosed();
  }),
  ...proves(
    { v5: ['3.3.2-7', '4.13.1-1'] },
    'aliases do not outlive their connection, and one that stands for nothing ends it',
    async (world) => {
      const { packets } = world;
      const properties = join(property.topicAlias(1));
      const { peer } = await aliasesAllowed(world, 'p');
      peer.send(packets.publish('t', 'x', { properties }));
      await peer.expectNothing();
      peer.send(packets.disconnect());
      await peer.expectClosed();
      const again = await world.connected('p');
      again.send(packets.publish('', 'x', { properties }));
      await again.expectClosed(0x82);
    },
  ),
  ...proves(
    { v5: ['3.3.2-7', '3.3.2-12'] },
    'an alias of one client means nothing to another',
    async (world) => {
      const { packets } = world;
      const watcher = await world.subscribed('watcher', '#', 0);
      const properties = property.topicAlias(1);
      const one = await aliasesAllowed(world, 'one');
      const two = await aliasesAllowed(world, 'two');
      one.peer.send(packets.publish('one', 'x', { properties }));
      await watcher.expect(packets.publish('one', 'x'));
      two.peer.send(packets.publish('two', 'x', { properties }));
      await watcher.expect(packets.publish('two', 'x'));
      one.peer.send(packets.publish('', 'y', { properties }));
      await watcher.expect(packets.publish('one', 'y'));
    },
  ),
];

const outbound = [
  ...proves(
    { v5: ['3.1.2-26', '3.3.2-11'] },
    'the broker sends no alias above the maximum of CONNECT, and each stands for its topic',
    async (world) => {
      const { packets } = world;
      const properties = property.topicAliasMaximum(2);
      const watcher = await world.subscribed('watcher', 'a/#', 0, { properties });
      const peer = await world.connected('p');
      const aliases = new Map<number, string>();
      for (let round = 0; round < 5; round += 1) {
        for (const name of ['a/1', 'a/2', 'a/3', 'a/4']) {
          peer.send(packets.publish(name, 'x'));
          const { topic, alias } = await nextTopic(watcher, aliases);
          if (topic !== name) throw new Error(`${topic} came for ${name}`);
          if (alias !== undefined && (alias < 1 || alias > 2)) throw new Error(`alias ${alias}`);
        }
      }
    },
  ),
  ...proves(
    { v5: ['3.1.2-27', '3.3.2-11'] },
    'a client with no Topic Alias Maximum, or 0, is sent whole topics',
    async (world) => {
      const { packets } = world;
      for (const properties of ['', property.topicAliasMaximum(0)]) {
        const watcher = await world.subscribed('watcher', 't', 0, { properties });
        const peer = await world.connected('p');
        for (let count = 0; count < 5; count += 1) {
          peer.send(packets.publish('t', 'x'));
          await watcher.expect(packets.publish('t', 'x'));
        }
      }
    },
  ),
  ...proves(
    { v5: ['3.3.2-7', '3.3.2-11'] },
    'the broker begins with whole topics on a new connection',
    async (world) => {
      const { packets } = world;
      const connect = {
        properties: join(property.sessionExpiry(60), property.topicAliasMaximum(10)),
      };
      const watcher = await world.subscribed('watcher', 't', 0, connect);
      const peer = await world.connected('p');
      const aliases = new Map<number, string>();
      for (let count = 0; count < 3; count += 1) {
        peer.send(packets.publish('t', 'x'));
        await nextTopic(watcher, aliases);
      }
      watcher.drop();
      await world.settle();
      const again = await world.resumed('watcher', connect);
      peer.send(packets.publish('t', 'x'));
      // An empty table: an alias alone would stand for nothing.
      const { topic } = await nextTopic(again, new Map());
      if (topic !== 't') throw new Error(`${topic} came`);
    },
  ),
];

export const topicAlias: readonly Scenario[] = [...inbound, ...outbound];
